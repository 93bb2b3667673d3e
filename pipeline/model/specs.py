"""Which network a configuration means. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.model.module.spec import ModuleSpec
from pipeline.model.net import Spec
from pipeline.model.stacked.spec import StackedSpec

MODULE = "module"


def spec_of(model: Mapping[str, Any], input_shape: Sequence[int], num_outputs: int) -> Spec:
    """From the keys of `model.*`, or of `model.json`."""
    kind = ModuleSpec if model["arch"] == MODULE else StackedSpec
    return kind.of(model, input_shape, num_outputs)
