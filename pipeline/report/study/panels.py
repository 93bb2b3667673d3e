"""The figures of a study that have a panel per variant, on one scale. Call them inside `svg.style()`; sizes are in points.

All panels are drawn on one canvas: an `Axes` for each of 20 variants takes five times as long.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import LogLocator, MaxNLocator

from pipeline.evaluation.classes import Floats
from pipeline.report.axes import numbers
from pipeline.report.study.figures import colour_of
from pipeline.report.study.studies import Runs, Study
from pipeline.report.svg import BLUE, GREY, INK, LINE, MUTED, TIP
from pipeline.report.words import lines, number, short

WIDTH, COLUMNS = 420.0, 2
"""Narrow enough for a telephone: text stays readable there, and a desk's screen has room for two figures side by side."""
FEW = 4
"""Panels that are not flattened."""
LEVELS = 8
BETWEEN, TITLE, LINE_HEIGHT, BOTTOM = 12.0, 22.0, 12.0, 36.0
Mapped = Callable[[Any], Any]


@dataclass(frozen=True)
class Panel:
    """A rectangle of the canvas."""

    x: float
    y: float
    width: float
    height: float
    lowest: bool
    """Whether there is none below it."""
    first: bool
    """Whether there is none to its left."""
    title: str


@dataclass(frozen=True)
class Canvas:
    """A figure with panels, whose coordinates are points."""

    figure: Figure
    axes: Axes
    panels: list[Panel]


def curves(study: Study) -> Figure:
    """Validation loss per epoch: each variant's median over seeds, a band from the best to the worst, in grey its reference."""
    assert study.effects is not None
    variants = study.effects["variants"]
    num = len(variants)
    names = [variant["name"] for variant in variants]
    canvas = _canvas(names, 230 if num == 1 else 108 if num > FEW else 150, left=44, room=0, top=26)
    medians = {name: _median(runs.val_loss) for name, runs in study.runs.items()}
    low, high = _range(medians)
    logarithmic = high > 4 * low > 0
    low, high = (0.9 * low, 1.1 * high) if logarithmic else (0.0, 1.05 * high)
    locator = LogLocator(subs=(1.0,) if high > 300 * low else (1.0, 2.0, 5.0)) if logarithmic else MaxNLocator(4)
    ticks = [y for y in locator.tick_values(low, high) if low <= y <= high]
    last = max((int(runs.epochs[-1]) for runs in study.runs.values()), default=1)
    for panel, variant in zip(canvas.panels, variants, strict=True):
        x, y = _scale(panel.x, panel.width, 0.5, last + 0.5), _scale(panel.y, panel.height, low, high, logarithmic)
        _title(canvas, panel, colour_of(variant["verdict"]))
        _grid(canvas, panel, [(y(tick), shown) for tick, shown in zip(ticks, numbers(ticks), strict=True)])
        _epochs(canvas, panel, x, last)
        reference, own = variant["against"], variant["name"]
        if reference in study.runs:
            _line(canvas, x(study.runs[reference].epochs), _inside(y(medians[reference]), panel), GREY)
        if own in study.runs:
            colour = colour_of(variant["verdict"])
            # Grey is the reference's.
            _band(canvas, panel, study.runs[own], medians[own], (x, y), INK if colour == GREY else colour)
        else:
            middle = (panel.x + panel.width / 2, panel.y + panel.height / 2)
            canvas.axes.text(*middle, "no run finished", ha="center", va="center", color=MUTED)
        _tip(canvas, (panel.x, panel.y, panel.width, panel.height), _told(variant, study.runs, medians))
    _heading(canvas, f"grey: {_against(variants)}")
    return canvas.figure


def _against(variants: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(variant["against"] for variant in variants))
    return short(names[0], 60) if len(names) == 1 else "what each is compared with"


def _told(variant: Mapping[str, Any], runs: Mapping[str, Runs], medians: Mapping[str, Floats]) -> str:
    texts = []
    for name in (variant["name"], variant["against"]):
        if name in runs and np.isfinite(medians[name]).any():
            at = int(np.nanargmin(medians[name]))
            texts.append(f"{name}: lowest {number(medians[name][at])} at epoch {runs[name].epochs[at]}")
    return "; ".join(texts) or f"{variant['name']}: no run finished"


def _median(values: Floats) -> Floats:
    """Over seeds (S, E), where at least half of them have a value."""
    median = np.full(values.shape[1], np.nan)
    enough = 2 * np.isfinite(values).sum(axis=0) >= max(1, len(values))
    median[enough] = np.nanmedian(values[:, enough], axis=0)
    return median


