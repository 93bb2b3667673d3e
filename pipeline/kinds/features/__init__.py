"""Features that a pretrained network has made of samples of another kind: no kind that data can be read as."""
