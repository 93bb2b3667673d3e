"""The page: everything that `report.html` shows, as plain values, and the files it becomes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.artifacts import weights_digest
from pipeline.data.dataset import form_words
from pipeline.evaluation import classes as ev
from pipeline.evaluation.numbers import error_ranges
from pipeline.explanation.record import read_importance
from pipeline.kinds.occlusion import occlusion_of
from pipeline.report import material, words
from pipeline.report.material import Numbers, Predictions
from pipeline.report.run import separation
from pipeline.report.run.pictures import confidence_bins, drawn
from pipeline.report.run.records import Curves, Evaluation, NumberScores, Records, read_records
from pipeline.report.run.rules.guessing import accuracy_range, loss_of_guessing
from pipeline.report.run.verdict import verdict
from pipeline.report.study.pictures import study_pictures
from pipeline.report.study.studies import studies
from pipeline.report.templates import environment, style
from pipeline.schema.report import ReportConfig

HERE = Path(__file__).parent
REJECTED_SHOWN, CONFUSIONS_SHOWN = 20, 10
SHOWN_WHOLE = 20
"""Classes up to which their tables are shown whole; of more they scroll in a box, and the page says so."""
STOP_REASONS = {"epochs": "the last of its epochs", "early_stop": "early stopping", "not_finite": "a loss that is not finite"}


@dataclass(frozen=True)
class Tile:
    """One key number."""

    label: str
    value: str
    note: str


def rendered(root: Path, config: ReportConfig, num_bins: int) -> tuple[str, dict[str, bytes]]:
    """The page and its figures as PNG files by name: a pure function of the files below `root`."""
    artifacts = root / "artifacts"
    records = read_records(artifacts)
    said, found = verdict(records), studies(root, records.manifest.digest)
    none_shown = why_no_mistakes(records, config)
    of_task = _of_classes if records.test.numbers is None else _of_numbers
    predictions, shown = of_task(artifacts, records, 0 if none_shown else config.num_mistakes, num_bins)
    pictures = drawn(records, predictions, num_bins, said.findings, samples=config.samples)
    of_studies = {study.name: study_pictures(study) for study in found if study.effects}
    html = (
        environment()
        .get_template("report.html")
        .render(
            title=config.title,
            css=style(),
            manifest=records.manifest,
            form=form_words(records.manifest),
            run=records.run,
            test=records.test,
            foreign=records.foreign,
            judged_elsewhere=records.judged_elsewhere,
            verdict=said,
            tiles=tiles(records),
            pictures=pictures,
            **shown,
            importance=[] if records.judged_elsewhere else read_importance(artifacts / "evaluate" / "tables"),
            hidden_by=occlusion.HIDDEN if (occlusion := occlusion_of(records.manifest.kind)) else "",
            full_strength=material.full_strength(records.manifest),
            samples=config.samples,
            none_shown=none_shown,
            augmentation=material.augmentation_picture(artifacts) if config.samples else None,
            augmented=material.augmented(artifacts, records.manifest) if config.samples else [],
            copies_seen=material.copies_seen(artifacts),
            networks=records.num_networks,
            told_of_augmentation=material.told_of_augmentation(artifacts),
            rejected=material.rejected(artifacts, REJECTED_SHOWN) if config.samples else [],
            studies=found,
            study_pictures=of_studies,
            speed=speeds(records.curves),
            settings=material.settings(root),
            outputs=material.output_hashes(root),
            params_digest=material.params_digest(root),
            weights_digest=weights_digest(artifacts / "train"),
            guessing_loss=loss_of_guessing(records),
            rejected_shown=REJECTED_SHOWN,
            shown_whole=SHOWN_WHOLE,
            reasons=STOP_REASONS,
        )
    )
    return html, {picture.name: picture.png for picture in itertools.chain(pictures.values(), *of_studies.values())}


def why_no_mistakes(records: Records, config: ReportConfig) -> str | None:
    """Why no mistakes are shown; None: they are."""
    if not config.samples:
        return "report.samples is false, so nothing of single samples is on this page"
    if records.judged_elsewhere:
        return "they are of other data than what is prepared"
    return "report.num_mistakes is 0" if config.num_mistakes == 0 else None


def _of_classes(artifacts: Path, records: Records, num_mistakes: int, num_bins: int) -> tuple[Predictions, dict[str, Any]]:
    """The predictions, and what `classes.html` shows of them."""
    classes, predictions = records.manifest.classes, material.read_predictions(artifacts)
    material.check_classes(artifacts, predictions.classes, classes)
    return predictions, {
        "per_class": class_table(records, predictions),
        "confusions": confusions(predictions, classes),
        "mistakes": material.most_confident_mistakes(artifacts, predictions, classes, num_mistakes),
        "never_answered": int(((records.classes.actual > 0) & (records.classes.predicted == 0)).sum()),
        "num_wrong": int((ev.sample_accuracy(predictions.labels, predictions.predictions) < 1).sum()),
        "separations": separation.separations(predictions),
        "curves_shown": separation.SHOWN,
        "surest": separation.surest_table(predictions),
        "thresholds": material.read_thresholds(artifacts),
        "temperature_used": records.project.evaluate.temperature == "used",
        "bins": bin_table(confidence_bins(predictions, num_bins)),
    }


def _of_numbers(artifacts: Path, records: Records, num_mistakes: int, _: int) -> tuple[Numbers, dict[str, Any]]:
    """The predictions, and what `numbers.html` shows of them."""
    manifest, numbers = records.manifest, material.read_numbers(artifacts)
    material.check_classes(artifacts, numbers.targets, manifest.targets, "numbers")
    return numbers, {
        "per_target": target_table(records),
        "by_range": error_ranges(numbers.targets, numbers.actual, numbers.predicted),
        "ranges": material.target_ranges(artifacts),
        "mistakes": material.largest_errors(artifacts, numbers, manifest.target_fit["std"], num_mistakes),
    }


def tiles(records: Records) -> list[Tile]:
    run, test = records.run, records.test
    nats = " nats" if test.numbers is None else ""
    num = records.num_networks
    first, of_each = (f", first of {num} networks", f" of {num} networks") if num > 1 else ("", "")
    return [
        *(_class_tiles(test) if test.numbers is None else _number_tiles(records, test.numbers)),
        Tile("Test loss", words.number(test.loss), f"guessing: {words.number(loss_of_guessing(records, 'test'))}{nats}"),
        Tile("Best epoch", str(run.best_epoch), f"of {run.num_epochs}{first}"),
        Tile("Parameters", words.count(num * run.num_parameters), f"trained weights{of_each}"),
        Tile("Speed", words.count(round(run.samples_per_s)), f"training samples per second{first}"),
        Tile("Training time", words.duration(run.wall_s), f"on {run.device}, {words.plural(run.num_threads, 'thread')}{first}"),
    ]


def _number_tiles(records: Records, scores: NumberScores) -> list[Tile]:
    unit = "" if len(records.manifest.targets) == 1 else " deviations"

    def tile(label: str, name: str) -> Tile:
        value, low, high = (getattr(scores, f"{name}{end}") for end in ("", "_low", "_high"))
        shown = "not known" if value is None else f"{words.number(value)}{unit if name != 'r2' else ''}"
        return Tile(label, shown, f"95% interval {words.between(low, high)}")

    return [tile("Mean absolute error", "mae"), tile("Root mean squared error", "rmse"), tile("R\u00b2", "r2")]


def _class_tiles(test: Evaluation) -> list[Tile]:
    several = test.exact_match is not None
    exact = [Tile("All labels right", words.percent(test.exact_match or 0.0), "of a sample, at once")] if several else []
    return [
        Tile(
            "Label accuracy" if several else "Test accuracy",
            words.percent(test.accuracy),
            f"95% interval {words.interval(*accuracy_range(test))}",
        ),
        *exact,
        Tile("Macro-F1", f"{test.macro_f1:.3f}", "mean over classes, 1 is best"),
        Tile("Calibration error", words.points(test.calibration_error), "between confidence and truth"),
        *([] if test.cost is None else [_cost_tile(test, test.cost)]),
    ]


def _cost_tile(test: Evaluation, cost: float) -> Tile:
    return Tile("Cost of a sample", words.number(cost), f"95% interval {words.between(test.cost_low, test.cost_high)}")


def target_table(records: Records) -> list[dict[str, Any]]:
    """Of several numbers each one's metrics in its own unit; nothing of one alone, which the tiles show."""
    by_target = records.test.numbers.by_target if records.test.numbers else {}
    return [{"name": name, **scores} for name, scores in by_target.items()]


