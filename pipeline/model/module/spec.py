"""A torch module as it is planned. Imports torch only to measure or to build it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.backbones.tuned import NAME
from pipeline.kinds.inputs import Lengths, Taken
from pipeline.model.net import FULL, Layout

if TYPE_CHECKING:
    import torch

    from pipeline.model.module.network import ModuleNet


@dataclass(frozen=True)
class ModuleSpec:
    """A name of `pipeline.networks`, or in `extensions.MODELS`, with the keys that its function is called with."""

    input_shape: tuple[int, ...]
    num_outputs: int
    name: str
    keys: str
    """JSON, sorted."""
    compiled: bool
    precision: str = FULL
    """As Lightning names it: 32-true, or bf16-mixed, in which products are in bfloat16."""
    lengths: Lengths | None = None
    """Of ragged inputs, whose forward takes (x, lengths); None: inputs are of the one shape."""
    num_tokens: int | None = None
    """Inputs are whole numbers below this; None: they are float32."""
    weighted: bool = False
    """Inputs are items (token, weight), float32."""

    @classmethod
    def of(cls, model: Mapping[str, Any], taken: Taken, num_outputs: int) -> ModuleSpec:
        """From the keys of a model's configuration."""
        keys = json.dumps(model["keys"], sort_keys=True)
        own = model["name"], keys, model["compile"], model.get("precision", FULL)
        return cls(taken.shape, num_outputs, *own, taken.lengths, taken.num_tokens, taken.weighted)

    @property
    def max_lanes(self) -> int:
        return 1

    @property
    def num_inputs(self) -> int:
        return math.prod(self.input_shape) * (self.lengths[-1] if self.lengths else 1)

    @property
    def said(self) -> str:
        """Where the configuration names it."""
        return "model.backbone" if self.name == NAME else f"model.name = {self.name!r}"

    @property
    def num_masked(self) -> int:
        return 0

    def layout(self) -> Layout:
        from pipeline.model.module.measured import measured

        return measured(self).layout

    def forward_flops(self) -> int:
        from pipeline.model.module.measured import measured

        return measured(self).forward_flops

    def num_values(self) -> int:
        from pipeline.model.module.measured import measured

        return measured(self).num_values

    def build(self, num_lanes: int, device: torch.device | str = "cpu") -> ModuleNet:
        from pipeline.model.module.network import ModuleNet

        return ModuleNet(self, num_lanes, device)

    def check(self, fewest_rows: int) -> None:
        from pipeline.model.module.probe import check

        check(self, fewest_rows)

    def notes(self) -> list[str]:
        from pipeline.model.module.probe import padding_note

        mixed = [] if self.precision == FULL else [f"{self.name} multiplies in bfloat16; train.precision={FULL} does not"]
        return [*mixed, *(padding_note(self) if self.lengths else [])]

    def __str__(self) -> str:
        if self.name == NAME:
            keys = json.loads(self.keys)
            return f"{keys['plan']['layout']} with a head {[*keys['head']['widths'], self.num_outputs]}"
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in json.loads(self.keys).items())})"
