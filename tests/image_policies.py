"""Policies of augmentation from conf/, and random images for them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.kinds.image.keys import ImagePolicy

CONF = Path(__file__).resolve().parents[1] / "conf" / "augment"


@pytest.fixture
def policy() -> Callable[..., ImagePolicy]:
    """A policy in which only what is named is on; `base` names a file of conf/augment."""

    def made(base: str = "none", **keys) -> ImagePolicy:
        values = {}
        for name in dict.fromkeys(("none", base)):
            values |= yaml.safe_load((CONF / f"{name}.yaml").read_text())
        values.pop("defaults", None)
        return ImagePolicy(**values | keys)

    return made


@pytest.fixture
def everything(policy) -> ImagePolicy:
    """Every operation at once, on colour images."""
    return policy("photos", vertical_flip=0.3, scale=0.1, shear=8.0, noise=0.05, erase=0.5, seed=7)


@pytest.fixture
def batch() -> Callable[..., tuple]:
    """Random images, ids and view numbers."""

    def made(num: int, channels: int = 3, height: int = 32, width: int = 32, seed: int = 0) -> tuple:
        import torch

        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (num, channels, height, width), dtype=np.uint8)
        return torch.from_numpy(images), rng.integers(0, 2**64, num, dtype=np.uint64), rng.integers(0, 2**31, num)

    return made
