"""A pretrained network whose own layers are trained along with a head: how it is planned, and its module.

Imports neither torch nor transformers before a module is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.backbones.folder import CONFIG, Backbone, library, opened, refused
from pipeline.kinds.inputs import Cast, Taken
from pipeline.kinds.pretrained import TunedInputs, part_of

if TYPE_CHECKING:
    from torch import Tensor, nn

NAME = "backbone"
"""Of its part of the network, before the names of its tensors."""
OF_HEAD = ("widths", "activation", "norm", "dropout")


def tuned(path: Path, kind: str, fit: Mapping[str, Any], shape: Sequence[int]) -> Backbone:
    """The network in a folder; ConfigError where it can't be trained on rows of this shape."""
    backbone, part = opened(path, kind), part_of(kind)
    if not hasattr(part, "input_shape"):
        raise refused(path, f"the layers of a network for data of kind {kind} are not trained here; say model.freeze=all")
    if why := part.misfit(backbone.recipe, dict(fit), shape):
        raise refused(path, why)
    return backbone


def planned(backbone: Backbone, shape: Sequence[int]) -> dict[str, Any]:
    """All that building it needs, as JSON: no folder, on no machine."""
    part = cast(TunedInputs, part_of(backbone.kind))
    config = json.loads((backbone.path / CONFIG).read_bytes())
    return {
        "kind": backbone.kind,
        "layout": backbone.layout,
        "width": backbone.width,
        "config": config,
        "recipe": backbone.recipe,
        "input": list(part.input_shape(backbone.recipe, shape)),
        "digest": backbone.digest,
        "library": library(),
    }


def taken_of(plan: Mapping[str, Any]) -> Taken:
    """What such a network takes of a row."""
    return Taken(tuple(plan["input"]))


def cast_of(plan: Mapping[str, Any], shape: Sequence[int], device: Any) -> Cast:
    """Rows as stored to its inputs."""
    given = part_of(plan["kind"]).to_published(plan["recipe"], shape, device)

    def inputs(rows: Any) -> Tensor:
        (found,) = given(rows).values()
        return found

    return inputs


def network(shape: Sequence[int], num_outputs: int, *, plan: Mapping[str, Any], head: Mapping[str, Any]) -> nn.Module:
    """The head with first values of torch's generator, and the network with others, which its own then replace."""
    from torch import nn

    from pipeline.backbones.loading import built

    class Tuned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            own = _head(plan["width"], num_outputs, head)  # first, so that it is the same whatever the network draws
            self.backbone = built(plan["config"], plan["kind"])
            self.head = own

        def forward(self, x: Tensor) -> Tensor:
            part = part_of(plan["kind"])
            found = part.pooled(part.LAYOUTS[plan["layout"]], self.backbone(x), {})
            logits: Tensor = self.head(found)
            return logits

    return Tuned()


def _head(width: int, num_outputs: int, keys: Mapping[str, Any]) -> nn.Module:
    """Dense layers with normalisation, activation and dropout, as the built-in networks have them, and the outputs."""
    from torch import nn

    from pipeline.networks.activations import ACTIVATIONS

    layers: list[nn.Module] = []
    sizes = [width, *keys["widths"]]
    for a, b in pairwise(sizes):
        norm = [nn.LayerNorm(b)] if keys["norm"] == "layer" else []
        layers += [nn.Linear(a, b), *norm, ACTIVATIONS[keys["activation"]](), nn.Dropout(keys["dropout"])]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], num_outputs))
