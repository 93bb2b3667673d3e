"""Augmented images per second: ours against Kornia's own AugmentationSequential of the same operations.

Both run in one process, in turns, from the same uint8 batch; ours gives uint8 again, the peer float32 (which spares it a pass).
The peer draws per batch from torch's generator and applies one operation after the other; ours draws per sample, warps once.
Rows: augment_photos (batch 512 of 3x32x32, conf/augment/photos.yaml), augment_light (256 of 1x28x28, light.yaml).
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kornia.augmentation as K
import numpy as np
import torch
import yaml

from benchmarks.harness import ratio, seconds_in_turn, write_row
from pipeline.kinds.image.keys import ImagePolicy
from pipeline.kinds.image.views import batch_views

CONF = Path(__file__).resolve().parent.parent / "conf" / "augment"
PEER = "Kornia's AugmentationSequential"
SHAPES = {"photos": (512, 3, 32, 32), "light": (256, 1, 28, 28)}


def conf_policy(name: str) -> ImagePolicy:
    """A file of conf/augment on top of none.yaml."""
    values: dict[str, object] = {}
    for file in ("none", name):
        values |= yaml.safe_load((CONF / f"{file}.yaml").read_text())
    values.pop("defaults", None)
    return ImagePolicy.model_validate(values)


def kornia_chain(p: ImagePolicy, size: tuple[int, int]) -> K.AugmentationSequential:
    """The same operations in Kornia's own words."""
    chain: list[Any] = []
    if p.flip:
        chain.append(K.RandomHorizontalFlip(p=p.flip))
    if p.crop:
        chain.append(K.RandomResizedCrop(size, scale=(1 - p.crop, 1.0), ratio=(3 / 4, 4 / 3)))
    chain.append(K.RandomAffine(p.rotate, (p.translate, p.translate), (1 - p.scale, 1 + p.scale), p=1.0))
    if p.brightness:
        chain.append(K.ColorJitter(p.brightness, p.contrast, p.saturation, p.hue, p=1.0))
    if p.erase:
        chain.append(K.RandomErasing(scale=(0.02, p.erase_area), ratio=(1 / 3, 3.0), value=p.erase_value, p=p.erase))
    return K.AugmentationSequential(*chain)


def contenders(name: str, batches: int) -> dict[str, Callable[[], None]]:
    """Several batches of ours and of the peer."""
    rng = np.random.default_rng(0)
    policy, shape = conf_policy(name), SHAPES[name]
    images = torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))
    ids, views = rng.integers(0, 2**64, shape[0], dtype=np.uint64), rng.integers(0, 2**31, shape[0])
    chain = kornia_chain(policy, shape[2:])

    def ours() -> None:
        for _ in range(batches):
            batch_views(images, ids, views, policy, {})

    def kornia() -> None:
        for _ in range(batches):
            chain(images.float() / 255)

    return {"ours": ours, PEER: kornia}


def measure(name: str, rounds: int, batches: int) -> None:
    """Write the row of one policy."""
    seconds = seconds_in_turn(contenders(name, batches), rounds)
    speeds = {who: batches * SHAPES[name][0] / statistics.median(times) for who, times in seconds.items()}
    peers = {PEER: ratio(seconds["ours"], seconds[PEER]) | {"images_per_s": speeds[PEER]}}
    write_row(f"augment_{name}", {"images_per_s": speeds["ours"]}, peers, threads=torch.get_num_threads())


def main() -> None:
    """Both rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in SHAPES:
        measure(name, options.rounds, options.batches)


if __name__ == "__main__":
    main()
