"""The first factor of a study against its others, as a matrix of differences.

A cell is a level of the first factor with a level of each other one: its difference from the first
factor's first level, with interval and verdict, of the same sign as everywhere else.
Call `drawn` inside `svg.style()`; sizes in points.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipeline.report.study.figures import colour_of
from pipeline.report.svg import GREY, INK, LINE, MUTED, TIP
from pipeline.report.words import better, lines, metric_words, number, signed
from pipeline.schema.study import SCRATCH, START
from pipeline.wording import shifted

WIDTH, LEFT, HEIGHT, TOP, LETTER = 420.0, 96.0, 66.0, 40.0, 6.2
ROOM = 78.0
"""A narrower cell has its interval in its tooltip alone."""
MARKS = {"helps": "\u25b2 ", "hurts": "\u25bc ", "failed": "\u2715 ", "equivalent": "= "}
"""Of verdicts, so that none is told by its colour alone."""
NEGATIVE = ("hurts", "failed")
SHARES = ("val_accuracy", "test_accuracy")
Cell = Mapping[str, Any]
"""A variant of `effects.json`."""


@dataclass(frozen=True)
class Grid:
    """The levels of a study's first factor but the first of them, by the levels of its others."""

    metric: str
    first: str
    """The level that all are compared with."""
    across: str
    """What the columns are levels of."""
    rows: list[str]
    columns: list[str]
    cells: Mapping[tuple[str, str], Cell]
    of_sources: bool
    """Whether rows are runs that networks start from."""


def grid_of(effects: Mapping[str, Any]) -> Grid | None:
    """None of a study without factors, with one, or with one at a time."""
    definition = effects["basis"]["study"]
    factors = {name: list(levels) for name, levels in (definition.get("factors") or {}).items()}
    if definition.get("sources"):
        factors = {START: [SCRATCH, *definition["sources"]], **factors}
    if len(factors) < 2 or definition.get("grid") == "one_at_a_time":
        return None
    (first, *rows), *others = factors.values()
    columns = ["-".join(names) for names in itertools.product(*others)]
    by_name = {variant["name"]: variant for variant in effects["variants"]}
    names = {(row, column): f"{row}-{column}" for row in rows for column in columns}
    cells = {place: by_name[name] for place, name in names.items() if name in by_name}
    start, *across = factors
    return Grid(effects["metric"], first, " and ".join(across), rows, columns, cells, start == START)


def joined(grids: Mapping[str, Grid]) -> Grid:
    """Grids below each other, each row under the name of its own.

    ValueError where they are judged by different metrics, or against different levels.
    """
    one, *_ = every = list(grids.values())
    if len({(grid.metric, grid.first) for grid in every}) > 1:
        raise ValueError("judged by different metrics, or against different levels")
    named = {(name, row): f"{name}: {row}" for name, grid in grids.items() for row in grid.rows}
    columns = list(dict.fromkeys(column for grid in every for column in grid.columns))
    cells = {
        (named[name, row], column): cell
        for name, grid in grids.items()
        for (row, column), cell in grid.cells.items()
    }  # fmt: skip
    rows, of_sources = list(named.values()), all(grid.of_sources for grid in every)
    return Grid(one.metric, one.first, one.across, rows, columns, cells, of_sources)


def told(grid: Grid) -> list[str]:
    """Every cell in words."""
    return [f"{row}, {column}: {_words(grid, cell)}" for (row, column), cell in grid.cells.items()]


def captions(grid: Grid) -> tuple[str, str]:
    """Title and caption."""
    caption = f"In each cell the difference in {metric_words(grid.metric)} from {grid.first} in the same column, on the same "
    caption += f"seeds and samples, with its interval ({better(grid.metric)})"
    beside = dict.fromkeys(found[0] for cell in grid.cells.values() if (found := _accuracy(grid, cell)))
    caption += "".join(f"; {words} in points" for words in beside) + "."
    caption += f" {MARKS['hurts']}and a thick border: negative transfer." if grid.of_sources else ""
    return f"Against {grid.first}", caption


