"""What the step benchmarks share: the epoch of a bare torch loop, of Lightning's Trainer and of ours, and their turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from pipeline.data.dataset import Dataset
from pipeline.data.views import Views
from pipeline.kinds.image.keys import ImagePolicy
from pipeline.schema.augment import AugmentConfig
from pipeline.schema.base import validated
from pipeline.train.program import Lane, Program
from pipeline.train.training import Training

CONF = Path(__file__).resolve().parents[1] / "conf"
RATE, DECAY = 1e-3, 0.01
Clock = Callable[[], float]


class Peer(pl.LightningModule):
    """A network as Lightning's documentation writes it."""

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


def lightning(
    net: nn.Module, images: Tensor, labels: Tensor, batch: int, mean: float, std: float, clock: Clock
) -> Callable[[], float]:
    """Seconds of an epoch of Lightning's Trainer over a DataLoader of the same tensors, start-up apart."""
    module = Peer(net, mean, std)
    loader = DataLoader(TensorDataset(images, labels), batch_size=batch, shuffle=True)

    class Times(pl.Callback):
        def on_train_start(self, *_: Any) -> None:
            self.started = clock()

        def on_train_end(self, *_: Any) -> None:
            self.seconds = clock() - self.started

    def epoch() -> float:
        times = Times()
        trainer = pl.Trainer(max_epochs=1, barebones=True, accelerator="cpu", callbacks=[times])
        trainer.fit(module, loader)
        return times.seconds

    return epoch


def ours(program: Program, dropout: float, data: Dataset, policy: AugmentConfig | None = None) -> Callable[[], None]:
    """One epoch of our training. policy: of the data's kind, where it is another than images."""
    lane = Lane(0, RATE, DECAY, (0.9, 0.999), 0.9, dropout, 0.0, None, 0, "val_loss")
    policy = policy or validated(ImagePolicy, yaml.safe_load((CONF / "augment/none.yaml").read_text()), "augment")
    training = Training(program, [lane], data, [Views([], policy, "none")], torch.device("cpu"))

    def epoch() -> None:
        training.train_epoch()
        training.end_epoch({"val": [{"loss": 0.0, "accuracy": 0.0}]})

    return epoch


def in_turns(
    program: Program,
    dropout: float,
    make_net: Callable[[], nn.Module],
    data: Dataset,
    rounds: int,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each epoch of ours and of the peers, after one of each to warm up."""
    train = data.split("train")
    images, labels = torch.from_numpy(np.array(train.inputs)), torch.from_numpy(np.array(train.labels))
    mean, std = 255 * data.manifest.fit["mean"][0], 255 * data.manifest.fit["std"][0]
    runs: Mapping[str, Callable[[], Any]] = {
        "ours": ours(program, dropout, data),
        "bare loop": bare_loop(make_net(), images, labels, program.batch_size, mean, std),
        "Lightning with DataLoader": lightning(make_net(), images, labels, program.batch_size, mean, std, clock),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(1 + rounds):
        for name, run in runs.items():
            seconds = _timed(run, clock)
            if i:
                times[name].append(seconds)
    return times


def _timed(epoch: Callable[[], Any], clock: Clock) -> float:
    """Of one epoch; the callee's own if it tells them."""
    started = clock()
    told = epoch()
    return told if isinstance(told, float) else clock() - started
