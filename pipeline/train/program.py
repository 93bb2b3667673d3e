"""What one training program computes: the part of the configuration that runs side by side share, and each run's own."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.backbones.tuned import cast_of, planned, taken_of
from pipeline.data.dataset import Manifest, Task
from pipeline.data.features import backbone_of, made_by
from pipeline.errors import ConfigError
from pipeline.kinds.inputs import Cast, Taken, inputs_of, taken
from pipeline.kinds.kind import FEATURES, HOUSE
from pipeline.metrics import MEASURES, Measure
from pipeline.model.net import FULL, Spec
from pipeline.model.objective import Scale, chosen_loss, num_outputs
from pipeline.model.precision import precision_taken
from pipeline.model.specs import spec_of
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import Precision, TrainConfig
from pipeline.train.device import device_type
from pipeline.train.groups import Factors, check_factors
from pipeline.train.kept import Kept
from pipeline.train.misfits import alone, of_kind, of_task, refuse
from pipeline.train.monitors import tells_apart
from pipeline.train.transfer import Start, start_of

if TYPE_CHECKING:
    from pipeline.model.balance import Balance  # which imports torch

SMALL_STEP_FLOPS = 50_000_000
CROWDED = 0.5
"""Cores taken by others from which on several threads are worth a word."""


@dataclass(frozen=True)
class Lane:
    """What may differ between runs of one program."""

    seed: int
    learning_rate: float
    weight_decay: float
    betas: tuple[float, float]
    momentum: float
    dropout: float
    label_smoothing: float
    clip_norm: float | None
    early_stop: int
    monitor: str
    mixup: float = 0.0
    cutmix: float = 0.0
    nesterov: bool = False
    ema: float = 0.0


@dataclass(frozen=True)
class Program:
    """What runs must share to be trained side by side: shapes, batches, number of steps."""

    spec: Spec
    loss: str
    task: Task
    epochs: int
    batch_size: int
    shards: int
    """Micro-batches of a batch, whose gradients are summed in a fixed binary tree."""
    optimizer: str
    schedule: str
    warmup_epochs: float
    limit: int | None
    """Training samples used, a fixed subset; None: all."""
    per_class: int | None = None
    """How many of each class that subset has at most; None: classes are in their shares."""
    decayed: str = "matrices"
    factors: tuple[Factors, ...] = ()
    precision: Precision = FULL
    balance: Balance | None = None
    """How training is balanced for rare classes."""
    scale: Scale | None = None
    """Of numbers: how they are standardised."""
    start: Start | None = None
    """Another run's weights, which its networks start from."""
    unfreeze_epoch: int | None = None
    """From which on the tensors that `start` holds are stepped, too, from 1; None: never."""
    tta: str = "none"
    """`mirrored`: answers are means over a sample and its mirror image."""
    plan: Mapping[str, Any] | None = field(default=None, compare=False)
    """Of a pretrained network whose layers are trained: how its inputs are made, and all else that building it needs."""
    own_kind: bool = False
    """Whether what a sample is is the user's own code."""
    own_network: bool = False
    """Likewise the network, or the pretrained one that makes its inputs."""

    @property
    def extended(self) -> bool:
        """Whether the user's own code is part of what comes of it."""
        return self.own_network or self.own_kind

    @property
    def kept(self) -> Kept:
        """What a state keeps of its networks; what is trained later on is among it from the beginning."""
        start = self.start if self.unfreeze_epoch is None else None
        whole = {name: start.tensors[name].values for name in start.held if start.tensors[name].rows is None} if start else {}
        return Kept(self.spec.layout(), whole)

    @property
    def measure(self) -> Measure:
        """What an epoch counts of its samples beside their loss."""
        return MEASURES[self.task]

    def cast(self, data: Manifest, device: Any) -> Cast:
        """From rows as stored to inputs: the kind's, or a pretrained network's own."""
        if self.plan:
            return cast_of(self.plan, data.shape, device)
        return inputs_of(data.kind).to_input(data.fit, data.shape, device)

    def labels(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Labels as they are trained: classes as they are stored, numbers (N, T) standardised."""
        return self.scale.standardised(stored) if self.scale else np.array(stored)


def program_of(model: ModelConfig, train: TrainConfig, data: Manifest, device: str | None = None) -> tuple[Program, Lane]:
    """Split a run's configuration into its program and its own settings; ConfigError where it does not fit the data.

    data: of the features of a pretrained network where there is one, or of what it makes them of. device: cpu or cuda, on
    which it is trained; None: here.
    """
    made = made_by(model, data, device or device_type(train.device)) if data.kind != FEATURES else None
    data = made.manifest if made else data
    _check_per_class(train, data)
    num_train = data.num_train(train.limit, train.per_class)
    batch_size = _batch_size(train, data, num_train)
    _check_task(model, train, data)
    _check_dropout(model, batch_size)
    refuse(alone(model, train))
    precision = cast(Precision, precision_taken(train.precision, model.arch, device or device_type(train.device)))
    refuse(of_kind(train, data.kind))
    loss = chosen_loss(model.loss, data.task, len(data.classes))
    outputs = num_outputs(loss, data.task, len(data.classes or data.targets))
    backbone = backbone_of(model, data) if model.is_tuned else None
    plan = planned(backbone, data.shape, data.lengths) if backbone else None
    inputs = taken_of(plan) if plan else taken(data.kind, data.fit, data.shape, data.lengths)
    _check_blending(train, inputs)
    start = start_of(model, train, data, inputs, outputs, backbone, plan)
    program = Program(
        start=start,
        unfreeze_epoch=train.unfreeze_epoch,
        spec=spec_of(model.model_dump() | {"precision": precision, "plan": plan}, inputs, outputs),
        plan=plan,
        loss=loss,
        task=data.task,
        epochs=train.epochs,
        batch_size=batch_size,
        shards=train.shards * train.accumulate,
        optimizer=train.optimizer,
        schedule=train.schedule,
        warmup_epochs=train.warmup_taken,
        limit=num_train if num_train < data.counts["train"] else None,
        per_class=train.per_class if num_train < data.counts["train"] else None,
        decayed=train.decayed,
        precision=precision,
        tta=train.tta,
        own_kind=data.kind not in HOUSE,
        own_network=model.extended,
        balance=_balance(train, data, loss),
        scale=Scale.of(data.target_fit),
        factors=(
            *(Factors(own.name, own.learning_rate, own.weight_decay) for own in train.factors),
            *(start.factors if start else ()),
        ),
    )
    program.spec.check(_fewest_rows(num_train, program))
    check_factors(program.spec.layout(), program.factors)
    return program, _lane_of(model, train)


def _check_per_class(train: TrainConfig, data: Manifest) -> None:
    """ConfigError where a sample is not of one class."""
    if train.per_class is not None and data.task != "single":
        what = "several labels a sample" if data.task == "multi" else "numbers"
        raise ConfigError(
            f"train.per_class = {train.per_class}: the data has {what}, not one of several classes; say train.limit=N instead"
        )


def _batch_size(train: TrainConfig, data: Manifest, num_train: int) -> int:
    """The samples of a batch; ConfigError where there are too few samples for one, or none to choose an epoch by."""
    if not data.counts["val"]:
        raise ConfigError(
            "prepare.val_fraction: the validation split is empty, and the best epoch is chosen on it; choose e.g. 0.1"
        )
    batch_size = train.batch_taken(num_train)
    if batch_size > num_train:
        raise ConfigError(
            f"train.shards x train.accumulate = {train.shards * train.accumulate}: there are {num_train} training "
            "samples, and a batch has one for each at least; choose at most that"
        )
    return batch_size


def _check_dropout(model: ModelConfig, batch_size: int) -> None:
    """ConfigError where more units would be dropped than are counted."""
    if model.dropout and batch_size * max(model.widths, default=0) >= 2**31:
        raise ConfigError(f"train.batch_size = {batch_size}: times the widest layer it must stay below 2**31 for dropout")


def _lane_of(model: ModelConfig, train: TrainConfig) -> Lane:
    return Lane(
        seed=train.seed,
        learning_rate=train.learning_rate,
        weight_decay=train.weight_decay,
        betas=(train.betas[0], train.betas[1]),
        momentum=train.momentum,
        dropout=model.dropout,
        label_smoothing=train.label_smoothing,
        mixup=train.mixup,
        cutmix=train.cutmix,
        nesterov=train.nesterov,
        ema=train.ema,
        clip_norm=train.clip_norm,
        early_stop=train.early_stop,
        monitor=train.monitor,
    )


def batch_note(train: TrainConfig, program: Program, data: Manifest) -> str | None:
    """What is said where there are fewer training samples than a batch has; None where there are not."""
    if program.batch_size == train.batch_size:
        return None
    num = data.num_train(program.limit)
    return f"train.batch_size = {train.batch_size}: {program.batch_size} are taken, since there are {num} training samples"


def _balance(train: TrainConfig, data: Manifest, loss: str) -> Balance | None:
    if train.balance == "none":
        return None
    from pipeline.model.balance import Balance

    counts = data.class_counts["train"]
    of_outputs = counts[-1:] if num_outputs(loss, data.task, len(counts)) == 1 else counts
    return Balance.of(train.balance, loss, of_outputs, data.counts["train"])


def _check_task(model: ModelConfig, train: TrainConfig, data: Manifest) -> None:
    """ConfigError where keys do not suit what is to be predicted."""
    if model.loss == "softmax" and data.task == "multi":
        raise ConfigError("model.loss = 'softmax': the data has several labels per sample; choose sigmoid or auto")
    if model.loss == "sigmoid" and data.task == "single" and len(data.classes) != 2:
        raise ConfigError(
            f"model.loss = 'sigmoid': the data has one of {len(data.classes)} classes per sample; choose softmax or auto"
        )
    refuse(of_task(model, train, data.task))
    _check_sampling(train, data)
    if not tells_apart(train.monitor, data):
        raise ConfigError(
            f"train.monitor = {train.monitor!r}: no class of the validation split has samples there and others beside it; "
            "say train.monitor=val_loss"
        )


def _check_sampling(train: TrainConfig, data: Manifest) -> None:
    """ConfigError where no class can be drawn as often as the others."""
    if train.balance == "sampling" and data.task == "multi":
        raise ConfigError(
            "train.balance = 'sampling': a sample of several labels is drawn with all of them, so that a frequent label comes "
            "along with rare ones and no label comes as often as it is absent; say train.balance=weights, or logits"
        )


def _check_blending(train: TrainConfig, inputs: Taken) -> None:
    """ConfigError where samples are to be mixed that are no numbers of one shape."""
    if (train.mixup or train.cutmix) and (inputs.lengths or inputs.num_tokens):
        key, what = "mixup" if train.mixup else "cutmix", "rows of different lengths" if inputs.lengths else "tokens"
        raise ConfigError(f"train.{key} = {getattr(train, key)}: {what} can't be mixed; say train.{key}=0")


def _fewest_rows(num_train: int, program: Program) -> int:
    """Of the smallest shard that is not empty, in a whole batch or in an epoch's last one."""
    batches = (program.batch_size, num_train % program.batch_size)
    ends = [[rows * j // program.shards for j in range(program.shards + 1)] for rows in batches if rows]
    return min(b - a for own in ends for a, b in itertools.pairwise(own) if a < b)


def threads_for(program: Program, asked: int | None = None, shards: int = 1) -> int:
    """CPU threads: those asked for, or one where a step is so small that waiting for each other costs more than sharing gains.

    One, too, where batches are cut into shards for workers: their sums must not depend on how many cores a machine has.

    Two threads bring a step of 7 MFLOP 1.1 x, one of 820 MFLOP 1.5 x; beside another such program on the same cores the small
    one becomes 40 x slower with two threads, and not with one (measured on 2 cores).
    """
    if asked:
        return asked
    step = 3 * program.spec.forward_flops() * program.batch_size
    return 1 if step < SMALL_STEP_FLOPS or shards > 1 else len(os.sched_getaffinity(0))


def crowded_note(threads: int, taken: float) -> str | None:
    """What is said where threads that wait for each other share cores with other programs, which take so many of them.

    Their number stays: with another one a network has other last bits, and a run would depend on what else the machine had
    to do. Measured on 2 cores beside another program: 164 samples per CPU second with two threads, 600 with one, since
    convolutions wait at barriers by spinning, which OMP_WAIT_POLICY does not change.
    """
    if threads == 1 or taken < CROWDED:
        return None
    return (
        f"other programs take {taken:.1f} of this machine's cores, and {threads} threads of one training wait for each "
        "other; train.threads=1 needs less of a busy machine, with other last bits of the weights"
    )


def rate_factor(program: Program, step: int, steps_per_epoch: int) -> float:
    """The share of the learning rate at a step (0-based).

    constant: after a linear warm-up 1. cosine: then half a cosine to 0 (Loshchilov and Hutter 2017). one_cycle: a cosine
    from 1/25 up to 1 over the warm-up and down to 1/250000 (Smith and Topin 2018, with the shape of torch's OneCycleLR).
    """
    rising = program.warmup_epochs * steps_per_epoch
    total = program.epochs * steps_per_epoch
    if step < rising:
        done = (step + 1) / rising
        return 1 / 25 + (1 - 1 / 25) * _rise(min(1.0, done)) if program.schedule == "one_cycle" else min(1.0, done)
    if program.schedule == "constant":
        return 1.0
    left = 1 - _rise((step - rising) / max(1.0, total - rising))
    return max(left, 1 / 250000) if program.schedule == "one_cycle" else left


def _rise(share: float) -> float:
    return 0.5 * (1 - math.cos(math.pi * share))


def lane_seeds(lanes: Sequence[Lane]) -> list[int]:
    """The seed of each run."""
    return [lane.seed for lane in lanes]
