"""Policies of augmentation."""

from image_policies import policy

__all__ = ["policy"]
