"""A pretrained network whose own layers are trained along with a head: how it is planned, and its module.

Imports neither torch nor transformers before a module is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pipeline.backbones.folder import CONFIG, Backbone
from pipeline.backbones.named import fed, feeding
from pipeline.kinds.inputs import Cast, Taken
from pipeline.kinds.pretrained import Fed, part_of

if TYPE_CHECKING:
    from torch import Tensor, nn

NAME = "backbone"
"""Of its part of the network, before the names of its tensors."""
OF_HEAD = ("widths", "activation", "norm", "dropout")


def planned(backbone: Backbone, shape: Sequence[int], lengths: Sequence[int] | None = None) -> dict[str, Any]:
    """All that building it needs, as JSON: no folder, on no machine. backbone: fitted to rows of this shape."""
    config = None if backbone.is_own else json.loads((backbone.path / CONFIG).read_bytes())
    form, library = fed(backbone).taken(backbone.recipe, shape, lengths), backbone.libraries
    return {
        "kind": backbone.kind,
        "layout": backbone.layout,
        "width": backbone.width,
        "config": config,
        "recipe": backbone.recipe,
        "input": list(form.shape),
        "lengths": form.lengths and list(form.lengths),
        "num_tokens": form.num_tokens,
        "digest": backbone.digest,
        "library": library[0] if library else None,
    }


def building(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What of a plan the network itself is made of: the rest is of the cast, which may be megabytes of a tokenizer."""
    names = () if is_own(plan) else part_of(plan["kind"]).BUILDING
    return {**plan, "recipe": {name: plan["recipe"][name] for name in names}}


def is_own(plan: Mapping[str, Any]) -> bool:
    """Whether it is of the user's own code."""
    return plan["config"] is None


def _fed(plan: Mapping[str, Any]) -> Fed:
    return feeding(plan["kind"], own_code=is_own(plan))


def taken_of(plan: Mapping[str, Any]) -> Taken:
    """What such a network takes of a row."""
    lengths = plan.get("lengths")  # older files: of inputs of one shape, float32
    return Taken(tuple(plan["input"]), lengths and tuple(lengths), plan.get("num_tokens"))


def cast_of(plan: Mapping[str, Any], shape: Sequence[int], device: Any) -> Cast:
    """Rows as stored to its inputs."""
    return _fed(plan).to_published(plan["recipe"], shape, device)


def network(shape: Sequence[int], num_outputs: int, *, plan: Mapping[str, Any], head: Mapping[str, Any]) -> nn.Module:
    """The head with first values of torch's generator, and the network with others, which its own then replace."""
    from torch import nn

    from pipeline.backbones import own as of_user
    from pipeline.backbones.loading import built, features

    part = _fed(plan)

    class Tuned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            own = _head(plan["width"], num_outputs, head)  # first, so that it is the same whatever the network draws
            made = of_user.made(plan["layout"], plan["input"]) if is_own(plan) else built(plan["config"], plan["kind"])
            self.backbone = made
            self.head = own

        def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
            logits: Tensor = self.head(features(part, plan["layout"], plan["recipe"], self.backbone, x, lengths))
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
