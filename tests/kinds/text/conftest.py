"""The way from texts to a dataset."""

from text_samples import build_texts

__all__ = ["build_texts"]
