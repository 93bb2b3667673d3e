"""The report's figures: pure functions from numbers to matplotlib figures, drawn without pyplot and its state.

Call them inside `svg.style()`. All sizes are in points, which are the page's pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from pipeline.evaluation.classes import Bins, Floats, Ints, wilson_interval
from pipeline.report.axes import log_numbers
from pipeline.report.run.records import Curves
from pipeline.report.run.separation import Risk, Separation
from pipeline.report.svg import BLUE, GREY, INK, LINE, MUTED, ORANGE, PAPER, TIP
from pipeline.report.words import columns, count, measure, measured, number, percent, plural, short

WIDTH, HEIGHT = 420, 270
NAMED, NUMBERED, DRAWN = 77, 14, 120
"""Classes up to which the confusion matrix names them, numbers its squares, is drawn at all."""
FEW, WHOLE, LARGE = 20, 500.0, 680.0
"""Of up to so many classes the confusion matrix is at most so wide, with its names, that a telephone shows it whole; of more
its square is so large."""
MOST_DOTS = 2000
"""Samples that a figure of single ones shows: more make a heavy page and one blot."""
HOVERED = 240
"""Epochs up to which each has its tooltip."""


def loss_curves(curves: Curves, best_epoch: int) -> Figure:
    """Loss per epoch, best epoch marked."""
    figure, axes = _figure()
    _lines(axes, curves.epochs, _named(curves.running_loss, curves.clean_loss, curves.val_loss))
    _log_if_wide(axes, [curves.clean_loss, curves.val_loss, curves.running_loss])
    axes.set_ylabel("cross-entropy (nats)" if curves.measure == "accuracy" else "error of standardised numbers")
    _mark_best(axes, curves, best_epoch, curves.val_loss, number)
    _epoch_axis(axes, curves.epochs)
    _label_ends(axes)
    _tips(axes, curves.epochs, {"training": curves.clean_loss, "validation": curves.val_loss}, number)
    return figure


def measure_curves(curves: Curves, best_epoch: int) -> Figure:
    """What is counted beside the loss, such as accuracy, per epoch; best epoch marked."""
    figure, axes = _figure()
    told = partial(measure, f"val_{curves.measure}")
    _lines(axes, curves.epochs, _named(curves.running_measure, curves.clean_measure, curves.val_measure))
    if curves.measure == "accuracy":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g}%"))
        axes.set_ylim(max(-0.005, axes.get_ylim()[0]), min(1.005, axes.get_ylim()[1]))
    else:
        axes.set_ylim(bottom=0)
    axes.set_ylabel(measured(curves.measure))
    _mark_best(axes, curves, best_epoch, curves.val_measure, told)
    _epoch_axis(axes, curves.epochs)
    _label_ends(axes)
    _tips(axes, curves.epochs, {"training": curves.clean_measure, "validation": curves.val_measure}, told)
    return figure


def gap_curve(curves: Curves, best_epoch: int) -> Figure:
    """Validation loss less clean training loss per epoch."""
    figure, axes = _figure()
    gap = curves.val_loss - curves.clean_loss
    axes.fill_between(curves.epochs, 0, gap, color=BLUE, alpha=0.13, linewidth=0)
    _lines(axes, curves.epochs, {"gap": (gap, BLUE, "-")})
    axes.axhline(0, color=MUTED, linewidth=0.9)
    axes.set_ylabel("validation less training loss")
    _mark_best(axes, curves, best_epoch, gap, number)
    _epoch_axis(axes, curves.epochs)
    _tips(axes, curves.epochs, {"gap": gap}, number)
    return figure


def gradient_norms(curves: Curves) -> Figure:
    """Norm of each layer's gradient per epoch on a log scale; the first and the last layer in colour."""
    figure, axes = _figure()
    last = len(curves.layers) - 1
    colours = {0: ORANGE, last: BLUE}
    positive = np.where(curves.layer_norms > 0, curves.layer_norms, np.nan)
    series = {name: (positive[:, i], colours.get(i, GREY), "-") for i, name in enumerate(curves.layers)}
    _lines(axes, curves.epochs, series)
    _log_axis(axes, positive)
    axes.set_ylabel("gradient norm (log scale)")
    _epoch_axis(axes, curves.epochs)
    _label_ends(axes)
    _tips(axes, curves.epochs, {name: values for name, (values, _, _) in series.items()}, number)
    return figure


