"""The picture of a policy, whatever a sample is: rows of pictures, originals beside their views, with lines below each."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

TILE, GAP, MARGIN, LINE = 144, 12, 24, 16
HEAD_HEIGHT, TEXT_GAP = 52, 6
PAPER, INK, FAINT, FRAME = "#ffffff", "#1f2933", "#5f6c7b", "#c5ccd3"


class Cell(NamedTuple):
    """One picture of the sheet and the lines below it."""

    picture: Image.Image
    lines: list[str]
    is_original: bool


def original(picture: Image.Image, name: str) -> Cell:
    """A sample as it is, over its name."""
    return Cell(enlarged(picture), [_fitted(name, _font(13, True))], True)


def view(picture: Image.Image, words: Sequence[str]) -> Cell:
    """A view of a sample, over what was drawn for it."""
    return Cell(enlarged(picture), _packed(words), False)


def sheet(rows: list[list[Cell]], about: str, views: bool) -> bytes:
    """PNG, the same bytes every time. about: the policy in words. views: whether each row is one sample and its views."""
    content = io.BytesIO()
    _drawn(rows, about, views).save(content, "PNG")
    return content.getvalue()


def enlarged(picture: Image.Image) -> Image.Image:
    """A picture as large as a tile; small ones grow by whole pixels, so that none is invented."""
    longest = max(picture.size)
    factor = TILE // longest if longest <= TILE else TILE / longest
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    return picture.resize(size, Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.LANCZOS)


def _drawn(rows: list[list[Cell]], about: str, views: bool) -> Image.Image:
    columns, lines = len(rows[0]), max(len(cell.lines) for row in rows for cell in row)
    top = MARGIN + HEAD_HEIGHT + (LINE + TEXT_GAP if views else 0)
    high = rows[0][0].picture.height + TEXT_GAP + LINE * lines + GAP
    sheet = Image.new("RGB", (2 * MARGIN + columns * (TILE + GAP) - GAP, top + len(rows) * high - GAP + MARGIN), PAPER)
    pen = ImageDraw.Draw(sheet)
    _head(pen, columns if views else 0, about)
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            _draw_cell(sheet, pen, cell, (_column(j), top + i * high))
    return sheet


def _head(pen: ImageDraw.ImageDraw, columns: int, about: str) -> None:
    pen.text((MARGIN, MARGIN - 6), "What training sees", INK, _font(18, True))
    pen.text((MARGIN, MARGIN + 20), about, FAINT, _font(13))
    for j in range(columns):
        pen.text((_column(j), MARGIN + HEAD_HEIGHT), f"copy {j}" if j else "original", INK, _font(12))


def _draw_cell(sheet: Image.Image, pen: ImageDraw.ImageDraw, cell: Cell, place: tuple[int, int]) -> None:
    (x, y), picture = place, cell.picture
    sheet.paste(picture, (x, y))
    pen.rectangle((x - 1, y - 1, x + picture.width, y + picture.height), outline=FRAME)
    colour, font = (INK, _font(13, True)) if cell.is_original else (FAINT, _font(11))
    for k, line in enumerate(cell.lines):
        pen.text((x, y + picture.height + TEXT_GAP + k * LINE), line, colour, font)


def _column(j: int) -> int:
    return MARGIN + j * (TILE + GAP)


def _packed(words: Sequence[str]) -> list[str]:
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


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    from matplotlib import get_data_path  # its DejaVu fonts are the same on every machine

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / name, size)
