"""The figures of a study that have one row or one dot per variant. Call them inside `svg.style()`; sizes are in points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline.metrics import METRICS
from pipeline.report.axes import log_numbers
from pipeline.report.study.studies import Study
from pipeline.report.svg import BLUE, GREEN, GREY, INK, LINE, MUTED, ORANGE, PAPER, TIP
from pipeline.report.words import better, columns, duration, lines, measure, metric_words, number, plural, signed

WIDTH = 420
COLOURS = {"helps": GREEN, "hurts": ORANGE, "failed": ORANGE, "equivalent": BLUE, "more": INK, "less": INK, "": INK}
"""Of the verdicts; the rest is grey."""
FAR = 4.0
"""Times the median row: a row that reaches further, when the farthest is twice as far, is drawn at the edge."""
BESIDE = ((9, 0, "left"), (-9, 0, "right"), (0, 13, "center"), (0, -13, "center"), (6, 12, "left"), (6, -12, "left"),
          (-6, 12, "right"), (-6, -12, "right"), (0, 25, "center"), (0, -25, "center"))  # fmt: skip
"""Where a dot's name may stand, the best first."""


def colour_of(verdict: str) -> str:
    """The verdict's colour; of the baseline, which has none, ink."""
    return COLOURS.get(verdict, GREY)


def forest(effects: Mapping[str, Any]) -> Figure:
    """The difference of each variant with its interval, each seed's as a small dot, and the verdict in words."""
    variants = effects["variants"]
    verdicts = [(variant["verdict"], colour_of(variant["verdict"])) for variant in variants]
    figure, axes = _rows([variant["name"] for variant in variants], verdicts)
    limit = _limit(variants, effects["margin"])
    if effects["margin"]:
        axes.axvspan(-effects["margin"], effects["margin"], color=BLUE, alpha=0.1, linewidth=0)
    axes.axvline(0, color=MUTED, linewidth=1.0)
    for row, variant in enumerate(variants):
        if variant["difference"] is not None:
            _effect(axes, row, variant, limit)
        axes.axhspan(row - 0.5, row + 0.5, alpha=0, linewidth=0, gid=TIP + _told(variant, effects["metric"]))
    if limit is None:
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, -0.05 * (high - low)), max(high, 0.05 * (high - low)))
    else:
        axes.set_xlim(
            -1.08 * limit if _reaches(variants, -1) else -0.3 * limit, 1.08 * limit if _reaches(variants, 1) else 0.3 * limit
        )
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}".replace("-", "\u2212")))
    whom = "the baseline" if all(v["against"] == "baseline" for v in variants) else "what each is compared with"
    axes.set_xlabel(f"difference in {metric_words(effects['metric'])} to {whom}\n({better(effects['metric'])})")
    return figure


def _effect(axes: Axes, row: int, variant: Mapping[str, Any], limit: float | None) -> None:
    colour, mean, ends = colour_of(variant["verdict"]), variant["difference"], variant["interval"]
    if limit is not None and abs(mean) > limit:
        side = 1 if mean > 0 else -1
        axes.plot([side * limit], [row], ">" if side > 0 else "<", color=colour, markersize=8, clip_on=False)
        place: Any = {"xytext": (-9 * side, 0), "textcoords": "offset points", "va": "center_baseline"}
        axes.annotate(signed(mean), (side * limit, row), ha="right" if side > 0 else "left", color=INK, fontsize=9.5, **place)
        return
    if ends is not None:
        axes.plot(ends, [row, row], color=colour, linewidth=3.2, alpha=0.6)
    axes.plot(variant["differences"], [row + 0.27] * len(variant["differences"]), "o", color=colour, markersize=2.6, alpha=0.6)
    axes.plot([mean], [row], "o", color=colour, markersize=8, markeredgecolor=PAPER, markeredgewidth=1.4)


def _limit(variants: Sequence[Mapping[str, Any]], margin: float | None) -> float | None:
    """Where the axis ends if a few variants would leave no room for the others; None where all have room."""
    reaches = [max(map(abs, v["interval"] or [v["difference"]])) for v in variants if v["difference"] is not None]
    if len(reaches) < 3:
        return None
    limit = max(FAR * float(np.median(reaches)), 1.5 * (margin or 0.0))
    return limit if 0 < 2 * limit < max(reaches) else None


def _reaches(variants: Sequence[Mapping[str, Any]], side: int) -> bool:
    """Whether any variant reaches to this side of zero."""
    return any(side * end > 0 for v in variants for end in v["interval"] or [v["difference"]] if end is not None)


def _told(variant: Mapping[str, Any], metric: str) -> str:
    text = f"{variant['name']}: {variant['verdict']}, {metric_words(metric)} {signed(variant['difference'])}"
    if variant["interval"] is not None:
        text += f" ({signed(variant['interval'][0])} to {signed(variant['interval'][1])})"
    folds = f"{plural(variant['num_folds'], 'fold')} x " if variant.get("num_folds") else ""
    return f"{text}, {folds}{plural(variant['num_seeds'], 'seed')}"


