"""Kinds of the user's own: `KINDS` of `extensions.py`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pipeline import extensions
from pipeline.artifacts import digest
from pipeline.errors import ConfigError
from pipeline.kinds.kind import BUILT_IN, BadSampleError

NEEDED = (
    "DATA", "POLICY", "VARIED", "NUM_FACTS", "NOUN", "max_bytes", "described", "inspect", "layout", "decode", "fit",
    "from_cell", "input_shape", "to_input", "check_inputs", "batch_views", "engine_versions",
    "check_policy",
    "advised", "shown", "preview",
)  # fmt: skip
"""What the parts of a kind have, by their protocols."""


def code_for(kind: str, code: str) -> str:
    """A digest of code together with that of the user's own, where the kind is the user's."""
    return code if kind in BUILT_IN else digest([code, extensions.digest()])


class _Told:
    """A user's kind, whose functions raise what is told; BadSampleError and errors that have words already are as they are."""

    def __init__(self, name: str, kind: Any) -> None:
        self._name, self._kind = name, kind

    def __getattr__(self, part: str) -> Any:
        if part.startswith("__") or part in ("_name", "_kind"):  # while it comes out of a pickle it has none yet
            raise AttributeError(part)
        value = getattr(self._kind, part)
        return partial(_called, self._name, part, value) if callable(value) and not isinstance(value, type) else value


def _called(name: str, part: str, function: Callable[..., Any], *values: Any, **named: Any) -> Any:
    with extensions.told(f"data.kind = {name!r}: {part}", BadSampleError):
        return function(*values, **named)


def extended(name: str) -> Any:
    """The kind of this name; ConfigError where there is none, or it lacks something."""
    found = extensions.registered_objects(extensions.KINDS)
    if name not in found:
        allowed = ", ".join([*BUILT_IN, *found])
        raise ConfigError(f"data.kind = {name!r}: allowed are {allowed}; more are registered in KINDS of {extensions.FILE}")
    lacking = [part for part in NEEDED if not hasattr(found[name], part)]
    if lacking:
        raise ConfigError(f"{extensions.FILE}: KINDS[{name!r}] lacks {', '.join(lacking)} (docs/kinds.md)")
    if (own := found[name].POLICY.kind) and own != name:
        raise ConfigError(f"{extensions.FILE}: KINDS[{name!r}].POLICY.kind = {own!r}: must be {name!r}")
    return _Told(name, found[name])
