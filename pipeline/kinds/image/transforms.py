"""The matrices of a view: all of its geometry in one, all of its colour in another. float64, closed forms, no torch.

Only +, -, *, /, sqrt and rounding are used: their results are the same on every machine, in any batch, which those of a
vectorised sine are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Parameters = Mapping[str, F64]

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in grey: ITU-R BT.601, as in Kornia's `rgb_to_grayscale`."""
_SINE = [(-1.0) ** k / float(np.prod(np.arange(1, 2 * k + 2, dtype=np.float64))) for k in range(9)]
_COSINE = [(-1.0) ** k / float(np.prod(np.arange(1, 2 * k + 1, dtype=np.float64))) for k in range(10)]


def sin_cos(turns: F64) -> tuple[F64, F64]:
    """Sine and cosine of angles in turns, to 1e-15; exact at quarter turns."""
    quarter = np.rint(turns * 4)
    angle = (turns - quarter / 4) * (2 * np.pi)
    sine, cosine = angle * _polynomial(_SINE, angle * angle), _polynomial(_COSINE, angle * angle)
    quadrant = quarter.astype(np.int64) % 4
    return np.choose(quadrant, [sine, cosine, -sine, -cosine]), np.choose(quadrant, [cosine, -sine, -cosine, sine])


def source_matrices(p: Parameters, height: int, width: int) -> F64:
    """Where each pixel of a view comes from: matrices (B, 2, 3) from view to image, both in coordinates of -1..1.

    An image is cropped, flipped, sheared, zoomed, rotated, then shifted; here is the inverse of that, about the centre, in
    pixels, then normalised so that -1 and 1 are the centres of the outer pixels (`align_corners` in Kornia).
    """
    sine, cosine = sin_cos(p["rotate"] / 360)
    shear_sine, shear_cosine = sin_cos(p["shear"] / 360)
    slant = shear_sine / shear_cosine
    aspect = np.clip(p["crop_aspect"], p["crop_area"], 1 / p["crop_area"])  # no side is longer than the image's
    share_x, share_y = np.sqrt(p["crop_area"] * aspect), np.sqrt(p["crop_area"] / aspect)
    x_factor = share_x * (1 - 2 * p["flip"]) / p["scale"]
    y_factor = share_y * (1 - 2 * p["vertical_flip"]) / p["scale"]
    xx, xy = x_factor * (cosine + slant * sine), x_factor * (sine - slant * cosine)
    yx, yy = y_factor * -sine, y_factor * cosine
    shift_x, shift_y = p["translate_x"] * width, p["translate_y"] * height
    x = p["crop_x"] * (1 - share_x) * (width / 2) - (xx * shift_x + xy * shift_y)
    y = p["crop_y"] * (1 - share_y) * (height / 2) - (yx * shift_x + yy * shift_y)
    half_x, half_y = max(width - 1, 1) / 2, max(height - 1, 1) / 2
    rows = [xx, xy * (half_y / half_x), x / half_x, yx * (half_x / half_y), yy, y / half_y]
    return np.stack(rows, axis=1).reshape(-1, 2, 3)


def grid_line(size: int) -> F64:
    """Coordinates (size,) of pixel centres from -1 to 1; exactly antisymmetric, so that a flip moves no pixel by a hair."""
    return (2 * np.arange(size, dtype=np.float64) - (size - 1)) / max(size - 1, 1)


def colour_gains(p: Parameters) -> F64:
    """Factors (B,) of brightness and contrast together."""
    return p["brightness"] * p["contrast"]


def colour_shifts(p: Parameters) -> F64:
    """What is added, as a share (B,) of the image's mean grey: contrast leaves that grey where it is."""
    return p["brightness"] * (1 - p["contrast"])


def colour_matrices(p: Parameters) -> F64:
    """Matrices (B, 3, 3) of brightness, contrast, saturation, then hue; grey stays grey in the last two.

    Saturation blends with grey. Hue is a rotation about the grey axis; it equals that of HSV at thirds of a turn.
    """
    sine, cosine = sin_cos(p["hue"])
    same, across, turn = (1 + 2 * cosine) / 3, (1 - cosine) / 3, sine / np.sqrt(3.0)
    circle = np.stack([same, across - turn, across + turn], axis=1)
    hue = np.stack([circle, np.roll(circle, 1, axis=1), np.roll(circle, 2, axis=1)], axis=1)
    saturation = p["saturation"][:, None, None]
    mixed: F64 = colour_gains(p)[:, None, None] * (saturation * hue + (1 - saturation) * np.array(LUMA))
    return mixed


def erased_box(p: Parameters, height: int, width: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows (B, H) and columns (B, W) the erased rectangle covers; none where its area is 0."""
    area, aspect = p["erase_area"] * (height * width), p["erase_aspect"]
    rows = _covered(np.sqrt(area / aspect), p["erase_y"], height, area > 0)
    return rows, _covered(np.sqrt(area * aspect), p["erase_x"], width, area > 0)


def _covered(length: F64, place: F64, size: int, any_area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    whole = np.clip(np.rint(length), 1, size) * any_area
    first = np.floor((place + 1) / 2 * (size - whole + 1))[:, None]
    index = np.arange(size)[None, :]
    covered: NDArray[np.bool_] = (index >= first) & (index < first + whole[:, None])
    return covered


def _polynomial(coefficients: list[float], x: F64) -> F64:
    value: Any = np.zeros_like(x)
    for coefficient in reversed(coefficients):
        value = value * x + coefficient
    return np.asarray(value)
