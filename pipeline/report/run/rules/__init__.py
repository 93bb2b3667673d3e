"""The fixed rules of docs/verdicts.md, a room each: pure functions of the recorded numbers."""
