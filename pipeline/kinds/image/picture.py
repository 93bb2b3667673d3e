"""The picture of a policy: originals beside the views drawn from them, with the numbers behind each."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.kinds.image.by_name import applied
from pipeline.kinds.image.engine import batch_views
from pipeline.kinds.image.keys import OPERATIONS, ImagePolicy
from pipeline.kinds.image.parameters import view_parameters
from pipeline.kinds.showing import Examples

NUM_VIEWS = 8
TILE, GAP, MARGIN, LINE = 144, 12, 24, 16
HEAD_HEIGHT, TEXT_GAP = 52, 6
PAPER, INK, FAINT, FRAME = "#ffffff", "#1f2933", "#5f6c7b", "#c5ccd3"


class Cell(NamedTuple):
    """One picture of the sheet and the lines below it."""

    pixels: NDArray[np.uint8]
    lines: list[str]
    is_original: bool


def policy_picture(examples: Examples, policy: ImagePolicy) -> bytes:
    """PNG: one row per sample, the original and eight views of it, each over its parameters. The same bytes every time."""
    rows = _rows(examples, policy) if policy.active else [_originals(examples)]
    content = io.BytesIO()
    _sheet(rows, policy).save(content, "PNG")
    return content.getvalue()


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
    names = [_fitted(name, _font(13, True)) for name in examples.names]
    return [Cell(image, [name], True) for image, name in zip(examples.rows, names, strict=True)]


def _rows(examples: Examples, policy: ImagePolicy) -> list[list[Cell]]:
    views = np.arange(NUM_VIEWS)
    rows = []
    for original, image, sample_id in zip(_originals(examples), examples.rows, examples.ids, strict=True):
        ids = np.full(NUM_VIEWS, sample_id)
        drawn = batch_views(torch.from_numpy(np.repeat(image[None], NUM_VIEWS, axis=0)), ids, views, policy).numpy()
        parameters = view_parameters(ids, views, policy)
        words = [caption({name: float(values[i]) for name, values in parameters.items()}, policy) for i in range(NUM_VIEWS)]
        for place, entry in enumerate(policy.kornia):
            for i in np.flatnonzero(applied(ids, views, policy, place)):
                words[i].append(entry.name.removeprefix("Random"))
        rows.append([original, *(Cell(pixels, _packed(text), False) for pixels, text in zip(drawn, words, strict=True))])
    return rows


def _sheet(rows: list[list[Cell]], policy: ImagePolicy) -> Image.Image:
    columns, lines = len(rows[0]), max(len(cell.lines) for row in rows for cell in row)
    top = MARGIN + HEAD_HEIGHT + (LINE + TEXT_GAP if policy.active else 0)
    high = _tile_height(rows[0][0].pixels) + TEXT_GAP + LINE * lines + GAP
    sheet = Image.new("RGB", (2 * MARGIN + columns * (TILE + GAP) - GAP, top + len(rows) * high - GAP + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    _head(pen, columns, policy)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            _draw_cell(sheet, pen, cell, (_column(j), top + i * high))
    return sheet


def _head(pen: ImageDraw.ImageDraw, columns: int, policy: ImagePolicy) -> None:
    pen.text((MARGIN, MARGIN - 6), "What training sees", INK, _font(18, True))
    on = [f"{name.replace('_', ' ')} {getattr(policy, name):g}" for name in OPERATIONS if getattr(policy, name) > 0]
    on += [f"{entry.name} {entry.p:g}" for entry in policy.kornia if entry.p > 0]
    about = ", ".join(on) if on else "augmentation is off: the images as they are"
    pen.text((MARGIN, MARGIN + 20), about, FAINT, _font(13))
    for j in range(columns if policy.active else 0):
        pen.text((_column(j), MARGIN + HEAD_HEIGHT), f"copy {j}" if j else "original", INK, _font(12))


def _draw_cell(sheet: Image.Image, pen: ImageDraw.ImageDraw, cell: Cell, place: tuple[int, int]) -> None:
    (x, y), picture = place, _enlarged(cell.pixels)
    sheet.paste(picture, (x, y))
    pen.rectangle((x - 1, y - 1, x + picture.width, y + picture.height), outline=FRAME)
    colour, font = (INK, _font(13, True)) if cell.is_original else (FAINT, _font(11))
    for k, line in enumerate(cell.lines):
        pen.text((x, y + picture.height + TEXT_GAP + k * LINE), line, colour, font)


def _column(j: int) -> int:
    return MARGIN + j * (TILE + GAP)


def _tile_height(pixels: NDArray[np.uint8]) -> int:
    return _enlarged(pixels).height


def _enlarged(pixels: NDArray[np.uint8]) -> Image.Image:
    """A picture as large as a tile; small ones grow by whole pixels, so that none is invented."""
    picture = _picture(pixels)
    longest = max(picture.size)
    factor = TILE // longest if longest <= TILE else TILE / longest
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.LANCZOS)


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    """(C, H, W) as a picture; of other than three channels the first."""
    if len(pixels) == 3:
        return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return Image.fromarray(np.ascontiguousarray(pixels[0])).convert("RGB")


def _packed(words: list[str]) -> list[str]:
    """Words in as few lines as fit below a tile."""
    lines: list[str] = []
    for word in words:
        joined = f"{lines[-1]}, {word}" if lines else word
        lines[-1:] = [joined] if not lines or _font(11).getlength(joined) <= TILE else [lines[-1], word]
    return lines


def _fitted(text: str, font: ImageFont.FreeTypeFont) -> str:
    """Printable text cut to the width of a tile."""
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    if font.getlength(text) <= TILE:
        return text
    while text and font.getlength(text + "…") > TILE:
        text = text[:-1]
    return text + "…"


@lru_cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    from matplotlib import get_data_path  # its DejaVu fonts are the same on every machine

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / name, size)
