"""Regatta: from labelled data to a trained deep network and the evidence for every choice in it."""

__version__ = "0.1.0"