def _range(medians: Mapping[str, Floats]) -> tuple[float, float]:
    """The losses to show: all, but not beyond 2.5 times the baseline's largest."""
    values = np.concatenate([m[np.isfinite(m)] for m in medians.values()] or [np.ones(1)])
    values = values if len(values) else np.ones(1)
    first = medians.get("baseline", values)
    first = first[np.isfinite(first)]
    high = min(values.max(), 2.5 * first.max()) if len(first) else values.max()
    return float(values.min()), float(high) or 1.0


def _band(canvas: Canvas, panel: Panel, runs: Runs, median: Floats, scales: tuple[Mapped, Mapped], colour: str) -> None:
    known, (x, y) = np.isfinite(median), scales
    places = x(runs.epochs)
    if known.any() and len(runs.val_loss) > 1:
        values = runs.val_loss[:, known]
        ends = [
            np.clip(y(end), panel.y, panel.y + panel.height) for end in (np.nanmin(values, axis=0), np.nanmax(values, axis=0))
        ]
        canvas.axes.fill_between(places[known], *ends, color=colour, alpha=0.18, linewidth=0)
    _line(canvas, places, _inside(y(median), panel), colour)


def _inside(values: Floats, panel: Panel) -> Floats:
    """NaN above the panel: a line that leaves it ends there."""
    return np.where(values <= panel.y + panel.height + 1, values, np.nan)


def _line(canvas: Canvas, x: Floats, y: Floats, colour: str) -> None:
    canvas.axes.plot(x, y, color=colour, linewidth=1.6, marker="o" if len(x) == 1 else "", markersize=5)


def gradients(study: Study) -> Figure:
    """Gradient norm by layer (rows, the first on top) and epoch (columns), the paler the smaller, in steps of the logarithm."""
    rows = [
        (row, study.runs[row["name"]]) for row in study.rows if row["name"] in study.runs and study.runs[row["name"]].layers
    ]
    most, last = max(len(runs.layers) for _, runs in rows), max(int(runs.epochs[-1]) for _, runs in rows)
    canvas = _canvas([row["name"] for row, _ in rows], float(np.clip(15 * most, 54, 130)), left=0, room=54, top=44)
    edges = _edges(np.concatenate([runs.norms.ravel() for _, runs in rows]))
    found: list[list[Path]] = [[] for _ in edges[1:]]
    for panel, (row, runs) in zip(canvas.panels, rows, strict=True):
        x, each = _scale(panel.x, panel.width, 0.5, last + 0.5), panel.height / len(runs.layers)
        _title(canvas, panel, colour_of(row["verdict"]))
        _epochs(canvas, panel, x, last)
        for i, (layer, norms) in enumerate(zip(runs.layers, runs.norms, strict=True)):
            y = panel.y + panel.height - (i + 1) * each
            for level, start, stop in _stretches(norms, edges):
                box = x(runs.epochs[start] - 0.5), y + 0.6, x(runs.epochs[stop - 1] + 0.5), y + each - 0.6
                found[level].append(_box(*box))
            if len(runs.layers) <= 8 or i in (0, len(runs.layers) - 1):
                place: Any = {"ha": "right", "va": "center", "color": MUTED, "fontsize": 8.5}
                canvas.axes.text(panel.x - 5, y + each / 2, short(layer, 9), **place)
            ends = f"{number(norms[0])} in the first epoch, {number(norms[-1])} in the last"
            _tip(canvas, (panel.x, y, panel.width, each), f"{row['name']}, {layer}: {ends}")
    _levels(canvas, edges, found)
    return canvas.figure


def _edges(norms: Floats) -> Floats:
    """Borders of 4 to `LEVELS` levels of log10, half a decade or one apart; the lowest level holds all below, too."""
    logs = np.log10(norms[np.isfinite(norms) & (norms > 0)])
    low, high = (float(logs.min()), float(logs.max())) if len(logs) else (-1.0, 0.0)
    step = 0.5 if high - low <= 0.5 * (LEVELS - 2) else 1.0
    top = step * math.ceil(high / step + 1e-9)
    num = int(np.clip(math.ceil((top - low) / step), 4, LEVELS))
    return np.array([top + step * i for i in range(-num, 1)])


def _strength(level: int, num: int) -> float:
    return 0.06 + 0.9 * (level + 1) / num


def _stretches(norms: Floats, edges: Floats) -> list[tuple[int, int, int]]:
    """Level, first and end of each stretch of epochs of one level."""
    with np.errstate(divide="ignore"):
        levels = np.clip(np.searchsorted(edges, np.log10(norms), side="right") - 1, 0, len(edges) - 2)
    levels = np.where(np.isfinite(norms), levels, -1)
    borders = [0, *(np.flatnonzero(np.diff(levels)) + 1).tolist(), len(levels)]
    return [(int(levels[a]), a, b) for a, b in itertools.pairwise(borders) if levels[a] >= 0]


