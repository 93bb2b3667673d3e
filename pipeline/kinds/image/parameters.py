"""What is drawn for a view: a pure function of (seed, sample id, view number, policy). No tensors, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.artifacts import digest
from pipeline.errors import ConfigError
from pipeline.kinds.image.keys import COLOUR_ONLY, ImagePolicy

ENGINE = 1
"""Raise it whenever the same policy would give other pixels."""
LIBRARIES = ("kornia", "torch")
LATER: dict[str, Any] = {"kornia": [], "whole_pixels": False, "flip_alternates": False}
"""Keys that came later, and the values with which views are as they were before."""

F64 = NDArray[np.float64]

# Each number of a view has its own slot, so that one operation switched on or off leaves the draws of the others alone.
# The slots are frozen: a new one goes to the end. Each names the key of the policy that needs it.
SLOTS = {
    "rotate": "rotate",
    "translate_x": "translate",
    "translate_y": "translate",
    "scale": "scale",
    "flip": "flip",
    "shear": "shear",
    "vertical_flip": "vertical_flip",
    "crop_area": "crop",
    "crop_aspect": "crop",
    "crop_x": "crop",
    "crop_y": "crop",
    "brightness": "brightness",
    "contrast": "contrast",
    "saturation": "saturation",
    "hue": "hue",
    "noise": "noise",
    "erase": "erase",
    "erase_area": "erase",
    "erase_aspect": "erase",
    "erase_x": "erase",
    "erase_y": "erase",
}
CROP_ASPECT = 4 / 3
"""Largest ratio of a crop's sides, as in Szegedy et al. 2015, "Going deeper with convolutions"."""
ERASE_ASPECT, ERASE_SMALLEST = 3.0, 0.02
"""Shape and smallest share of an erased rectangle, near those of Zhong et al. 2020, "Random erasing data augmentation"."""


def engine_versions() -> dict[str, Any]:
    """Versions that can change the pixels of a view."""
    return {"engine": ENGINE, **_libraries()}


def _libraries() -> dict[str, str]:
    """The local part ("+cpu") names a build, not other arithmetic."""
    return {name: version(name).split("+")[0] for name in LIBRARIES}


def policy_digest(policy: ImagePolicy) -> str:
    """The identity of the views a policy draws; `views`, how many of them are written, does not enter."""
    keys = policy.model_dump(exclude={"views"})
    for name, off in LATER.items():
        if keys[name] == off:
            del keys[name]
    return digest({"engine": "kornia", "version": ENGINE, "libraries": _libraries(), "policy": keys})


def check_colour(policy: ImagePolicy, shape: Sequence[int]) -> None:
    """ConfigError where the policy needs colour and images of this shape (C, H, W) have none."""
    channels = shape[0]
    wrong = [f"augment.{name} = {getattr(policy, name)}" for name in COLOUR_ONLY if getattr(policy, name) > 0 and channels != 3]
    if wrong:
        kind = "grey (1 channel)" if channels == 1 else f"of {channels} channels"
        raise ConfigError(
            f"{', '.join(wrong)}: needs images of 3 channels, these are {kind}; set it to 0, or use augment=light"
        )


def view_parameters(
    ids: keyed.U64, views: NDArray[Any], policy: ImagePolicy, sides: tuple[int, int] = (1, 1)
) -> dict[str, F64]:
    """The numbers (B,) behind view `views[i]` of sample `ids[i]`; an operation that is off has its neutral value.

    sides: height and width of the images in pixels, which shifts by whole pixels go by.
    flip, vertical_flip: 0 or 1. rotate, shear: degrees. translate_x, translate_y: share of the side, right and down.
    scale, brightness, contrast, saturation: factors. crop_area, erase_area: share of the area; crop_aspect, erase_aspect:
    width over height. crop_x, crop_y, erase_x, erase_y: place in the free room, -1 (left, top) to 1. hue: share of the
    circle. noise: standard deviation as a share of the range.
    """
    draw = _draws(ids, views, policy)
    sign = {name: 2 * values - 1 for name, values in draw.items()}
    erased = draw["erase"] < policy.erase
    smallest = min(ERASE_SMALLEST, policy.erase_area)
    return {
        "flip": _flipped(draw["flip"], views, policy).astype(np.float64),
        "vertical_flip": (draw["vertical_flip"] < policy.vertical_flip).astype(np.float64),
        "rotate": policy.rotate * sign["rotate"],
        "translate_x": _shift(policy.translate * sign["translate_x"], sides[1], policy),
        "translate_y": _shift(policy.translate * sign["translate_y"], sides[0], policy),
        "scale": 1 + policy.scale * sign["scale"],
        "shear": policy.shear * sign["shear"],
        "crop_area": 1 - policy.crop * draw["crop_area"],
        "crop_aspect": _aspect(sign["crop_aspect"], CROP_ASPECT),
        "crop_x": sign["crop_x"],
        "crop_y": sign["crop_y"],
        "brightness": 1 + policy.brightness * sign["brightness"],
        "contrast": 1 + policy.contrast * sign["contrast"],
        "saturation": 1 + policy.saturation * sign["saturation"],
        "hue": policy.hue * sign["hue"],
        "noise": policy.noise * draw["noise"],
        "erase_area": np.where(erased, smallest + (policy.erase_area - smallest) * draw["erase_area"], 0.0),
        "erase_aspect": _aspect(sign["erase_aspect"], ERASE_ASPECT),
        "erase_x": sign["erase_x"],
        "erase_y": sign["erase_y"],
    }


def _flipped(drawn: F64, views: NDArray[Any], policy: ImagePolicy) -> NDArray[np.bool_]:
    if policy.flip_alternates:
        drawn = np.where(views % 2 == 1, drawn / 2, 1.0)
    found: NDArray[np.bool_] = drawn < policy.flip
    return found


def _shift(share: F64, side: int, policy: ImagePolicy) -> F64:
    return np.rint(share * side) / side if policy.whole_pixels else share


def noise_keys(ids: keyed.U64, views: NDArray[Any], policy: ImagePolicy) -> NDArray[np.int32]:
    """One 32-bit key (B,) of the pixels' noise for each view."""
    mixed = keyed.words("view", policy.seed, ids, views.astype(np.uint64), 2**32)  # far beyond the slots
    return (mixed >> np.uint64(32)).astype(np.uint32).view(np.int32)


def _draws(ids: keyed.U64, views: NDArray[Any], policy: ImagePolicy) -> dict[str, F64]:
    """Uniform numbers by slot; those of operations that are off are not computed and stand at the middle."""
    num = max((i + 1 for i, key in enumerate(SLOTS.values()) if getattr(policy, key) > 0), default=0)
    drawn = keyed.view_draws(policy.seed, ids, views, num) if num else np.empty((len(ids), 0))
    middle = np.full(len(ids), 0.5)
    used = {name: i for i, (name, key) in enumerate(SLOTS.items()) if getattr(policy, key) > 0}
    return {name: drawn[:, used[name]] if name in used else middle for name in SLOTS}


def _aspect(sign: F64, largest: float) -> F64:
    """-1..1 to 1 / largest .. largest, symmetric in width and height, without a logarithm (whose last bit varies)."""
    ratio = 1 + (largest - 1) * np.abs(sign)
    return np.where(sign < 0, 1 / ratio, ratio)