def drawn(grid: Grid) -> Figure:
    """A row for each level, the first on top, a column for each level of the others."""
    each, whole = (WIDTH - LEFT - 2) / len(grid.columns), TOP + HEIGHT * len(grid.rows) + 4
    figure = Figure(figsize=(WIDTH / 72, whole / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(whole, 0))
    axes.set_axis_off()
    head: Any = {"ha": "center", "va": "bottom", "color": INK, "fontsize": 10}
    axes.text(LEFT + 1.5, 9, grid.across, va="center", color=MUTED, fontsize=9)
    for i, column in enumerate(grid.columns):
        axes.text(LEFT + (i + 0.5) * each, TOP - 5, lines(column, int(each / LETTER), 2), **head)
    for j, row in enumerate(grid.rows):
        top, name = TOP + j * HEIGHT, lines(row, int((LEFT - 6) / LETTER), 4)
        axes.text(2, top + HEIGHT / 2, name, va="center", color=INK, fontsize=10)
        for i, column in enumerate(grid.columns):
            _cell(axes, (LEFT + i * each, top, each), grid, (row, column))
    return figure


def _cell(axes: Axes, place: tuple[float, float, float], grid: Grid, at: tuple[str, str]) -> None:
    """place: left, top and width."""
    (x, y, width), cell = place, grid.cells.get(at)
    box: Any = {"xy": (x + 1.5, y + 1.5), "width": width - 3, "height": HEIGHT - 3}
    if cell is None:
        axes.add_patch(Rectangle(**box, fill=False, edgecolor=LINE, linewidth=0.9))
        return
    colour, border = colour_of(cell["verdict"]), 2.0 if cell["verdict"] in NEGATIVE else 0.9
    edge, tip = LINE if colour == GREY else colour, f"{TIP}{', '.join(at)}: {_words(grid, cell)}"
    axes.add_patch(Rectangle(**box, facecolor=colour, alpha=0.13, linewidth=0))
    axes.add_patch(Rectangle(**box, fill=False, edgecolor=edge, linewidth=border))
    shown = _shown(grid, cell, MUTED if colour == GREY else colour, width >= ROOM)
    for k, (text, size, ink) in enumerate(shown):
        height = y + HEIGHT * (k + 0.75) / (len(shown) + 0.5)
        place_of_text: Any = {"ha": "center", "va": "center_baseline", "fontsize": size}
        axes.text(x + width / 2, height, text, color=ink, **place_of_text)
    axes.add_patch(Rectangle((x, y), width, HEIGHT, alpha=0, linewidth=0, gid=tip))


def _shown(grid: Grid, cell: Cell, colour: str, wide: bool) -> list[tuple[str, float, str]]:
    """Text, size and colour of each line."""
    verdict, accuracy = cell["verdict"], _accuracy(grid, cell)
    found = [(MARKS.get(verdict, "") + verdict, 9.5, colour)]
    found.append((signed(cell["difference"]), 11.0, INK))
    found += [(" to ".join(map(signed, cell["interval"])), 8.5, MUTED)] if wide and cell["interval"] else []
    if not wide or accuracy is None:
        return found
    _, points = accuracy
    sign = "" if points == 0 else signed(points)[0]
    return [*found, (f"accuracy {sign}{number(abs(points), 2)}", 8.5, MUTED)]


def _accuracy(grid: Grid, cell: Cell) -> tuple[str, float] | None:
    """What accuracy it is, first that of the metric's split, and its difference in points; None for the metric itself."""
    names = sorted(SHARES, key=lambda name: name[:4] != grid.metric[:4])
    others = [name for name in names if name != grid.metric and name in cell["others"]]
    if not others or (value := cell["others"][others[0]]["difference"]) is None:
        return None
    return metric_words(others[0]), 100 * value


def _words(grid: Grid, cell: Cell) -> str:
    """ "hurts: validation loss +0.0503 [0.0489, 0.0517], validation accuracy -1.2 points"."""
    if cell["difference"] is None:
        return str(cell["verdict"])
    text = f"{cell['verdict']}: {metric_words(grid.metric)} {shifted(cell['difference'], cell['interval'])}"
    accuracy = _accuracy(grid, cell)
    return f"{text}, {accuracy[0]} {shifted(accuracy[1], None)} points" if accuracy else text
