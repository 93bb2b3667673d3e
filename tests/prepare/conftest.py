"""The way from a configuration to a dataset."""

from data_samples import build

__all__ = ["build"]
