"""Training steps per second: ours against a bare torch loop of the same arithmetic and Lightning's Trainer with a DataLoader.

All three run in one process, in turns, on the same uint8 images: gather, cast and normalise, forward with dropout, softmax
cross-entropy, backward, fused AdamW. Rows: train_step_digits, train_step_fashion (the latter needs the IDX files of
Fashion-MNIST in the folder given by --fashion).
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.harness import ratio, write_row
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.views import Views
from pipeline.kinds.image.keys import ImagePolicy
from pipeline.model.stacked.spec import StackedSpec
from pipeline.schema.base import validated
from pipeline.train.program import Lane, Program, threads_for
from pipeline.train.training import Training

CONF = Path(__file__).resolve().parents[1] / "conf"
DROPOUT, RATE, DECAY = 0.2, 1e-3, 0.01


def network(widths: list[int]) -> nn.Sequential:
    """The peers' network."""
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise(widths[:-1]):
        layers += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(DROPOUT)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


class Peer(pl.LightningModule):
    """The network as Lightning's documentation writes it."""

    def __init__(self, widths: list[int], mean: float, std: float) -> None:
        super().__init__()
        self.net, self.mean, self.std = network(widths), mean, std

    def training_step(self, batch: Any, _index: int) -> Tensor:
        """Softmax cross-entropy."""
        images, labels = batch
        return F.cross_entropy(self.net((images.float() - self.mean) / self.std), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Fused AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=RATE, weight_decay=DECAY, fused=True)


def bare_loop(widths: list[int], images: Tensor, labels: Tensor, batch: int, mean: float, std: float) -> Callable[[], None]:
    """One epoch of the loop that one would write by hand."""
    net = network(widths)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY, fused=True)

    def epoch() -> None:
        net.train()
        order = torch.randperm(len(images))
        for first in range(0, len(images), batch):
            rows = order[first : first + batch]
            optimizer.zero_grad()
            F.cross_entropy(net((images[rows].float() - mean) / std), labels[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return epoch


def lightning(widths: list[int], images: Tensor, labels: Tensor, batch: int, mean: float, std: float) -> Callable[[], float]:
    """Seconds of an epoch of Lightning's Trainer over a DataLoader of the same tensors, start-up apart."""
    module = Peer(widths, mean, std)
    loader = DataLoader(TensorDataset(images, labels), batch_size=batch, shuffle=True)

    class Clock(pl.Callback):
        def on_train_start(self, *_: Any) -> None:
            self.started = time.perf_counter()

        def on_train_end(self, *_: Any) -> None:
            self.seconds = time.perf_counter() - self.started

    def epoch() -> float:
        clock = Clock()
        trainer = pl.Trainer(max_epochs=1, barebones=True, accelerator="cpu", callbacks=[clock])
        trainer.fit(module, loader)
        return clock.seconds

    return epoch


def program_of(widths: list[int], data: Dataset, batch: int) -> Program:
    """Our program of the same network."""
    spec = StackedSpec(tuple(data.manifest.shape), widths[-1], (), tuple(widths[1:-1]), "relu", "none", "auto")
    return Program(spec, "softmax", "single", 10**6, batch, 1, "adamw", "constant", 0.0, None)


def ours(widths: list[int], data: Dataset, batch: int) -> Callable[[], None]:
    """One epoch of our training."""
    lane = Lane(0, RATE, DECAY, (0.9, 0.999), 0.9, DROPOUT, 0.0, None, 0, "val_loss")
    policy = validated(ImagePolicy, yaml.safe_load((CONF / "augment/none.yaml").read_text()), "augment")
    training = Training(program_of(widths, data, batch), [lane], data, [Views([], policy, "none")], torch.device("cpu"))

    def epoch() -> None:
        training.train_epoch()
        training.end_epoch({"val": [{"loss": 0.0, "accuracy": 0.0}]})

    return epoch


def timed(epoch: Callable[[], Any]) -> float:
    """Seconds of one epoch; the callee's own clock if it has one."""
    started = time.perf_counter()
    own = epoch()
    return own if isinstance(own, float) else time.perf_counter() - started


def measure(row: str, data: Dataset, widths: list[int], batch: int, rounds: int, threads: int) -> None:
    """Epochs in turns; ratios per round."""
    train = data.split("train")
    images, labels = torch.from_numpy(np.array(train.inputs)), torch.from_numpy(np.array(train.labels))
    mean, std = 255 * data.manifest.fit["mean"][0], 255 * data.manifest.fit["std"][0]
    torch.set_num_threads(threads)
    runs: dict[str, Callable[[], Any]] = {
        "ours": ours(widths, data, batch),
        "bare loop": bare_loop(widths, images, labels, batch, mean, std),
        "Lightning with DataLoader": lightning(widths, images, labels, batch, mean, std),
    }
    for run in runs.values():
        timed(run)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(timed(run))
    for name, seconds in times.items():
        print(row, name, f"{len(images) / statistics.median(seconds):,.0f} samples/s")
    own = times.pop("ours")
    speeds = {"samples_per_s": len(images) / statistics.median(own)}
    write_row(row, speeds, {name: ratio(own, seconds) for name, seconds in times.items()}, threads=torch.get_num_threads())


def main() -> None:
    """Prepare the data in a scratch folder, measure, write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="artifacts/prepare of the dataset")
    parser.add_argument("--row", choices=["digits", "fashion"], required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="of all three; the usual number of ours unless given")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    data = open_dataset(options.dataset)
    widths, batch = ([64, 128, 64, 10], 64) if options.row == "digits" else ([784, 512, 256, 10], 256)
    threads = options.threads or threads_for(program_of(widths, data, batch))
    measure(f"train_step_{options.row}", data, widths, batch, options.rounds, threads)


if __name__ == "__main__":
    main()
