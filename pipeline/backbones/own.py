"""A pretrained network of the user's own: a function in BACKBONES of `extensions.py`, and its weights as safetensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline import extensions
from pipeline.backbones.folder import KEY, LAYOUT, PICKLED, WEIGHTS, Backbone, digest_of, refused, torn
from pipeline.errors import ConfigError
from pipeline.kinds.inputs import Cast, Taken, inputs_of, meanings_of, taken
from pipeline.kinds.kind import Fit
from pipeline.kinds.pretrained import Fed, Recipe, Scaled, pretrained_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

INPUTS = "inputs"
"""An attribute of such a function, or class: in which size and scale it takes samples, where not as the data's own."""


def names() -> list[str]:
    """Those that there are; ConfigError where one has the name of a layout."""
    found = list(extensions.registered(extensions.BACKBONES))
    if LAYOUT in found:
        raise ConfigError(f"{extensions.FILE}: BACKBONES has {LAYOUT}, which is a layout; name yours otherwise")
    return found


def opened(name: str, file: Path, kind: str) -> Backbone:
    """The network of a name with weights in a file, for samples of a kind; ConfigError says what of it can't be used."""
    function, say = _function(name), f"say {KEY}={name}:FILE, of safetensors"
    if not file.is_file():
        link = f"make the link with `regatta data link {file.name} FILE`, or {say}"
        raise refused(file, f"{'a folder' if file.is_dir() else 'there is no such file'}; {link}", name)
    if file.suffix in PICKLED:
        write = 'save_file(torch.load(FILE, weights_only=True), "weights.safetensors")'
        raise refused(
            file, f"it is not read, since such files can run code; have who has it write safetensors: `{write}`", name
        )
    if why := torn(file):
        raise refused(file, f"{why}; take the file from its source again", name)
    said = getattr(function, INPUTS, {})
    try:
        recipe: Recipe = {"said": json.loads(json.dumps(dict(said)))}
    except (TypeError, ValueError):
        raise refused(file, f'{INPUTS} = {said!r}: must be a dict such as {{"size": 224}}', name) from None
    return Backbone(file, kind, name, recipe, 0, (WEIGHTS,), {WEIGHTS: digest_of(file)}, extensions.digest())