def _levels(canvas: Canvas, edges: Floats, found: Sequence[Sequence[Path]]) -> None:
    """One patch for each level, and what it means: the levels from small to large with the norms at their borders."""
    top, num, left, side = canvas.axes.get_ylim()[1], len(edges) - 1, 92.0, 36.0
    text: Any = {"fontsize": 9, "color": MUTED, "va": "center"}
    canvas.axes.text(8, top - 14, "gradient norm", **text)
    for level, paths in enumerate(found):
        whole = Path.make_compound_path(_box(left + side * level, top - 19, left + side * (level + 1), top - 9), *paths)
        canvas.axes.add_patch(PathPatch(whole, facecolor=BLUE, alpha=_strength(level, num), linewidth=0))
    for i, edge in enumerate(edges[1:-1], start=1):
        canvas.axes.text(left + side * i, top - 26, _power(edge), ha="center", **text)


def _box(x0: float, y0: float, x1: float, y1: float) -> Path:
    return Path([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], closed=True)


def _power(edge: float) -> str:
    """A power of ten as people write it: 0.032, 0.1, and 10 to the power where there are many noughts."""
    if edge == round(edge) and abs(edge) > 2:
        return "10" + str(round(edge)).translate(
            str.maketrans("-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")
        )
    return f"{10**edge:.2g}"


def _canvas(names: Sequence[str], height: float, left: float, room: float, top: float) -> Canvas:
    """A panel for each name, row by row; `left` is kept free left of the first column, `room` left of every panel."""
    num, columns = len(names), min(len(names), COLUMNS)
    each = (WIDTH - left - 10 - (columns - 1) * BETWEEN) / columns
    titles = [lines(name, int((each - room) / 6.2), 2) for name in names]
    above = TITLE + LINE_HEIGHT * max(title.count("\n") for title in titles)
    whole = top + math.ceil(num / columns) * (above + height) + BOTTOM
    figure = Figure(figsize=(WIDTH / 72, whole / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, whole))
    axes.set_axis_off()
    panels = []
    for i, title in enumerate(titles):
        x, y = left + (i % columns) * (each + BETWEEN) + room, whole - top - (i // columns + 1) * (above + height)
        panels.append(Panel(x, y, each - room, height, i + columns >= num, i % columns == 0, title))
    return Canvas(figure, axes, panels)


def _scale(start: float, length: float, low: float, high: float, logarithmic: bool = False) -> Mapped:
    """From values between `low` and `high` to places on the canvas."""
    if logarithmic:
        return lambda values: start + length * np.log(values / low) / math.log(high / low)
    return lambda values: start + length * (values - low) / (high - low)


def _title(canvas: Canvas, panel: Panel, colour: str) -> None:
    place: Any = {"va": "bottom", "fontsize": 10, "color": INK if colour == GREY else colour}
    canvas.axes.text(panel.x, panel.y + panel.height + 4, panel.title, **place)


def _grid(canvas: Canvas, panel: Panel, ticks: Sequence[tuple[float, str]]) -> None:
    across = [[(panel.x, y), (panel.x + panel.width, y)] for y, _ in ticks]
    canvas.axes.add_collection(LineCollection(across, colors=LINE, linewidths=0.7), autolim=False)
    if panel.first:
        for y, text in ticks:
            canvas.axes.text(panel.x - 5, y, text, ha="right", va="center", color=MUTED, fontsize=9)


def _epochs(canvas: Canvas, panel: Panel, x: Mapped, last: int) -> None:
    """The line below a panel; where there is no panel below, with its epochs."""
    canvas.axes.plot([panel.x, panel.x + panel.width], [panel.y, panel.y], color=LINE, linewidth=0.9)
    if panel.lowest:
        place: Any = {"ha": "center", "va": "top", "color": MUTED, "fontsize": 9}
        for tick in MaxNLocator(4, integer=True).tick_values(1, last):
            if 1 <= tick <= last:
                canvas.axes.text(x(tick), panel.y - 4, f"{tick:g}", **place)
        canvas.axes.text(panel.x + panel.width / 2, panel.y - 17, "epoch", **place)


def _tip(canvas: Canvas, place: tuple[float, float, float, float], text: str) -> None:
    x, y, width, height = place
    canvas.axes.add_patch(Rectangle((x, y), width, height, alpha=0, linewidth=0, gid=TIP + text))


def _heading(canvas: Canvas, text: str) -> None:
    canvas.axes.text(8, canvas.axes.get_ylim()[1] - 12, text, fontsize=10, color=MUTED, va="center")
