"""The whole configuration checked before any of it is kept: its sections, how they go together, and what studies ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline import config
from pipeline.study.definitions import wrong_studies
from pipeline.train.misfits import refuse


def check(values: Mapping[str, Any]) -> None:
    """One ConfigError with all that is wrong, as far as it is known before the data are prepared."""
    problems = config.wrong(values)
    refuse([*problems, *wrong_studies(values, problems)])
