"""The figures of a study with their titles, captions that say how to read them, and words for those who can't see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.report.picture import Picture, picture_of
from pipeline.report.study import figures, matrix, panels
from pipeline.report.study.studies import Study
from pipeline.report.svg import style
from pipeline.report.words import count, duration, metric_words, plural, signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTIONS = {
    "gap": (
        "Generalisation gap",
        "Mean loss at the best epoch on training and validation samples: the further apart, the more is learned by heart.",
    ),
    "time": (
        "Time and quality",
        "Means over runs. Runs are trained side by side and share the machine, so compare times roughly.",
    ),
    "curves": (
        "Validation loss",
        "The median over runs, the band from the best to the worst run; one scale for all, so that panels can be compared.",
    ),
    "gradients": (
        "Gradients by layer and epoch",
        "One row per layer, the first on top: a first layer much paler than the last gets hardly any gradient (it vanishes).",
    ),
}
"""Title and caption of each figure."""


def study_pictures(study: Study) -> list[Picture]:
    """The figures of a study that was run: gains in a grid, effects, gap, time, curves, gradients where asked about."""
    with style():
        return [
            picture_of(f"study{part}-{study.name}", *captions, alt, figure)
            for part, captions, alt, figure in _study_figures(study)
        ]


def _study_figures(study: Study) -> Iterator[tuple[str, tuple[str, str], str, Figure]]:
    """What comes between "study" and the name, title and caption, alternative text, figure."""
    effects, variants = study.effects, study.rows[1:]
    assert effects is not None
    metric = metric_words(effects["metric"])
    told = "; ".join(f"{variant['name']}: {variant['verdict']} ({signed(variant['difference'])})" for variant in variants)
    caption = (
        f"Large dots are differences, bars their {100 * effects['confidence']:g}% intervals over {study.unit}s, small dots "
        f"single {study.unit}s; the verdict allows for the number of variants that were tried (Holm)."
    )
    if effects.get("correction"):
        caption += f" Intervals and verdicts allow for the {effects['correction']}."
    if effects["margin"]:
        caption += f" What lies within the blue band, \u00b1{effects['margin']:g}, was said not to matter."
    titles = ("Differences", caption)
    if grid := matrix.grid_of(effects):
        of_grid = matrix.captions(grid)
        yield ".matrix", of_grid, f"{of_grid[0]}. {'; '.join(matrix.told(grid))}.", matrix.drawn(grid)
    yield "", titles, f"Differences in {metric}. {told}.", figures.forest(effects)
    pairs = list(zip(study.rows, study.means("train_loss"), study.means("val_loss"), strict=True))
    if any(train is not None and val is not None for _, train, val in pairs):
        gaps = [f"{row['name']}: {signed(val - train)}" for row, train, val in pairs if train is not None and val is not None]
        alt = f"Validation less training loss. {'; '.join(gaps)}."
        yield ".gap", CAPTIONS["gap"], alt, figures.losses(study)
    times = list(zip(study.rows, study.means("seconds"), study.means(effects["metric"]), strict=True))
    if any(seconds is not None and value is not None for _, seconds, value in times):
        each = [f"{row['name']}: {duration(s)}" for row, s, value in times if s is not None and value is not None]
        yield (
            ".time",
            CAPTIONS["time"],
            f"{metric} over the time of a run. {'; '.join(each)}.",
            figures.cost(study),
        )
    if study.runs:
        alt = f"Validation loss per epoch of {plural(len(variants), 'variant')}, each with what it is compared with."
        yield ".curves", CAPTIONS["curves"], alt, panels.curves(study)
    mapped = [runs for runs in study.runs.values() if runs.layers]
    if mapped:
        alt = f"Gradient norm by layer and epoch of {count(len(mapped))} configurations."
        yield ".gradients", CAPTIONS["gradients"], alt, panels.gradients(study)
