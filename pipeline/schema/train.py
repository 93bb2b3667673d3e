"""How the network is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.errors import ConfigError
from pipeline.metrics import Monitor
from pipeline.schema.base import Section, nearest

NOT_IDENTITY = ("device", "threads", "save_every_s", "callbacks", "profiler", "members")
"""Keys of `train` that are not part of a run: the device type is counted by itself, threads may change the last bits,
callbacks and profilers watch, and each member is a run of its own."""
_LATER = {"nesterov": False, "ema": 0.0, "tta": "none", "mixup": 0.0, "cutmix": 0.0, "balance": "none"}
NEUTRAL = {**_LATER, "transferred_rate": 1.0, "unfreeze_epoch": None, "per_class": None}
"""Keys that came later, and the values with which a run is what it was before."""
Positive = Annotated[int, Field(ge=1)]
Precision = Literal["32-true", "bf16-mixed"]
"""Of products, as Lightning names it."""
Beta = Annotated[float, Field(ge=0.0, lt=1.0)]


class FactorsConfig(Section):
    """An entry of `train.factors`: tensors by their names, and what their settings are multiplied by."""

    name: Annotated[str, Field(min_length=1)]
    """A pattern, such as dense1.* or *.bias; several that fit are multiplied."""
    learning_rate: Annotated[float, Field(ge=0.0)] = 1.0
    weight_decay: Annotated[float, Field(ge=0.0)] = 1.0


class TrainConfig(Section):
    """`train.*`."""

    seed: Annotated[int, Field(ge=0, lt=2**63)]
    epochs: Positive
    batch_size: Positive
    """Samples; where there are fewer for training, a power of two of at most a quarter of them is taken."""
    limit: Positive | None
    """Train on this many samples, a fixed subset that every larger one contains, classes in their shares; null: on all."""
    per_class: Positive | None
    """Train on so many samples of each class, or all of one that has fewer, likewise fixed; null: as `limit` says."""
    accumulate: Positive
    """Cut a batch into this many micro-batches, one after the other: less memory, same batch."""
    shards: Positive
    """Cut a batch into this many shards whose gradients are summed in a fixed binary tree: a power of two."""
    optimizer: Literal["adamw", "sgd"]
    learning_rate: Annotated[float, Field(gt=0.0)]
    weight_decay: Annotated[float, Field(ge=0.0)]
    decayed: Literal["matrices", "all"]
    """What is decayed: "matrices" leaves out biases and the scales and shifts of norms."""
    factors: list[FactorsConfig]
    """Other learning rates or decays for some tensors, by name."""
    transferred_rate: Annotated[float, Field(gt=0.0)]
    """What the learning rate of tensors that model.init_from has given is multiplied by."""
    unfreeze_epoch: Positive | None
    """From this epoch on the blocks of model.freeze are trained, too; null: never."""
    betas: Annotated[list[Beta], Field(min_length=2, max_length=2)]
    """AdamW's two averaging factors."""
    momentum: Beta
    """SGD's momentum."""
    nesterov: bool
    """SGD's momentum as Nesterov's (Sutskever et al. 2013): the gradient counts as if the next step had been begun."""
    schedule: Literal["constant", "cosine", "one_cycle"]
    warmup_epochs: Annotated[float, Field(ge=0.0)]
    """Epochs of linear rise from zero, at most half of all; for one_cycle the rising part of the cycle."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)]
    balance: Literal["none", "weights", "logits", "sampling"]
    """For rare classes: weights lets a sample's loss count by how rare its class is, logits has the network learn what remains
    beside the logarithms of the classes' shares, sampling draws each class as often as the others. Losses of validation, and
    probabilities, are of the data as they are."""
    mixup: Annotated[float, Field(ge=0.0)]
    """Blend each sample with another one of its batch, in shares of Beta(mixup, mixup), labels likewise; 0: not."""
    cutmix: Annotated[float, Field(ge=0.0)]
    """Paste a box of another sample of the batch, of a share of Beta(cutmix, cutmix); beside mixup in half of them; 0: not."""
    ema: Beta
    """Judge and keep an exponential mean of the weights over steps, of this decay, such as 0.99; 0: the weights themselves."""
    tta: Literal["none", "mirrored"]
    """Test-time averaging: mirrored judges, and answers, by the mean over each sample and its mirror image."""
    members: Annotated[int, Field(ge=1, le=64)]
    """Train so many networks, of the seeds from `seed` on, one after the other, whose mean answer is given."""
    clip_norm: Annotated[float, Field(gt=0.0)] | None
    """Largest norm of a step's gradient; null: no clipping."""
    early_stop: Annotated[int, Field(ge=0)]
    """Stop after this many epochs without a better `monitor`; 0: never."""
    monitor: Monitor
    """What the best epoch is chosen by, of all validation samples: of classes also val_accuracy, val_macro_f1,
    val_balanced_accuracy, val_roc_area or val_average_precision; of several labels val_micro_f1 or val_exact_match in place of
    balanced accuracy; of numbers val_mae or val_rmse."""
    device: Literal["auto", "cpu", "cuda"]
    precision: Precision | Literal["auto"]
    """bf16-mixed: products in bfloat16, weights and sums in float32; of a torch module. auto: that where the device computes in
    bfloat16 by itself, else 32-true."""
    callbacks: list[str]
    """Callbacks of Lightning's that watch: names in `extensions.CALLBACKS`."""
    profiler: Literal["simple", "advanced"] | None
    """Lightning's, whose table is written to the run's folder."""
    threads: Positive | None
    """CPU threads; null: one per core that this process may use, or one alone where steps are small or in a study's groups."""
    save_every_s: Annotated[float, Field(ge=0.0)]
    """Seconds between two saves of the resume state; 0: after each epoch."""

    @model_validator(mode="after")
    def _fits(self) -> TrainConfig:
        problems = []
        if self.shards & (self.shards - 1):
            problems.append(f"shards = {self.shards} must be a power of two (1, 2, 4, ...)")
        if self.accumulate & (self.accumulate - 1):
            problems.append(f"accumulate = {self.accumulate} must be a power of two (1, 2, 4, ...)")
        if self.shards * self.accumulate > self.batch_size:
            problems.append(
                f"shards x accumulate = {self.shards * self.accumulate} must not exceed batch_size = {self.batch_size}"
            )
        if self.limit is not None and self.per_class is not None:
            problems.append(f"limit = {self.limit} beside per_class = {self.per_class}: say one of them, and null to the other")
        if self.per_class is not None and self.balance != "none":
            problems.append(
                f"per_class = {self.per_class}: takes as many of each class already; say train.balance=none beside it"
            )
        if self.nesterov and not (self.optimizer == "sgd" and self.momentum):
            problems.append(
                "nesterov = True: it is of optimizer = sgd with momentum; say train.nesterov=false, or train.optimizer=sgd"
            )
        problems += self._unknown_callbacks()
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _unknown_callbacks(self) -> list[str]:
        """Imports `extensions.py` where there are any."""
        if not self.callbacks:
            return []
        from pipeline import extensions

        try:
            known = extensions.registered(extensions.CALLBACKS)
        except ConfigError as error:
            return [str(error)]
        hints = {name: nearest(name, known) for name in self.callbacks if name not in known}
        there = ", ".join(known) or "none yet"
        return [
            f"callbacks has {name}: extensions.CALLBACKS has {there}{f'; did you mean {near}?' if near else ''}"
            for name, near in hints.items()
        ]

    @property
    def warmup_taken(self) -> float:
        """Epochs: so that a short run needs no other `warmup_epochs`, at most half of `epochs`."""
        return min(self.warmup_epochs, self.epochs / 2)

    def batch_taken(self, num_train: int) -> int:
        """Samples of a batch, so that a small dataset needs no other `batch_size`.

        Where it is more than the training samples, the largest power of two that is at most a quarter of them, but no
        less than the shards that a batch is cut into.
        """
        if self.batch_size <= num_train:
            return self.batch_size
        return max(1 << (max(1, num_train // 4).bit_length() - 1), self.shards * self.accumulate)
