"""Policies, images that they are tried on, and the way from files to a dataset."""

from data_samples import build
from image_policies import batch, everything, policy

__all__ = ["batch", "build", "everything", "policy"]
