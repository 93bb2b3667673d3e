"""A page that shows one study of several projects: their matrices of gains, one below the other."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.report.picture import picture_of
from pipeline.report.study.matrix import Grid, captions, drawn, joined, told
from pipeline.report.svg import style
from pipeline.report.templates import environment
from pipeline.report.templates import style as css


def page(name: str, question: str, grids: Mapping[str, Grid]) -> tuple[str, list[str]]:
    """One file that opens without network, and its cells in words. ValueError as `joined` raises it."""
    grid = joined(grids)
    lines, (title, caption) = told(grid), captions(grid)
    with style():
        picture = picture_of(f"beside-{name}", title, caption, f"{title}. {'; '.join(lines)}.", drawn(grid))
    shown = {"title": f"{name} in {len(grids)} projects", "question": question, "picture": picture, "lines": lines}
    return environment().get_template("beside.html").render(css=css(), **shown), lines
