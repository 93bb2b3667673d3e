"""A kind's keys: its classes of the sections `data` and `augment`. Imports nothing heavy."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol, cast

from pipeline.errors import ConfigError
from pipeline.kinds.extended import extended
from pipeline.kinds.kind import BUILT_IN, DEFAULT
from pipeline.schema.augment import AugmentConfig
from pipeline.schema.base import validated
from pipeline.schema.data import DataConfig


class Keys(Protocol):
    """A kind's keys."""

    DATA: type[DataConfig]
    """`data.*`: those of all kinds and its own."""
    POLICY: type[AugmentConfig]
    """`augment.*` likewise."""
    VARIED: tuple[str, ...]
    """Keys of `data.*` that a study may vary: all others are of other samples for certain."""


def keys_of(kind: str) -> Keys:
    """The keys of a kind; ConfigError where there is no such kind."""
    if kind in BUILT_IN:
        return cast(Keys, import_module(f"pipeline.kinds.{kind}.keys"))
    return cast(Keys, extended(kind))


def kind_named(params: Mapping[str, Any]) -> str:
    """The kind that the sections of params.yaml name."""
    data = params.get("data")
    kind = data.get("kind", DEFAULT) if isinstance(data, Mapping) else DEFAULT
    if not isinstance(kind, str):
        raise ConfigError(f"data.kind = {kind!r}: the name of a kind, such as {BUILT_IN[0]}")
    return kind


def data_section(params: Mapping[str, Any]) -> DataConfig:
    """The checked section `data`."""
    return validated(keys_of(kind_named(params)).DATA, params["data"], "data")


def check_installed(data: DataConfig) -> None:
    """ConfigError where a module is not installed that reading the kind needs."""
    lacking = [said for module, said in data.needs.items() if importlib.util.find_spec(module) is None]
    if lacking:
        raise ConfigError("; ".join(lacking))


def policy_section(params: Mapping[str, Any]) -> AugmentConfig:
    """The checked section `augment`."""
    return validated(keys_of(kind_named(params)).POLICY, params["augment"], "augment")
