"""A kind's keys: its classes of the sections `data` and `augment`. Imports nothing heavy."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import Any, Protocol, cast

from pipeline.errors import ConfigError
from pipeline.kinds.extended import extended
from pipeline.kinds.kind import BUILT_IN, DEFAULT, HOUSE
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
    if kind in HOUSE:
        return cast(Keys, import_module(f"pipeline.kinds.{kind}.keys"))
    return cast(Keys, extended(kind))


def key_of_others(kind: str, key: str) -> str | None:
    """Of which other kinds a key of `data` or `augment` is that this one lacks; None: of none that comes along."""
    section, _, name = key.partition(".")
    part = {"data": "DATA", "augment": "POLICY"}.get(section)
    others = [other for other in BUILT_IN if part and name in getattr(keys_of(other), part).model_fields]
    if not others:
        return None
    return f"it is of data.kind = {' or '.join(others)}, and here that is {kind}: leave it out, or say data of that kind too"


def kind_named(params: Mapping[str, Any]) -> str:
    """The kind that the sections of params.yaml name."""
    data = params.get("data")
    kind = data.get("kind", DEFAULT) if isinstance(data, Mapping) else DEFAULT
    if not isinstance(kind, str):
        raise ConfigError(f"data.kind = {kind!r}: the name of a kind, such as {BUILT_IN[0]}")
    return kind


def data_section(params: Mapping[str, Any]) -> DataConfig:
    """The checked section `data`."""
    kind = kind_named(params)
    return validated(keys_of(kind).DATA, params["data"], "data", partial(key_of_others, kind))


def check_installed(data: DataConfig) -> None:
    """ConfigError where a module is not installed that reading the kind needs."""
    lacking = [said for module, said in data.needs.items() if importlib.util.find_spec(module) is None]
    if lacking:
        raise ConfigError("; ".join(lacking))


def policy_section(params: Mapping[str, Any]) -> AugmentConfig:
    """The checked section `augment`."""
    kind = kind_named(params)
    return validated(keys_of(kind).POLICY, params["augment"], "augment", partial(key_of_others, kind))