def learning_rate(curves: Curves) -> Figure:
    figure, axes = _figure(height=210)
    _lines(axes, curves.epochs, {"learning rate": (curves.learning_rate, INK, "-")})
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    axes.set_ylabel("learning rate")
    _epoch_axis(axes, curves.epochs)
    _tips(axes, curves.epochs, {"learning rate": curves.learning_rate}, number)
    return figure


def speed(curves: Curves) -> Figure:
    """Training samples per second, per epoch."""
    figure, axes = _figure(height=210)
    axes.bar(curves.epochs, curves.samples_per_s, width=0.72, color=BLUE, alpha=0.8, linewidth=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: count(round(y))))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_ylabel("samples per second")
    _epoch_axis(axes, curves.epochs)
    _tips(axes, curves.epochs, {"samples per second": curves.samples_per_s}, lambda v: count(round(v)))
    return figure


def confusion(matrix: Ints, classes: Sequence[str]) -> Figure:
    """Rows: actual class; columns: predicted class. Strength is the share of the row; mistakes stand out in orange."""
    num = len(classes)
    few, named = num <= FEW, num <= NAMED
    names = [short(name, 20 if few else 26) for name in classes]
    size = 10.5 if num <= NUMBERED else 9.5 if few else max(5.0, 0.72 * LARGE / num)
    longest = max(map(columns, names))
    room = 24 + 0.6 * size * longest if named else 20.0
    left = max(52.0, room)
    side = min(float(np.clip(44 * num, 200, 420)), WHOLE - left) if few else LARGE
    turned = longest > 2 and num * (0.62 * size * longest + 8) > side
    top = (room if turned else 20 + 1.4 * size) if named else 20.0
    whole = (left + side + 8, top + side + 8)
    figure = Figure(figsize=(whole[0] / 72, whole[1] / 72))
    axes = figure.add_axes((left / whole[0], 8 / whole[1], side / whole[0], side / whole[1]))
    _squares(axes, matrix, names, min(11.0, 0.36 * side / num))
    axes.set(xlim=(-0.5, num - 0.5), ylim=(num - 0.5, -0.5))
    axes.grid(False)
    axes.spines[:].set_visible(True)
    if few:
        axes.hlines(np.arange(num - 1) + 0.5, -0.5, num - 0.5, color=LINE, linewidth=0.6, zorder=0)
        axes.vlines(np.arange(num - 1) + 0.5, -0.5, num - 0.5, color=LINE, linewidth=0.6, zorder=0)
    axes.tick_params(length=0, bottom=False, labeltop=True, labelbottom=False, pad=3)
    axes.set_xticks(range(num) if named else [], names if named else [], rotation=90 if turned else 0, fontsize=size)
    axes.set_yticks(range(num) if named else [], names if named else [], fontsize=size)
    corner: Any = {"xycoords": "figure points", "color": INK, "fontsize": 9.5}
    figure_top = whole[1] - 12
    axes.annotate("predicted \u2192", (left, figure_top), **corner)
    axes.annotate("actual \u2193", (left - 4, figure_top if not turned else whole[1] - top + 4), ha="right", **corner)
    return figure


def _squares(axes: Axes, matrix: Ints, names: Sequence[str], size: float) -> None:
    from matplotlib.patches import Rectangle

    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    for i, j in np.argwhere(matrix):
        strength = float(shares[i, j]) if i == j else float(np.sqrt(shares[i, j]))
        tip = f"{TIP}actual {names[i]}, predicted {names[j]}: {plural(int(matrix[i, j]), 'sample')} ({percent(shares[i, j])})"
        colour = BLUE if i == j else ORANGE
        axes.add_patch(
            Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=colour, alpha=0.08 + 0.84 * strength, linewidth=0, gid=tip)
        )
        if len(names) <= NUMBERED:
            ink = PAPER if strength > 0.7 else INK
            axes.text(j, i, count(int(matrix[i, j])), ha="center", va="center_baseline", color=ink, fontsize=size)


