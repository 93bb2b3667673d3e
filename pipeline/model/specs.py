"""Which network a configuration means. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.backbones.tuned import NAME, OF_HEAD, building
from pipeline.kinds.inputs import Taken
from pipeline.model.module.spec import ModuleSpec
from pipeline.model.net import Spec
from pipeline.model.stacked.spec import StackedSpec

MODULE = "module"


def spec_of(model: Mapping[str, Any], taken: Taken, num_outputs: int) -> Spec:
    """From the keys of `model.*`, or of `model.json`, for inputs of this form; ConfigError where it can't take them.

    Of a pretrained network whose layers are trained `plan` is among them: all that building it needs.
    """
    if plan := model.get("plan"):
        keys = {"plan": building(plan), "head": {key: model[key] for key in OF_HEAD}}
        return ModuleSpec.of({**model, "name": NAME, "keys": keys}, taken, num_outputs)
    kind = ModuleSpec if model["arch"] == MODULE else StackedSpec
    return kind.of(model, taken, num_outputs)
