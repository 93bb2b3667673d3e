"""The page: everything that `report.html` shows, as plain values, and the files it becomes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import evaluation as ev
from pipeline.artifacts import weights_digest
from pipeline.data.dataset import form_words
from pipeline.report import material, words
from pipeline.report.material import Predictions
from pipeline.report.run.pictures import confidence_bins, drawn
from pipeline.report.run.records import Curves, Records, read_records
from pipeline.report.run.rules.guessing import accuracy_range, guessing_loss
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
    records, predictions = read_records(artifacts), material.read_predictions(artifacts)
    classes, said = records.manifest.classes, verdict(records)
    found = studies(root, records.manifest.digest)
    material.check_classes(artifacts, predictions, classes)
    # Of other data there are no pictures here.
    num_mistakes = 0 if records.judged_elsewhere else config.num_mistakes
    mistakes = material.most_confident_mistakes(artifacts, predictions, classes, num_mistakes)
    pictures = drawn(records, predictions, num_bins, said.findings)
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
            per_class=class_table(records, predictions),
            confusions=confusions(predictions, classes),
            mistakes=mistakes,
            num_wrong=int((ev.sample_accuracy(predictions.labels, predictions.predictions) < 1).sum()),
            augmentation=material.augmentation_picture(artifacts),
            rejected=material.rejected(artifacts, REJECTED_SHOWN),
            studies=found,
            study_pictures=of_studies,
            bins=bin_table(confidence_bins(predictions, num_bins)),
            speed=speeds(records.curves),
            settings=material.settings(root),
            outputs=material.output_hashes(root),
            params_digest=material.params_digest(root),
            weights_digest=weights_digest(artifacts / "train"),
            guessing_loss=guessing_loss(records.manifest),
            rejected_shown=REJECTED_SHOWN,
            shown_whole=SHOWN_WHOLE,
            reasons=STOP_REASONS,
        )
    )
    return html, {picture.name: picture.png for picture in itertools.chain(pictures.values(), *of_studies.values())}


def tiles(records: Records) -> list[Tile]:
    run, test, manifest = records.run, records.test, records.manifest
    several = test.exact_match is not None
    exact = [Tile("All labels right", words.percent(test.exact_match or 0.0), "of a sample, at once")] if several else []
    return [
        Tile(
            "Label accuracy" if several else "Test accuracy",
            words.percent(test.accuracy),
            f"95% interval {words.interval(*accuracy_range(test))}",
        ),
        *exact,
        Tile("Test loss", words.number(test.loss), f"guessing: {words.number(guessing_loss(manifest))} nats"),
        Tile("Macro-F1", f"{test.macro_f1:.3f}", "mean over classes, 1 is best"),
        Tile("Calibration error", words.points(test.calibration_error), "between confidence and truth"),
        Tile("Best epoch", str(run.best_epoch), f"of {run.num_epochs}"),
        Tile("Parameters", words.count(run.num_parameters), "trained weights"),
        Tile("Speed", words.count(round(run.samples_per_s)), "training samples per second"),
        Tile("Training time", words.duration(run.wall_s), f"on {run.device}, {words.plural(run.num_threads, 'thread')}"),
    ]


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
