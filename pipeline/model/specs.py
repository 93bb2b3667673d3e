"""Which network a configuration means. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.kinds.inputs import Taken
from pipeline.model.module.spec import ModuleSpec
from pipeline.model.net import Spec
from pipeline.model.stacked.spec import StackedSpec

MODULE = "module"


def spec_of(model: Mapping[str, Any], taken: Taken, num_outputs: int) -> Spec:
    """From the keys of `model.*`, or of `model.json`, for inputs of this form; ConfigError where it can't take them."""
    kind = ModuleSpec if model["arch"] == MODULE else StackedSpec
    return kind.of(model, taken, num_outputs)