def reliability(bins: Bins) -> Figure:
    """Above: share of right decisions by confidence, with 95 % intervals. Below: how many decisions had that confidence."""
    figure = Figure(figsize=(WIDTH / 72, 380 / 72), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    left, width = bins.edges[:-1], np.diff(bins.edges)
    filled = np.flatnonzero(bins.counts)
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
    upper.vlines(bins.confidence[filled], *_intervals(bins, filled), color=BLUE, linewidth=5, alpha=0.22)
    sizes = 40 + 200 * bins.counts[filled] / bins.counts.sum()
    dots: Any = {"color": BLUE, "edgecolor": PAPER, "linewidth": 1.2, "zorder": 4, "clip_on": False}
    upper.scatter(bins.confidence[filled], bins.accuracy[filled], sizes, **dots)
    upper.set(xlim=(0, 1.01), ylim=(0, 1.02), ylabel="share that is right")
    upper.annotate("more right than sure", (0.03, 0.95), color=MUTED, fontsize=10.5, va="top")
    upper.annotate("more sure than right", (0.98, 0.05), color=MUTED, fontsize=10.5, ha="right")
    lower.bar(left, bins.counts / bins.counts.sum(), width * 0.9, align="edge", color=GREY, linewidth=0)
    lower.set(ylabel="share of all", xlabel="confidence", ylim=(0, 1))
    for axes, ticks in ((upper, 5), (lower, 2)):
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g}%"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g}%"))
        axes.yaxis.set_major_locator(MaxNLocator(ticks))
    for i in filled:
        text = f"sure by {percent(bins.confidence[i])}, right on {percent(bins.accuracy[i])} of {count(int(bins.counts[i]))}"
        upper.axvspan(left[i], left[i] + width[i], alpha=0, linewidth=0, gid=TIP + text)
    return figure


def roc(weakest: Sequence[Separation]) -> Figure:
    """Share of a class that is found over the share of all others that is taken for it, as the threshold falls."""
    figure, axes = _figure(height=360)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
    for each, colour in zip(weakest, RANKED, strict=False):
        x, y = (np.r_[0.0, rate] for rate in (each.curve.false_rate, each.curve.recall))
        shown = _corners(x, y)
        axes.plot(x[shown], y[shown], color=colour, clip_on=False)
        _answered(axes, each.answers.false_rate, each.answers.recall, colour)
    _shares(axes, "others taken for it", "found of the class (recall)")
    _name_inside(axes, [(each.name, each.roc.value) for each in weakest], right=True)
    return figure


def precision_recall(weakest: Sequence[Separation]) -> Figure:
    """Share of what is taken for a class that is of it, over the share of the class that is found."""
    figure, axes = _figure(height=360)
    for each, colour in zip(weakest, RANKED, strict=False):
        shown = _corners(each.curve.recall, each.curve.precision)
        x, y = (np.r_[start, part[shown]] for start, part in ((0.0, each.curve.recall), (1.0, each.curve.precision)))
        axes.plot(x, y, color=colour, drawstyle="steps-pre", clip_on=False)
        if each.answers.precision is not None:
            _answered(axes, each.answers.recall, each.answers.precision, colour)
    _shares(axes, "found of the class (recall)", "right of what is taken for it (precision)")
    _name_inside(axes, [(each.name, each.precision.value) for each in weakest], right=False)
    return figure


RANKED = (ORANGE, BLUE, INK)
"""Of the curves of single classes, the weakest first."""
MOST_CORNERS = 400


def _corners(x: Floats, y: Floats) -> Ints:
    """Of a line's points at most MOST_CORNERS, evenly chosen by the way along it: of many samples most lie on each other."""
    way = np.r_[0.0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
    chosen = np.searchsorted(way, np.linspace(0, way[-1], min(len(x), MOST_CORNERS)) - 1e-12)
    return np.unique(np.r_[0, chosen, len(x) - 1])


def _answered(axes: Axes, x: float, y: float, colour: str) -> None:
    dot: Any = {"markersize": 7.5, "markeredgecolor": PAPER, "markeredgewidth": 1.5, "zorder": 5, "clip_on": False}
    axes.plot([x], [y], "o", color=colour, **dot)


def _shares(axes: Axes, x: str, y: str) -> None:
    axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel=x, ylabel=y)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))