def losses(study: Study) -> Figure:
    """Training and validation loss at the best epoch, variant by variant: what lies between them is the generalisation gap."""
    rows, train, val = study.rows, study.means("train_loss"), study.means("val_loss")
    gaps = [("\u2013" if x is None or y is None else signed(y - x), MUTED) for x, y in zip(train, val, strict=True)]
    figure, axes = _rows([row["name"] for row in rows], gaps, top=24)
    known = [(row, x, y) for row, (x, y) in enumerate(zip(train, val, strict=True)) if x is not None and y is not None]
    for row, x, y in known:
        axes.plot([x, y], [row, row], color=GREY, linewidth=2.4, alpha=0.7)
        for value, colour in ((x, ORANGE), (y, BLUE)):
            axes.plot([value], [row], "o", color=colour, markersize=8, markeredgecolor=PAPER, markeredgewidth=1.4)
        text = f"{rows[row]['name']}: {number(x)} on training, {number(y)} on validation samples"
        axes.axhspan(row - 0.5, row + 0.5, alpha=0, linewidth=0, gid=TIP + text)
    values = [value for _, x, y in known for value in (x, y)]
    if values and max(values) > 8 * min(values) > 0:
        log_numbers(axes, "x", max(values) / min(values))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    head: Any = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "bottom", "fontsize": 10}
    for text, colour, x, right in (("training", ORANGE, 0.0, 0), ("validation", BLUE, 0.0, 54), ("gap", MUTED, 1.0, 7)):
        axes.annotate(text, (x, 1.0), xytext=(right, 3), color=colour, **head)
    axes.set_xlabel("loss at the best epoch (nats)")
    return figure


def cost(study: Study) -> Figure:
    """The metric of each variant over the time of one of its runs."""
    assert study.effects is not None
    metric = study.effects["metric"]
    figure = Figure(figsize=(WIDTH / 72, 290 / 72), layout="constrained")
    axes = figure.subplots()
    every = zip(study.rows, study.means("seconds"), study.means(metric), strict=True)
    dots = [(row, x, y) for row, x, y in every if x is not None and y is not None]
    for row, x, y in dots:
        mark: Any = {"color": colour_of(row["verdict"]), "markeredgecolor": PAPER, "markeredgewidth": 1.2, "markersize": 9}
        text = f"{row['name']}: {metric_words(metric)} {measure(metric, y)}, {duration(x)} a run"
        axes.plot(
            [x], [y], "o" if row["verdict"] else "D", gid=TIP + text, clip_on=False, zorder=4 if row["verdict"] else 6, **mark
        )
    times = [x for _, x, _ in dots]
    if times and max(times) > 10 * min(times) > 0:
        log_numbers(axes, "x", max(times) / min(times))
    else:
        axes.set_xlim(0, 1.15 * max(times, default=1.0) or 1.0)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.margins(y=0.1)
    values, shares = [y for _, _, y in dots], METRICS[metric].unit == "share"
    if METRICS[metric].unit == "nats" and max(values) > 5 * min(values) > 0:
        log_numbers(axes, "y", max(values) / min(values))
    else:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g}%" if shares else f"{y:g}"))
    axes.set_xlabel("seconds of a run")
    axes.set_ylabel(f"{metric_words(metric)} ({better(metric)})")
    _name_dots(axes, [(row["name"], x, y) for row, x, y in dots])
    return figure


def _name_dots(axes: Axes, dots: Sequence[tuple[str, float, float]]) -> None:
    """Each dot's name beside it, where it covers no dot and no other name; else it has its tooltip alone."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    places = axes.transData.transform([(x, y) for _, x, y in dots]).reshape(-1, 2)
    room = axes.get_window_extent()
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in places]
    for (name, x, y), (left, bottom) in zip(dots, places, strict=True):
        text = lines(name, 24, 2)
        rows = text.split("\n")
        width, height = 5.7 * max(map(columns, rows)), 6 * len(rows)
        for dx, dy, align in BESIDE:
            start = left + dx - {"left": 0.0, "right": width, "center": width / 2}[align]
            up = bottom + dy + math.copysign(height - 6, dy) if dy else bottom
            box = (start, up - height, start + width, up + height)
            free = all(box[2] < t[0] or t[2] < box[0] or box[3] < t[1] or t[3] < box[1] for t in taken)
            if free and box[0] > room.x0 and box[2] < room.x1 and box[1] > room.y0 - 4 and box[3] < room.y1 + 8:
                offset: Any = {"xytext": (dx, up - bottom), "textcoords": "offset points", "ha": align, "va": "center"}
                axes.annotate(text, (x, y), color=INK, fontsize=9.5, **offset)
                taken.append(box)
                break


def _rows(names: Sequence[str], right: Sequence[tuple[str, str]], top: float = 8) -> tuple[Figure, Axes]:
    """A figure with one row per name, the first on top, and a text in its colour at the right end of each row."""
    shown, bottom = [lines(name, 22, 2) for name in names], 46.0
    each = 32 if len(names) <= 8 or any("\n" in name for name in shown) else 23
    texts = [line for name in shown for line in name.split("\n")], [text for text, _ in right]
    left, beside = (12 + 6.3 * max(map(columns, each_side)) for each_side in texts)
    height = top + each * len(names) + bottom
    figure = Figure(figsize=(WIDTH / 72, height / 72))
    width = WIDTH - left - beside
    axes = figure.add_axes((left / WIDTH, bottom / height, width / WIDTH, each * len(names) / height))
    axes.set_yticks(range(len(names)), shown, color=INK, fontsize=10)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(True, axis="x")
    axes.grid(False, axis="y")
    axes.hlines(np.arange(len(names) - 1) + 0.5, 0, 1, transform=axes.get_yaxis_transform(), color=LINE, linewidth=0.5)
    for row, (text, colour) in enumerate(right):
        place: Any = {"transform": axes.get_yaxis_transform(), "va": "center_baseline", "fontsize": 10}
        axes.text(1 + 7 / width, row, text, color=MUTED if colour == GREY else colour, **place)
    return figure, axes
