"""Augmentation: tensor in, tensor out, keyed by sample."""
