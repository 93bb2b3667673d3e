"""Augmentation to store."""

from image_policies import batch, everything, policy

__all__ = ["batch", "everything", "policy"]