def _name_inside(axes: Axes, named: Sequence[tuple[str, float]], right: bool) -> None:
    """Names and areas in the curves' colours, in the lower corner that good curves leave free."""
    for row, ((name, area), colour) in enumerate(zip(reversed(named), reversed(RANKED[: len(named)]), strict=True)):
        text = f"{short(name)} {area:.3f}"
        place: Any = {"xycoords": "axes fraction", "ha": "right" if right else "left", "fontsize": 10.5}
        axes.annotate(text, (0.97 if right else 0.03, 0.05 + 0.07 * row), color=colour, **place)


def risk_and_coverage(surest: Risk) -> Figure:
    """Share that is wrong of the surest samples, over how many these are; a dot where answers are left open."""
    figure, axes = _figure()
    coverage, risk = surest.coverage, surest.risk
    shown = _corners(coverage, risk)
    axes.fill_between(coverage[shown], 0, risk[shown], color=BLUE, alpha=0.13, linewidth=0)
    axes.plot(coverage[shown], risk[shown], color=BLUE, marker="o" if len(shown) == 1 else "")
    if surest.given:
        _answered(axes, *surest.given, ORANGE)
    _shares(axes, "the surest of all samples", "share that is wrong")
    axes.set_ylim(0, max(0.01, 1.15 * float(max(risk.max(), surest.given[1] if surest.given else 0))))
    place: Any = {"xycoords": "axes fraction", "va": "top", "fontsize": 10.5}
    axes.annotate(f"area {number(surest.area)}", (0.03, 0.97), color=BLUE, **place)
    for end in np.arange(1, 21) / 20:
        at = int(np.searchsorted(coverage, end - 1e-9))
        text = f"{TIP}of the surest {percent(coverage[at])} {percent(risk[at])} are wrong"
        axes.axvspan(end - 0.05, end, alpha=0, linewidth=0, gid=text)
    return figure


def against_actual(actual: Floats, predicted: Floats, name: str) -> Figure:
    """Predicted over actual numbers (N,): what is right lies on the dashed line."""
    figure, axes = _figure(height=360)
    low, high = float(min(actual.min(), predicted.min())), float(max(actual.max(), predicted.max()))
    room = 0.03 * (high - low)
    axes.plot([low, high], [low, high], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
    _dots(axes, actual, predicted)
    axes.set(xlim=(low - room, high + room), ylim=(low - room, high + room))
    axes.set(xlabel=f"actual {short(name)}", ylabel=f"predicted {short(name)}")
    return figure


def residuals(actual: Floats, predicted: Floats, name: str) -> Figure:
    """Above: what is predicted too much, over what is predicted (N,). Below: how often an error is so large."""
    figure = Figure(figsize=(WIDTH / 72, 380 / 72), layout="constrained")
    upper, lower = figure.subplots(2, 1, height_ratios=(2.2, 1))
    errors = predicted - actual
    upper.axhline(0, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
    _dots(upper, predicted, errors)
    upper.set(xlabel=f"predicted {short(name)}", ylabel="too much by")
    lower.hist(errors, bins=min(40, max(5, round(len(errors) ** 0.5))), color=BLUE, alpha=0.8, linewidth=0)
    lower.axvline(0, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
    lower.set(xlabel="too much by", ylabel="samples")
    return figure


def _dots(axes: Axes, x: Floats, y: Floats) -> None:
    """Of many samples MOST_DOTS, evenly chosen by place."""
    shown = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_DOTS)).astype(np.int64))
    axes.scatter(x[shown], y[shown], 14, color=BLUE, alpha=0.45, linewidth=0)


def _intervals(bins: Bins, filled: NDArray[Any]) -> tuple[list[float], list[float]]:
    right = bins.accuracy * bins.counts
    both = [wilson_interval(float(right[i]), int(bins.counts[i])) for i in filled]
    return [low for low, _ in both], [high for _, high in both]


def _figure(height: float = HEIGHT) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
    return figure, figure.subplots()


Series = Mapping[str, tuple[Floats, str, Any]]