@dataclass(frozen=True)
class Own:
    """How such a network gets its inputs: as any network does, or in the size and scale that are said of it."""

    kind: str

    def misfit(self, recipe: Recipe, fit: Fit, shape: Sequence[int]) -> str | None:
        """Places in the data's own vocabulary, or values of its own columns, are nothing that is learned elsewhere."""
        if meanings_of(self.kind):
            return f"inputs of kind {self.kind} mean something else in each dataset; take a published network, {KEY}=hf:FOLDER"
        if not recipe["said"]:
            return None
        part = pretrained_of(self.kind)
        if not hasattr(part, "own_recipe"):
            return f"{INPUTS}: of data of kind {self.kind} nothing can be said; leave it out"
        try:
            return cast(Scaled, part).misfit(cast(Scaled, part).own_recipe(recipe["said"], fit, shape), fit, shape)
        except ValueError as error:
            return str(error)

    def taken(self, recipe: Recipe, shape: Sequence[int], lengths: Sequence[int] | None) -> Taken:
        """As the kind's, or as is said."""
        if recipe["said"]:
            return self._scaled.taken(self._recipe(recipe, shape), shape, lengths)
        return taken(self.kind, recipe["fit"], shape, lengths)

    def to_published(self, recipe: Recipe, shape: Sequence[int], device: torch.device | str) -> Cast:
        """The kind's own cast, or to what is said."""
        if recipe["said"]:
            return self._scaled.to_published(self._recipe(recipe, shape), shape, device)
        return inputs_of(self.kind).to_input(recipe["fit"], shape, device)

    def named(self, recipe: Recipe, x: Tensor, lengths: Tensor | None) -> dict[str, Tensor]:
        """As any module is called."""
        return {"x": x} if lengths is None else {"x": x, "lengths": lengths}

    def pooled(self, layout: str, output: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        """What it returns."""
        import torch

        if torch.compiler.is_exporting():  # a number of rows that is compared would be taken for that of all batches
            return cast("Tensor", output)
        rows = len(inputs["x"])
        if not isinstance(output, torch.Tensor) or output.ndim != 2 or len(output) != rows:
            what = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise ConfigError(
                f"{_said(layout)}: its forward returns {what} for {rows} samples; features ({rows}, F) are expected"
            )
        return output

    @cached_property
    def _scaled(self) -> Scaled:
        return cast(Scaled, pretrained_of(self.kind))

    def _recipe(self, recipe: Recipe, shape: Sequence[int]) -> Recipe:
        return self._scaled.own_recipe(recipe["said"], recipe["fit"], shape)


def tried(backbone: Backbone, form: Taken) -> int:
    """The features that it makes of a row; ConfigError where it makes none, or not the same ones each time."""
    import torch

    module = made(backbone.layout, form.shape).eval()
    lengths = torch.tensor([form.lengths[1]] * 2) if form.lengths else None
    shape = (2, *([form.lengths[1]] if form.lengths else []), *form.shape)
    generator = torch.Generator().manual_seed(0)
    x = (
        torch.randint(form.num_tokens, shape, generator=generator)
        if form.num_tokens
        else torch.randn(shape, generator=generator)
    )
    part: Fed = Own(backbone.kind)
    inputs = part.named(backbone.recipe, x, lengths)
    with torch.no_grad(), torch.random.fork_rng(), _told(backbone.layout, f"its forward of inputs {tuple(shape)}"):
        one, other = (part.pooled(backbone.layout, module(*inputs.values()), inputs) for _ in range(2))
    if not torch.equal(one, other):
        raise refused(backbone.path, "in evaluation it gives other features for the same inputs", backbone.layout)
    return one.shape[1]


def made(name: str, shape: Sequence[int]) -> nn.Module:
    """The module with first values, made for rows of a shape; torch's generator is left as it was."""
    import torch
    from torch import nn

    with torch.random.fork_rng(), _told(name, "building it"):
        torch.manual_seed(0)
        module = _function(name)(tuple(shape))
    if not isinstance(module, nn.Module):
        raise ConfigError(f"{_said(name)}: its function returns {type(module).__name__}, not a torch.nn.Module")
    return module


def loaded(backbone: Backbone) -> nn.Module:
    """The network with its weights in float32; ConfigError where these are not exactly its own, or not finite."""
    import torch
    from safetensors import safe_open

    from pipeline.backbones.loading import check_tensors

    module = made(backbone.layout, backbone.input)
    here = module.state_dict()
    with safe_open(backbone.path, framework="pt") as content:
        there = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 (it is no mapping)
    needed = {*dict(module.named_parameters()), *(name for name, each in module.named_buffers() if each.is_floating_point())}
    shapes = {name: tuple(each.shape) for name, each in here.items()}
    check_tensors(
        f"{KEY} = {backbone.layout}:{backbone.path}",
        f"what BACKBONES makes as {backbone.layout!r}",
        lacking=[name for name in needed & here.keys() if name not in there],
        beside=[name for name in there if name not in here],
        other=[
            (name, tuple(each.shape), shapes[name])
            for name, each in there.items()
            if shapes.get(name, each.shape) != each.shape
        ],
        wild=[name for name, each in there.items() if each.is_floating_point() and not torch.isfinite(each).all()],
    )
    module.load_state_dict(there, strict=False)
    if other := sorted(
        name for name, each in module.state_dict().items() if each.is_floating_point() and each.dtype != torch.float32
    ):
        raise refused(backbone.path, f"{other[0]} is no float32; leave types to its weights", backbone.layout)
    return module.eval().requires_grad_(False)


def _function(name: str) -> Callable[..., Any]:
    there = names()
    if name not in there:
        known = ", ".join([f"{LAYOUT}:FOLDER", *(f"{each}:FILE" for each in there)])
        raise ConfigError(f"{_said(name)}: there are {known}; yours go into BACKBONES of {extensions.FILE}")
    return extensions.registered(extensions.BACKBONES)[name]


def _said(name: str) -> str:
    return f"{KEY} = {name!r}"


def _told(name: str, what: str) -> Any:
    return extensions.told(f"{_said(name)}: {what}")
