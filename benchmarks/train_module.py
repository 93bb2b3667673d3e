"""A user's module: training steps per second against the bare torch loop of the same module, and Lightning with a DataLoader.

All three run in one process, in turns, on the same uint8 images: gather, cast and normalise, forward, softmax cross-entropy,
backward, fused AdamW; CPU seconds of the process, one thread. Rows: train_module_mixed (convolutions, BatchNorm, attention
and dropout), train_module_residual (0.5 M parameters, BatchNorm), each at batches of 64 and 256.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from collections.abc import Callable
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
from benchmarks.own_networks import MODELS
from pipeline import extensions
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.views import Views
from pipeline.kinds.image.keys import ImagePolicy
from pipeline.model.module.spec import ModuleSpec
from pipeline.schema.base import validated
from pipeline.train.program import Lane, Program
from pipeline.train.training import Training

CONF = Path(__file__).resolve().parents[1] / "conf"
RATE, DECAY = 1e-3, 0.01
BATCHES = (64, 256)


class Peer(pl.LightningModule):
    """The module as Lightning's documentation writes it."""

    def __init__(self, net: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.net, self.mean, self.std = net, mean, std

    def training_step(self, batch: Any, _index: int) -> Tensor:
        images, labels = batch
        return F.cross_entropy(self.net((images.float() - self.mean) / self.std), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=RATE, weight_decay=DECAY, fused=True)


def bare_loop(net: nn.Module, images: Tensor, labels: Tensor, batch: int, mean: float, std: float) -> Callable[[], None]:
    """One epoch of the loop that one would write by hand."""
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


def lightning(net: nn.Module, images: Tensor, labels: Tensor, batch: int, mean: float, std: float) -> Callable[[], float]:
    """CPU seconds of an epoch of Lightning's Trainer over a DataLoader of the same tensors, start-up apart."""
    module = Peer(net, mean, std)
    loader = DataLoader(TensorDataset(images, labels), batch_size=batch, shuffle=True)

    class Clock(pl.Callback):
        def on_train_start(self, *_: Any) -> None:
            self.started = time.process_time()

        def on_train_end(self, *_: Any) -> None:
            self.seconds = time.process_time() - self.started

    def epoch() -> float:
        clock = Clock()
        trainer = pl.Trainer(max_epochs=1, barebones=True, accelerator="cpu", callbacks=[clock])
        trainer.fit(module, loader)
        return clock.seconds

    return epoch


def ours(name: str, data: Dataset, batch: int) -> Callable[[], None]:
    """One epoch of our training."""
    classes = len(data.manifest.classes)
    spec = ModuleSpec.of({"name": name, "keys": {}, "compile": False}, data.manifest.shape, classes)
    program = Program(spec, "softmax", "single", 10**6, batch, 1, "adamw", "constant", 0.0, None)
    lane = Lane(0, RATE, DECAY, (0.9, 0.999), 0.9, 0.0, 0.0, None, 0, "val_loss")
    policy = validated(ImagePolicy, yaml.safe_load((CONF / "augment/none.yaml").read_text()), "augment")
    training = Training(program, [lane], data, [Views([], policy, "none")], torch.device("cpu"))

    def epoch() -> None:
        training.train_epoch()
        training.end_epoch({"val": [{"loss": 0.0, "accuracy": 0.0}]})

    return epoch


def timed(epoch: Callable[[], Any]) -> float:
    """CPU seconds of one epoch; the callee's own clock if it has one."""
    started = time.process_time()
    own = epoch()
    return own if isinstance(own, float) else time.process_time() - started


def measured(name: str, data: Dataset, batch: int, rounds: int) -> dict[str, list[float]]:
    """Epochs in turns: CPU seconds of ours and of the peers."""
    train, shape = data.split("train"), tuple(data.manifest.shape)
    images, labels = torch.from_numpy(np.array(train.inputs)), torch.from_numpy(np.array(train.labels))
    mean, std = 255 * data.manifest.fit["mean"][0], 255 * data.manifest.fit["std"][0]
    nets = [MODELS[name](shape, len(data.manifest.classes)) for _ in range(2)]
    runs: dict[str, Callable[[], Any]] = {
        "ours": ours(name, data, batch),
        "bare loop": bare_loop(nets[0], images, labels, batch, mean, std),
        "Lightning with DataLoader": lightning(nets[1], images, labels, batch, mean, std),
    }
    for run in runs.values():
        timed(run)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(timed(run))
    return times


def main() -> None:
    """Measure and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="artifacts/prepare of the digits")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    extensions.unpack({extensions.FILE: Path(__file__).with_name("own_networks.py").read_bytes()})
    data = open_dataset(options.dataset)
    for name in MODELS:
        speeds: dict[str, float] = {}
        peers: dict[str, dict[str, float | int]] = {}
        for batch in BATCHES:
            times = measured(name, data, batch, options.rounds)
            own = times.pop("ours")
            speeds[f"samples_per_cpu_s_{batch}"] = data.manifest.counts["train"] / statistics.median(own)
            peers |= {f"{peer}, batch {batch}": ratio(own, seconds) for peer, seconds in times.items()}
        write_row(f"train_module_{name}", speeds, peers, threads=1)
        for peer, found in peers.items():
            print(f"{name}: against {peer}: {found['ratio']:.2f} [{found['min']:.2f}, {found['max']:.2f}]")


if __name__ == "__main__":
    main()