def class_table(records: Records, predictions: Predictions) -> list[dict[str, Any]]:
    """Per class: counts, precision, recall, F1 and what it is most often taken for; the weakest first."""
    classes, counts = records.manifest.classes, records.manifest.class_counts
    scores = ev.class_scores(predictions.labels, predictions.predictions, len(classes))
    taken = _taken_for(predictions, classes)
    rows = [
        {
            "name": classes[i],
            "train": counts["train"][i],
            "val": counts["val"][i],
            "test": counts["test"][i],
            "precision": float(scores.precision[i]),
            "recall": float(scores.recall[i]),
            "f1": float(scores.f1[i]),
            "taken_for": taken[i],
        }
        for i in range(len(classes))
    ]
    return sorted(rows, key=lambda row: row["f1"])


def _taken_for(predictions: Predictions, classes: list[str]) -> list[tuple[str, int] | None]:
    """For each class the wrong class that it is most often given, and how often."""
    if predictions.task == "multi":
        return [None] * len(classes)
    matrix = ev.confusion_matrix(predictions.labels, predictions.predictions, len(classes))
    np.fill_diagonal(matrix, 0)
    return [(classes[int(row.argmax())], int(row.max())) if row.any() else None for row in matrix]


def confusions(predictions: Predictions, classes: list[str]) -> list[tuple[str, str, int]]:
    """The most frequent mistakes: actual, predicted, how often."""
    if predictions.task == "multi":
        return []
    matrix = ev.confusion_matrix(predictions.labels, predictions.predictions, len(classes))
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:CONFUSIONS_SHOWN]
    pairs = [divmod(int(place), len(classes)) for place in order]
    return [(classes[i], classes[j], int(matrix[i, j])) for i, j in pairs if matrix[i, j]]


def bin_table(bins: ev.Bins) -> list[dict[str, Any]]:
    """The bins of confidence that hold anything, the surest first."""
    return [
        {
            "low": float(bins.edges[i]),
            "high": float(bins.edges[i + 1]),
            "count": int(bins.counts[i]),
            "confidence": float(bins.confidence[i]),
            "accuracy": float(bins.accuracy[i]),
        }
        for i in reversed(range(len(bins.counts)))
        if bins.counts[i]
    ]


def speeds(curves: Curves) -> dict[str, float] | None:
    """Samples per second of the median, slowest and fastest epoch."""
    values = curves.samples_per_s[np.isfinite(curves.samples_per_s)]
    if len(values) == 0:
        return None
    return {"median": float(np.median(values)), "slowest": float(values.min()), "fastest": float(values.max())}
