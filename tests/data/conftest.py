"""Augmentation to store."""

from data_samples import build
from image_policies import batch, everything, policy

__all__ = ["batch", "build", "everything", "policy"]
