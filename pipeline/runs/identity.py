"""What a run is: the hash of all that its result depends on."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline import extensions, keyed
from pipeline.artifacts import digest
from pipeline.backbones.named import opened
from pipeline.closure import code_digest
from pipeline.model.precision import precision_taken
from pipeline.runs.weights import best_digest
from pipeline.schema.model import NEUTRAL as NEUTRAL_MODEL
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import NEUTRAL, NOT_IDENTITY, TrainConfig

CODE = "pipeline/train/fit.py"
"""What a run's code digest covers: this file's imports."""


@dataclass(frozen=True)
class Identity:
    """The hashes of a run. Two runs of one `run` hash have the same weights on one machine."""

    config: str
    dataset: str
    views: str
    code: str
    run: str
    without_code: str
    """Finds a run of this configuration and data under other code."""
    without_epochs: str
    """Finds a shorter run of this configuration."""


def identity(
    model: ModelConfig,
    train: TrainConfig,
    kind: str,
    dataset: str,
    views: str,
    device: str,
    reduce: str = "exact",
    prepared: str | None = None,
) -> Identity:
    """The identity of a run on prepared data (its kind and digest) and augmented copies (their digest).

    reduce: how the gradients of several workers are summed; "exact" gives what one worker gives, so it counts as that.
    prepared: of features, the digest of the dataset that they were made of, on which theirs depends.
    """
    keys: dict[str, Any] = {"model": _model_keys(model, kind), "train": _identity_keys(train)}
    keys["train"]["precision"] = precision_taken(train.precision, model.arch, device)
    rest = {"dataset": dataset, "views": views, "torch": version("torch"), "device": device, "contract": keyed.CONTRACT}
    rest |= {} if reduce == "exact" else {"reduce": reduce}
    code = training_code(kind, extended=model.extended)
    # The warm-up that is taken: a run too short for all of it is not the beginning of a longer one.
    length = {"epochs": None, "warmup_epochs": train.warmup_taken}
    shorter = {**keys, "train": {**keys["train"], **length}}
    return Identity(
        config=digest(keys),
        dataset=prepared or dataset,
        views=views,
        code=code,
        run=digest([keys, rest, code]),
        without_code=digest([keys, rest]),
        without_epochs=digest([shorter, rest, code]),
    )


def training_code(kind: str | None, *, extended: bool) -> str:
    """A digest of the code that a run's result depends on, for a kind of data (None: all kinds).

    Where its network comes from `extensions.py`, of that too.
    """
    code = code_digest(CODE, kind)
    return digest([code, extensions.digest()]) if extended else code


def _model_keys(model: ModelConfig, kind: str) -> dict[str, Any]:
    """Of another run's weights what they are, not what that run is called; likewise of a pretrained network."""
    named = model.model_dump(exclude={"backbone_path", "backbone_kept"})  # of one that makes features theirs is enough
    if model.is_tuned:
        own = opened(str(model.backbone), Path(model.backbone_path), kind)
        named["backbone"] = [own.digest, *own.libraries]
    keys = {name: value for name, value in named.items() if NEUTRAL_MODEL.get(name, ...) != value}
    return keys if model.init_from is None else keys | {"init_from": best_digest(model.init_from)}


def _identity_keys(train: TrainConfig) -> dict[str, Any]:
    every = train.model_dump().items()
    return {name: value for name, value in every if name not in NOT_IDENTITY and NEUTRAL.get(name) != value}
