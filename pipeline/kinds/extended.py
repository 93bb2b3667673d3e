"""Kinds of the user's own: `KINDS` of `extensions.py`."""

from __future__ import annotations

from typing import Any

from pipeline.errors import ConfigError
from pipeline.kinds.kind import BUILT_IN


def extended(name: str) -> Any:
    """The kind of this name; ConfigError where there is none."""
    raise ConfigError(f"data.kind = {name!r}: allowed are {', '.join(BUILT_IN)}")