def _named(running: Floats, clean: Floats, val: Floats) -> Series:
    return {
        "while training": (running, GREY, (0, (2, 2))),
        "training": (clean, ORANGE, "-"),
        "validation": (val, BLUE, "-"),
    }


def _lines(axes: Axes, epochs: Ints, series: Series) -> None:
    marker = "o" if len(epochs) == 1 else ""
    for name, (values, colour, dashes) in series.items():
        if np.isfinite(values).any():
            axes.plot(epochs, values, color=colour, linestyle=dashes, marker=marker, label=name)


def _epoch_axis(axes: Axes, epochs: Ints) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    first, last = int(epochs[0]), int(epochs[-1])
    axes.set_xlim(first - 0.5, max(last + 0.5, first + 1))
    axes.set_xlabel("epoch")


def _log_if_wide(axes: Axes, series: Sequence[Floats]) -> None:
    """A log scale where the curves span more than a factor of 20, since the interesting part is then flat."""
    values = np.concatenate(series)
    values = values[np.isfinite(values) & (values > 0)]
    if len(values) and values.max() / values.min() > 20:
        _log_axis(axes, values)
    else:
        axes.set_ylim(bottom=0)


def _log_axis(axes: Axes, values: Floats) -> None:
    finite = values[np.isfinite(values)]
    log_numbers(axes, "y", float(finite.max() / finite.min()) if len(finite) else 1.0)


def _mark_best(axes: Axes, curves: Curves, best_epoch: int, values: Floats, told: Any) -> None:
    y = float(values[curves.at(best_epoch)])
    axes.axvline(best_epoch, color=MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
    axes.plot([best_epoch], [y], "o", color=BLUE, markersize=7.5, markeredgecolor=PAPER, markeredgewidth=1.5, zorder=5)
    late = best_epoch > (curves.epochs[0] + curves.epochs[-1]) / 2
    axes.annotate(
        f"best: epoch {best_epoch}, {told(y)}",
        (best_epoch, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(6 if late else -6, 4),
        textcoords="offset points",
        ha="right" if late else "left",
        va="bottom",
        color=INK,
        fontsize=10.5,
    )


def _label_ends(axes: Axes, apart: float = 13.5) -> None:
    """Write each line's name at its end, in its colour, at least `apart` points from the next.

    An end that the axes can't show (a loss of 0 on a log scale) has its name at their edge: far outside it would leave
    the axes no room.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    shown = [float(np.clip(_last(line.get_ydata()), *axes.get_ylim())) for line in lines]
    ends = [(float(axes.transData.transform((1.0, y))[1]), y, line) for y, line in zip(shown, lines, strict=True)]
    ends.sort(key=lambda end: end[0])
    placed = _spread([y for y, _, _ in ends], apart)
    for y, (own, value, line) in zip(placed, ends, strict=True):
        axes.annotate(
            short(str(line.get_label()), 20),
            (axes.get_xlim()[1], value),
            xytext=(5, y - own),
            textcoords="offset points",
            color=MUTED if line.get_color() == GREY else line.get_color(),
            va="center",
            fontsize=10.5,
            annotation_clip=False,
        )


def _last(values: Any) -> float:
    finite = np.asarray(values, dtype=np.float64)
    return float(finite[np.isfinite(finite)][-1])


def _spread(places: Sequence[float], apart: float) -> list[float]:
    """The ascending places, moved as little as a simple sweep can so that neighbours are `apart`."""
    spread = list(places)
    for _ in range(50):
        for i in range(1, len(spread)):
            lack = apart - (spread[i] - spread[i - 1])
            if lack > 1e-9:
                spread[i - 1] -= lack / 2
                spread[i] += lack / 2
    return spread


def _tips(axes: Axes, epochs: Ints, series: Mapping[str, Floats], told: Any) -> None:
    if len(epochs) > HOVERED:
        return
    for row, epoch in enumerate(epochs):
        text = ", ".join(f"{name} {told(values[row])}" for name, values in series.items() if np.isfinite(values[row]))
        axes.axvspan(epoch - 0.5, epoch + 0.5, alpha=0, linewidth=0, gid=f"{TIP}epoch {epoch}: {text}")
