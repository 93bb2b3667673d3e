"""How long a training takes, tried: a few of its epochs, or of parts of epochs, on made-up samples of the data's shape."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.data.dataset import Manifest, Split
from pipeline.data.views import Views
from pipeline.train.device import chosen_device
from pipeline.train.keeper import Keeper
from pipeline.train.module import run_to_end
from pipeline.train.program import Lane, Program
from pipeline.train.training import Training

EPOCHS = 3
"""The first warms up, the others count."""
MOST_STEPS = 32
MOST_FLOPS = 1e9
"""Of an epoch's steps here, or one step where that has more."""


@dataclass(frozen=True)
class MadeUp:
    """Noise in place of a dataset."""

    manifest: Manifest
    counts: dict[str, int]

    def split(self, name: str) -> Split:
        """So many samples of one label."""
        num, random = self.counts[name], np.random.default_rng(0)
        classes, targets = len(self.manifest.classes), len(self.manifest.targets)
        of_task = {"single": ((), np.int64), "multi": ((classes,), np.uint8), "number": ((targets,), np.float64)}
        width, label_type = of_task[self.manifest.task]
        labels = np.zeros((num, *width), label_type)
        rows, num_rows = _ends(random, self.manifest.windows, num)
        offsets, num_values = _ends(random, self.manifest.lengths, num_rows)
        shape, dtype = (num_values, *self.manifest.shape), self.manifest.dtype
        inputs = random.integers(0, 256, shape, np.uint8) if dtype == "uint8" else np.zeros(shape, dtype)
        return Split(inputs, labels, np.arange(num, dtype=np.uint64), rows, offsets)


def _ends(random: np.random.Generator, spread: list[int] | None, num: int) -> tuple[NDArray[np.int64] | None, int]:
    """Where `num` parts begin whose sizes have this least, median and largest, and their sum; None: each is one."""
    if spread is None:
        return None, num
    sizes = np.interp(random.random(num), [0.0, 0.5, 1.0], spread).astype(np.int64)
    return np.r_[0, np.cumsum(sizes)], int(sizes.sum())


class Clock(Keeper):
    """Notes when each epoch has ended."""

    def __init__(self) -> None:
        self.ended: list[float] = []

    def after_epoch(self, training: Training) -> None:
        self.ended.append(time.perf_counter())


def expected_seconds(
    program: Program, lanes: Sequence[Lane], views: Sequence[Views], data: Manifest, device: str, threads: int
) -> float:
    """Seconds of training these runs side by side to their last epoch on the prepared data, by a trial here and now.

    views: each run's own, whose arrays are not read. Nothing is written. Early stopping makes it less.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _tried(program, lanes, views, data, device)
    finally:
        torch.set_num_threads(before)


def _tried(program: Program, lanes: Sequence[Lane], views: Sequence[Views], data: Manifest, device: str) -> float:
    num_train = data.num_train(program.limit)
    step = max(1, 3 * program.spec.forward_flops() * program.batch_size * len(lanes))
    num = min(num_train, program.batch_size * max(1, min(MOST_STEPS, int(MOST_FLOPS / step))))
    share = num / num_train
    made_up = MadeUp(data, {"train": num, "val": max(1, round(data.counts["val"] * share))})
    train = made_up.split("train")
    own = [replace(view, arrays=[train.stored] * bool(view.policy.views and view.policy.active)) for view in views]
    calm = [replace(lane, learning_rate=1e-6, early_stop=0, monitor="val_loss") for lane in lanes]  # noise must not end it
    tiny = replace(program, epochs=EPOCHS, limit=None, per_class=None, warmup_epochs=0.0)
    clock = Clock()
    run_to_end(Training(tiny, calm, made_up, own, chosen_device(device)), clock)
    return program.epochs / share * (clock.ended[-1] - clock.ended[0]) / (EPOCHS - 1)
