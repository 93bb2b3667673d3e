"""Published networks for images, and their inputs: enlarged or reduced to the one size they know, in their own scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.kinds.inputs import Cast, Taken
from pipeline.kinds.kind import Fit
from pipeline.kinds.pretrained import Recipe

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SAID = "preprocessor_config.json"
FILES = (SAID,)
BUILDING = ()
OWN = ("size", "mean", "std")
"""What may be said of a network of one's own."""
FIRST, POOLED = "first token", "pooled"
LAYOUTS = {
    "vit": FIRST, "deit": FIRST, "dinov2": FIRST, "dinov2_with_registers": FIRST,
    "convnext": POOLED, "convnextv2": POOLED, "resnet": POOLED, "swin": POOLED,
}  # fmt: skip
MODES = {0: "nearest-exact", 2: "bilinear", 3: "bicubic"}
"""`resample`, by Pillow's numbers."""
MOST_PIXELS = 2048


def recipe(config: Mapping[str, Any], files: Mapping[str, Any]) -> Recipe:
    """Size, scale, mean and deviation."""
    said, channels = files[SAID], config.get("num_channels", 3)
    found: Recipe = {
        "size": _size(said),
        "mode": MODES.get(said.get("resample", 2)),
        "factor": said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0,
        "mean": said.get("image_mean") if said.get("do_normalize", True) else [0.0] * channels,
        "std": said.get("image_std") if said.get("do_normalize", True) else [1.0] * channels,
    }
    if channels not in (1, 3):
        raise ValueError(f"config.json: num_channels = {channels!r}: 1 or 3 is taken")
    if found["mode"] is None:
        raise ValueError(f"{SAID}: resample = {said['resample']!r}: of Pillow's numbers {', '.join(map(str, MODES))} are taken")
    _check_scale(found, {"mean": f"{SAID}: image_mean", "std": f"{SAID}: image_std"}, channels)
    if not _numbers([found["factor"]], 1):
        raise ValueError(f"{SAID}: rescale_factor = {found['factor']!r}: a number is needed")
    _check_size(found["size"], config)
    return found


def own_recipe(said: Mapping[str, Any], fit: Fit, shape: Sequence[int]) -> Recipe:
    """Size, mean and deviation of pixels from 0 to 1; what is not said is the data's."""
    if other := [key for key in said if key not in OWN]:
        raise ValueError(f"inputs has {other[0]!r}: of images {', '.join(OWN)} are taken")
    size = said.get("size", [*shape[1:]])
    both = [*size] if isinstance(size, list | tuple) else [size, size]
    if not _is_size(both):
        raise ValueError(f"inputs: size = {size!r}: a side, or height and width, of 1 to {MOST_PIXELS} pixels are needed")
    scale = {
        "mean": said.get("mean", fit["mean"]),
        "std": said.get("std", [each or 1.0 for each in fit["std"]]),
    }
    scale = {name: [*each] if isinstance(each, tuple) else each for name, each in scale.items()}
    channels = len(scale["mean"]) if isinstance(scale["mean"], list) and len(scale["mean"]) in (1, 3) else shape[0]
    _check_scale(scale, {name: f"inputs: {name}" for name in scale}, channels)
    return {"size": both, "mode": "bilinear", "factor": 1 / 255, **scale}


def _check_scale(found: Recipe, named: Mapping[str, str], channels: int) -> None:
    for name, key in named.items():
        if not _numbers(found[name], channels) or (name == "std" and min(found[name]) <= 0):
            raise ValueError(f"{key} = {found[name]!r}: {channels} numbers are needed" + " above 0" * (name == "std"))


def _size(said: Mapping[str, Any]) -> list[Any]:
    """Height and width, in the forms that there are: 224, {height, width}, {shortest_edge}."""
    crop = said.get("crop_size") if said.get("do_center_crop") else None
    size = crop if crop is not None else said.get("size")
    if isinstance(size, Mapping):
        size = [size.get("height", size.get("shortest_edge")), size.get("width", size.get("shortest_edge"))]
    both = size if isinstance(size, list) else [size, size]
    if not _is_size(both):
        raise ValueError(f"{SAID}: size = {said.get('size')!r}: height and width of 1 to {MOST_PIXELS} pixels are needed")
    return both


def _is_size(both: list[Any]) -> bool:
    return len(both) == 2 and all(isinstance(side, int) and 1 <= side <= MOST_PIXELS for side in both)


def _check_size(size: list[int], config: Mapping[str, Any]) -> None:
    """Networks with a place for each patch take the one size that they were trained with."""
    own = config.get("image_size", size) if LAYOUTS[config["model_type"]] == FIRST else size
    if (own if isinstance(own, list) else [own, own]) != size:
        raise ValueError(f"{SAID}: size = {size}, but config.json: image_size = {own!r}; both must be the same")


def _numbers(values: Any, num: int) -> bool:
    listed = isinstance(values, list) and len(values) == num
    return listed and all(isinstance(value, int | float) and math.isfinite(value) for value in values)


def misfit(recipe: Recipe, fit: Fit, shape: Sequence[int]) -> str | None:
    """Colours can't become grey without a choice that is the user's."""
    if shape[0] not in (1, len(recipe["mean"])):
        return "it takes grey images, and these are in colours; say data.channels=grey"
    return None


def taken(recipe: Recipe, shape: Sequence[int], lengths: Sequence[int] | None) -> Taken:
    """Its own channels and size."""
    return Taken((len(recipe["mean"]), *recipe["size"]))


def to_published(recipe: Recipe, shape: Sequence[int], device: torch.device | str) -> Cast:
    """uint8 (B, C, H, W) to its own size and scale; a grey image becomes one of three equal channels."""
    import torch
    from torch.nn.functional import interpolate

    mean, std = (torch.tensor(recipe[name], device=device).view(-1, 1, 1) for name in ("mean", "std"))
    size, mode = recipe["size"], recipe["mode"]
    smooth = {} if mode == "nearest-exact" else {"antialias": True, "align_corners": False}

    def given(rows: Any) -> Tensor:
        images: Tensor = rows.to(device, torch.float32)
        if [*images.shape[2:]] != size:
            images = interpolate(images, size, mode=mode, **smooth).clamp_(0.0, 255.0)
        scaled: Tensor = (images * recipe["factor"] - mean) / std
        return scaled

    return given


def named(recipe: Recipe, x: Tensor, lengths: Tensor | None) -> dict[str, Tensor]:
    """Images alone."""
    return {"pixel_values": x}


def pooled(layout: str, output: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """The first token's answer of a transformer (Dosovitskiy et al. 2021), the mean over places of a convolutional network."""
    found: Tensor = output.last_hidden_state[:, 0] if LAYOUTS[layout] == FIRST else output.pooler_output.flatten(1)
    return found
