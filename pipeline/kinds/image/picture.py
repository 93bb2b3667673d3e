"""The picture of a policy: originals beside the views drawn from them, with the numbers behind each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline.kinds import sheet
from pipeline.kinds.image.by_name import applied
from pipeline.kinds.image.engine import batch_views
from pipeline.kinds.image.keys import OPERATIONS, ImagePolicy
from pipeline.kinds.image.parameters import view_parameters
from pipeline.kinds.sheet import Cell, original, view
from pipeline.kinds.showing import Examples

NUM_VIEWS = 8


def policy_picture(examples: Examples, policy: ImagePolicy) -> bytes:
    """PNG: one row per sample, the original and eight views of it, each over its parameters. The same bytes every time."""
    rows = _rows(examples, policy) if policy.active else [_originals(examples)]
    return sheet.sheet(rows, _about(policy), policy.active)


def _about(policy: ImagePolicy) -> str:
    on = [f"{name.replace('_', ' ')} {getattr(policy, name):g}" for name in OPERATIONS if getattr(policy, name) > 0]
    on += [f"{entry.name} {entry.p:g}" for entry in policy.kornia if entry.p > 0]
    return ", ".join(on) if on else "augmentation is off: the images as they are"


def caption(p: Mapping[str, float], policy: ImagePolicy) -> list[str]:
    """The numbers of one view in words; only of operations that are on."""
    words = {
        "flip": "flipped" if p["flip"] else "",
        "vertical_flip": "upside down" if p["vertical_flip"] else "",
        "crop": f"crop {p['crop_area']:.0%}",
        "rotate": f"turn {p['rotate']:+z.0f}°",
        "scale": f"zoom {p['scale']:.2f}",
        "translate": f"shift {p['translate_x']:+z.0%} {p['translate_y']:+z.0%}",
        "shear": f"shear {p['shear']:+z.0f}°",
        "brightness": f"light {p['brightness']:.2f}",
        "contrast": f"contr. {p['contrast']:.2f}",
        "saturation": f"satur. {p['saturation']:.2f}",
        "hue": f"hue {p['hue']:+z.1%}",
        "noise": f"noise {p['noise']:.1%}",
        "erase": f"erased {p['erase_area']:.0%}" if p["erase_area"] else "",
    }
    return [text for name, text in words.items() if text and getattr(policy, name) > 0]


def _originals(examples: Examples) -> list[Cell]:
    return [original(_picture(image), name) for image, name in zip(examples.rows, examples.names, strict=True)]


def _rows(examples: Examples, policy: ImagePolicy) -> list[list[Cell]]:
    views = np.arange(NUM_VIEWS)
    rows = []
    for first, image, sample_id in zip(_originals(examples), examples.rows, examples.ids, strict=True):
        ids = np.full(NUM_VIEWS, sample_id)
        drawn = batch_views(torch.from_numpy(np.repeat(image[None], NUM_VIEWS, axis=0)), ids, views, policy).numpy()
        parameters = view_parameters(ids, views, policy, image.shape[1:])
        words = [caption({name: float(values[i]) for name, values in parameters.items()}, policy) for i in range(NUM_VIEWS)]
        for place, entry in enumerate(policy.kornia):
            for i in np.flatnonzero(applied(ids, views, policy, place)):
                words[i].append(entry.name.removeprefix("Random"))
        rows.append([first, *(view(_picture(pixels), text) for pixels, text in zip(drawn, words, strict=True))])
    return rows


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """(C, H, W) as a picture; of other than three channels the first."""
    if len(pixels) == 3:
        return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return Image.fromarray(np.ascontiguousarray(pixels[0])).convert("RGB")
