"""The same answers over HTTP: who may ask, what may be asked, one worker that answers, and a page for people."""
