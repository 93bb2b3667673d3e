"""A pretrained network in memory, a published one as transformers builds it: weights checked, nothing of a folder executed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.backbones import own
from pipeline.backbones.folder import KEY, LAYOUT, Backbone, check_installed, refused
from pipeline.backbones.named import fed
from pipeline.errors import ConfigError
from pipeline.kinds.pretrained import part_of
from pipeline.kinds.ragged import Ragged, Rows
from pipeline.wording import first_of

if TYPE_CHECKING:
    from pipeline.kinds.pretrained import Fed, Recipe

CHUNK = 32
"""Rows that go through a network at once: always the same ones, since sums of other shapes have other last bits."""
UNUSED = ("pooler.", "masked_spec_embed", "mask_token", "embeddings.mask_token")
"""Tensors that publishers leave out, and that features do not depend on."""


DRAWN = frozenset({"apply_spec_augment"})
"""Keys of augmentation that a network has inside, and draws from numpy, so that no step could be repeated."""


class Extractor(nn.Module):
    """Rows as stored to features (B, width) float32 on the device, the network in evaluation and without gradients."""

    def __init__(self, backbone: Backbone, shape: tuple[int, ...], device: torch.device | str) -> None:
        super().__init__()
        self.part = part = fed(backbone)
        self.backbone, self.device = backbone, torch.device(device)
        try:
            self.given = part.to_published(backbone.recipe, shape, device)
        except ValueError as error:
            raise refused(backbone.path, str(error)) from None
        self.module = loaded(backbone).to(device)

    def train(self, mode: bool = True) -> Extractor:
        """It stays in evaluation: its running statistics are those that it came with, and nothing of it is dropped."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, rows: Rows) -> Tensor:
        if torch.compiler.is_exporting():  # a batch of any size is one piece of the graph
            return self._features(rows)
        parts = [self._features(_part(rows, at)) for at in range(0, len(rows), CHUNK)]
        return torch.cat(parts)

    def _features(self, rows: Rows) -> Tensor:
        found = features(self.part, self.backbone.layout, self.backbone.recipe, self.module, *padded(self.given(rows)))
        if found.shape[1:] != (self.backbone.width,):
            raise refused(self.backbone.path, f"it makes features {tuple(found.shape[1:])}, not {self.backbone.width}")
        return found.float()


def padded(inputs: Rows) -> tuple[Tensor, Tensor | None]:
    """Inputs (B, ...), of ragged rows filled up and how many are each row's."""
    return inputs.padded() if isinstance(inputs, Ragged) else (inputs, None)


def features(part: Fed, layout: str, recipe: Recipe, module: nn.Module, x: Tensor, lengths: Tensor | None) -> Tensor:
    """Of inputs (B, ...), of ragged rows (B, longest, ...) and how many are each row's: (B, width)."""
    inputs = part.named(recipe, x, lengths)
    return part.pooled(layout, module(*inputs.values()), inputs)


def _part(rows: Rows, first: int) -> Rows:
    last = min(first + CHUNK, len(rows))
    return rows.part(first, last) if isinstance(rows, Ragged) else rows[first:last]


def loaded(backbone: Backbone) -> nn.Module:
    """The network with its weights in float32; ConfigError where these are not exactly its own, or not finite."""
    if backbone.is_own:
        return own.loaded(backbone)
    transformers = _transformers()
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(backbone.path, **local)
        module, info = transformers.AutoModel.from_pretrained(
            backbone.path, config=config, use_safetensors=True, dtype=torch.float32, output_loading_info=True,
            ignore_mismatched_sizes=True, **local,
        )  # fmt: skip
    except Exception as error:  # of many kinds: a folder's values may be anything
        why = " ".join(str(error).split())[:300]
        raise refused(backbone.path, f"transformers can't build it: {type(error).__name__}: {why}") from error
    _check_published(backbone, module, info)
    return _without_pooler(module, backbone.kind).eval().requires_grad_(False)


