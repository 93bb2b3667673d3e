"""A figure of the page with its title, a caption that says how to read it, and words for those who can't see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from pipeline.report.svg import png, svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """One figure of the page."""

    name: str
    title: str
    caption: str
    svg: Markup
    png: bytes


def picture_of(name: str, title: str, caption: str, alt: str, figure: Figure) -> Picture:
    """The figure in both formats."""
    # The layout is settled once, not again for each of the two formats.
    if figure.get_layout_engine():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return Picture(name, title, caption, Markup(svg(figure, name, alt)), png(figure))
