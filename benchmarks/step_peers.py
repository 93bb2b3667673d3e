"""What the step benchmarks share: the epoch of a bare torch loop, of Lightning's Trainer and of ours, and their turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
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
from pipeline.model.net import FULL
from pipeline.schema.augment import AugmentConfig
from pipeline.schema.base import validated
from pipeline.train.program import Lane, Program
from pipeline.train.training import Training

CONF = Path(__file__).resolve().parents[1] / "conf"
RATE, DECAY = 1e-3, 0.01
Clock = Callable[[], float]


def lane_of(dropout: float) -> Lane:
    """A run of AdamW by whose settings ours and the peers are trained."""
    return Lane(0, RATE, DECAY, (0.9, 0.999), 0.9, dropout, 0.0, None, 0, "val_loss")


@dataclass(frozen=True)
class Recipe:
    """What a program and a run of it say, as one writes it with torch: of one learning rate, and all weights decay alike."""

    program: Program
    lane: Lane
    mean: Tensor
    std: Tensor
    """Of each channel (C, 1, 1), of values as they are stored."""

    @classmethod
    def of(cls, program: Program, lane: Lane, data: Dataset) -> Recipe:
        """With what was fitted to images."""
        mean, std = (255 * torch.tensor(data.manifest.fit[name]).view(-1, 1, 1) for name in ("mean", "std"))
        return cls(program, lane, mean, std)

    def optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        """Fused, as ours."""
        own = self.lane
        settings: dict[str, Any] = {"lr": own.learning_rate, "weight_decay": own.weight_decay, "fused": True}
        if self.program.optimizer == "adamw":
            return torch.optim.AdamW(net.parameters(), betas=own.betas, **settings)
        return torch.optim.SGD(net.parameters(), momentum=own.momentum, nesterov=own.nesterov, **settings)

    def loss(self, net: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Of images as stored (B, C, H, W)."""
        return F.cross_entropy(net((images.float() - self.mean) / self.std), labels, label_smoothing=self.lane.label_smoothing)


class Peer(pl.LightningModule):
    """A network as Lightning's documentation writes it."""

    def __init__(self, net: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.net, self.recipe = net, recipe

    def training_step(self, batch: Any, _index: int) -> Tensor:
        return self.recipe.loss(self.net, *batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.recipe.optimizer(self.net)


def bare_loop(net: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe) -> Callable[[], None]:
    """One epoch of the loop that one would write by hand."""
    optimizer, batch = recipe.optimizer(net), recipe.program.batch_size
    mixed = recipe.program.precision != FULL

    def epoch() -> None:
        net.train()
        order = torch.randperm(len(images))
        for first in range(0, len(images), batch):
            rows = order[first : first + batch]
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                loss = recipe.loss(net, images[rows], labels[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return epoch


def lightning(net: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe, clock: Clock) -> Callable[[], float]:
    """Seconds of an epoch of Lightning's Trainer over a DataLoader of the same tensors, start-up apart."""
    module = Peer(net, recipe)
    loader = DataLoader(TensorDataset(images, labels), batch_size=recipe.program.batch_size, shuffle=True)

    class Times(pl.Callback):
        def on_train_start(self, *_: Any) -> None:
            self.started = clock()

        def on_train_end(self, *_: Any) -> None:
            self.seconds = clock() - self.started

    def epoch() -> float:
        times, precision = Times(), recipe.program.precision
        trainer = pl.Trainer(max_epochs=1, barebones=True, accelerator="cpu", precision=precision, callbacks=[times])
        trainer.fit(module, loader)
        return times.seconds

    return epoch


def ours(program: Program, lane: Lane, data: Dataset, policy: AugmentConfig | None = None) -> Callable[[], None]:
    """One epoch of our training. policy: of the data's kind, where it is another than images."""
    policy = policy or validated(ImagePolicy, yaml.safe_load((CONF / "augment/none.yaml").read_text()), "augment")
    training = Training(program, [lane], data, [Views([], policy, "none")], torch.device("cpu"))

    def epoch() -> None:
        training.train_epoch()
        training.end_epoch({"val": [{"loss": 0.0, "accuracy": 0.0}]})

    return epoch


def in_turns(
    program: Program,
    lane: Lane,
    make_net: Callable[[], nn.Module],
    data: Dataset,
    rounds: int,
    clock: Clock = time.perf_counter,
    others: Mapping[str, Callable[[], Any]] = MappingProxyType({}),
) -> dict[str, list[float]]:
    """Seconds of each epoch of ours, of the peers and of others, after one of each to warm up."""
    train = data.split("train")
    images, labels = torch.from_numpy(np.array(train.inputs)), torch.from_numpy(np.array(train.labels))
    recipe = Recipe.of(program, lane, data)
    runs: Mapping[str, Callable[[], Any]] = {
        "ours": ours(program, lane, data),
        "bare loop": bare_loop(make_net(), images, labels, recipe),
        "Lightning with DataLoader": lightning(make_net(), images, labels, recipe, clock),
        **others,
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