def own_tensors(backbone: Backbone) -> dict[str, NDArray[np.float32]]:
    """The network's parameters and running statistics by name, those left out that nothing depends on."""
    kept, key = _kept(), (backbone.digest, backbone.input)
    if key not in kept:
        kept.clear()  # of one network at a time
        left_out = () if backbone.is_own else UNUSED
        state = loaded(backbone).state_dict().items()
        kept[key] = {name: each.numpy() for name, each in state if each.is_floating_point() and not name.startswith(left_out)}
    return kept[key]


@cache
def _kept() -> dict[Any, dict[str, NDArray[np.float32]]]:
    """Once in a process, by the digest of files as they are now."""
    return {}


def built(config: Mapping[str, Any], kind: str) -> nn.Module:
    """The network of a config.json with first values of torch's generator. Reads no folder."""
    transformers = _transformers()
    keys = {key: value for key, value in config.items() if key not in ("dtype", *DRAWN)}
    made = transformers.AutoConfig.for_model(**keys, **dict.fromkeys(DRAWN.intersection(config), False))
    return _without_pooler(transformers.AutoModel.from_config(made, dtype=torch.float32), kind)


def _without_pooler(module: Any, kind: str) -> nn.Module:
    """Without the layer that many networks have beside their answers, and of which features are not taken."""
    if part_of(kind).LAYOUTS[module.config.model_type] != "pooled" and getattr(module, "pooler", None) is not None:
        module.pooler = None
    found: nn.Module = module
    return found


def _transformers() -> Any:
    """The library, with no way to a network and without its progress bars."""
    check_installed()
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"  # read when it is imported: no network, ever
    import transformers

    said: Any = transformers.logging
    said.set_verbosity_error()
    said.disable_progress_bar()
    return transformers


def _check_published(backbone: Backbone, module: Any, info: Mapping[str, Any]) -> None:
    other = {name for name, _, _ in info["mismatched_keys"]}
    heads, state = _heads(backbone.path, module), module.state_dict().items()
    check_tensors(
        f"{KEY} = {LAYOUT}:{backbone.path}",
        "its config.json",
        lacking=[name for name in info["missing_keys"] if name not in other and not name.startswith(UNUSED)],
        beside=[name for name in info["unexpected_keys"] if name not in heads and not name.startswith(UNUSED)],
        other=info["mismatched_keys"],
        wild=[name for name, each in state if each.is_floating_point() and not torch.isfinite(each).all()],
    )


def check_tensors(
    said: str, by: str, *, lacking: Iterable[str], beside: Iterable[str], other: Iterable[Any], wild: Iterable[str]
) -> None:
    """ConfigError where a tensor is missing, of another shape or beside those of the network, or not finite.

    by: what says which there are. other: their names, and their shapes there and here.
    """
    shapes = [
        f"{name} is {_shape(there)}, and {by.removeprefix('its ')} makes it {_shape(here)}"
        for name, there, here in sorted(other, key=str)
    ]
    problems = [first_of(shapes, 2)] if shapes else []
    for words, names in (("it lacks {}", lacking), ("it has {} beside", beside), ("not finite: {}", wild)):
        problems += [words.format(first_of(sorted(names), 4))] if names else []
    if problems:
        raise ConfigError(f"{said}: its weights are not those of {by}: {'; '.join(problems)}; take it from its source again")


def _heads(path: Path, module: Any) -> set[str]:
    """Tensors of the heads of tasks that were published along with the network, whose own names then begin with its prefix."""
    from safetensors import safe_open

    names: set[str] = set()
    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, framework="pt") as content:
            names |= set(content.keys())
    prefix = f"{module.base_model_prefix}."
    own = {name for name in names if name.startswith(prefix)}
    return names - own if own else set()


def _shape(shape: Any) -> str:
    return " x ".join(map(str, shape))
