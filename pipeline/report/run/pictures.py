"""The figures of a report with their titles, captions that say how to read them, and words for those who can't see them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.evaluation import classes as ev
from pipeline.metrics import MEASURES
from pipeline.model.objective import SAMPLING
from pipeline.report.material import Numbers, Predictions
from pipeline.report.picture import Picture, picture_of
from pipeline.report.run import figures, separation
from pipeline.report.run.records import Curves, Evaluation, Records
from pipeline.report.run.rules.finding import Finding
from pipeline.report.run.rules.gradients import gradient_ratio
from pipeline.report.svg import style
from pipeline.report.words import count, measure, measured, number, percent, plain, plural, points
from pipeline.schema.train import TrainConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTIONS = {
    "curves": (
        "Loss",
        "The closer the solid lines stay, the better the network generalises; a blue line that keeps rising while the "
        "orange one falls is overfitting.",
    ),
    "accuracy": (
        "Accuracy",
        "The share of samples that are right after each epoch.",
    ),
    "gap": (
        "Generalisation gap",
        "How much more a validation sample costs than a training sample: a line that keeps growing means learning by heart.",
    ),
    "gradients": (
        "Gradients by layer",
        "How strongly each layer is asked to change: a first layer that lies 10 times or more below the last hardly learns.",
    ),
    "calibration": (
        "Confidence and truth",
        "On the dashed line confidence is worth what it says: of answers 80% sure, 80% are right; bars are 95% intervals.",
    ),
    "roc": (
        "Found and false alarms",
        "ROC: how much of a class is found (up) at the price of others taken for it (right), as the threshold falls. The "
        "dashed line is guessing, the dot is what is answered, the number the area under the curve.",
    ),
    "precision_recall": (
        "Precision and recall",
        "What finding more of a class costs in answers that are wrong, as the threshold falls; the dot is what is answered, "
        "the number the average precision.",
    ),
    "risk": (
        "Risk and coverage",
        "How many of the surest samples are wrong: a line that rises to the right means that it knows when to abstain. The "
        "smaller the area under it the better; with answers in no order it would be the risk of all.",
    ),
    "confusion": (
        "Who is taken for whom",
        "Each row is an actual class: blue is right, orange is taken for another class, stronger for a larger share.",
    ),
    "mae": (
        "Mean absolute error",
        "How far off the numbers are on average after each epoch.",
    ),
    "predicted": (
        "Predicted and actual",
        "Each dot is a test sample: on the dashed line it is right, above it too much was predicted, below it too little.",
    ),
    "residuals": (
        "What is left",
        "A cloud that bends, or widens to one side, has a pattern that is not learned yet; below: how large errors are.",
    ),
    "learning_rate": ("Learning rate", "The size of the optimiser's steps in each epoch."),
    "speed": (
        "Throughput",
        "Training samples per second in each epoch: bars that get shorter mean that something slows the machine down.",
    ),
}
"""Title and caption of each figure."""
OF_SAMPLES = ("predicted", "residuals")
"""Figures that show values of each sample."""
JUDGED = {"curves": "Overfitting", "gap": "Overfitting", "gradients": "Gradients", "calibration": "Calibration"}
"""The topic whose finding a caption ends with, so that a reader does not judge otherwise than the page."""


def drawn(
    records: Records, predictions: Predictions | Numbers, num_bins: int, findings: Sequence[Finding], *, samples: bool = True
) -> dict[str, Picture]:
    """The figures of a report by name; those without records are left out. findings: what the page says of them.

    samples: whether there may be those in which each dot is a sample.
    """
    with style():
        return {
            name: picture_of(name, CAPTIONS[name][0], caption(name, records, findings), alt, figure)
            for name, alt, figure in _figures(records, predictions, num_bins)
            if samples or name not in OF_SAMPLES
        }


def caption(name: str, records: Records, findings: Sequence[Finding]) -> str:
    """How to read a figure, and what was found by it."""
    said = [finding.headline for finding in findings if finding.topic == JUDGED.get(name)]
    dashed = [while_training(records)] if name in ("curves", *MEASURES.values()) else []
    return " ".join([CAPTIONS[name][1], *dashed, *(f"Here: {text[0].lower()}{text[1:]}." for text in said)])


def while_training(records: Records) -> str:
    """What the dashed line of a curve is of: where it lies beside the others, and what it can't be held against."""
    train, parts = records.project.train, ["with dropout and augmentation on"]
    parts += ["by one of each sample's rows, drawn anew in each epoch"] if records.manifest.windows else []
    parts += ["of mixed samples"] if train.mixup or train.cutmix else []
    drawn = "of the samples that were drawn, each class as often as the others"
    parts += [drawn] if train.balance == SAMPLING else []
    return " ".join([f"The dashed line is taken while training: {', '.join(parts)}.", *_averaged(train)])


def _averaged(train: TrainConfig) -> Iterator[str]:
    """Of what the other lines are, where they are not of the plain network alone."""
    parts = [f"of the running mean of the weights (train.ema = {train.ema:g})"] if train.ema else []
    parts += ["of mean answers to each sample and its mirror image (train.tta)"] if train.tta == "mirrored" else []
    if parts:
        yield f"The other lines are {' and '.join(parts)}, which is what is kept and answers."
    if train.members > 1:
        seeds = f"{train.seed} to {train.seed + train.members - 1}"
        yield f"All lines are of the first of {train.members} networks (seeds {seeds}); test results are of their mean answer."


def _figures(records: Records, predictions: Predictions | Numbers, num_bins: int) -> Iterator[tuple[str, str, Figure]]:
    """Name, alternative text and figure."""
    curves, best = records.curves, records.run.best_epoch
    alt = _ends("Loss", curves, best, curves.clean_loss, curves.val_loss, number)
    yield "curves", alt, figures.loss_curves(curves, best)
    told = partial(measure, f"val_{curves.measure}")
    alt = _ends(measured(curves.measure).capitalize(), curves, best, curves.clean_measure, curves.val_measure, told)
    yield curves.measure, alt, figures.measure_curves(curves, best)
    gap = curves.val_loss - curves.clean_loss
    ends = f"{number(gap[curves.at(best)])} at the best epoch, {number(gap[-1])} at the end"
    yield "gap", f"Validation loss less training loss per epoch: {ends}.", figures.gap_curve(curves, best)
    if curves.layers:
        yield "gradients", _gradients(curves), figures.gradient_norms(curves)
    if isinstance(predictions, Predictions):
        yield from _of_classes(records, predictions, num_bins)
    else:
        yield from _of_numbers(predictions)
    if np.isfinite(curves.learning_rate).all():
        alt = f"Learning rate per epoch, from {number(curves.learning_rate[0])} to {number(curves.learning_rate[-1])}."
        yield "learning_rate", alt, figures.learning_rate(curves)
    if np.isfinite(curves.samples_per_s).all():
        median = count(round(float(np.median(curves.samples_per_s))))
        yield "speed", f"Training samples per second per epoch, {median} in the median epoch.", figures.speed(curves)


def _of_classes(records: Records, predictions: Predictions, num_bins: int) -> Iterator[tuple[str, str, Figure]]:
    classes = records.manifest.classes
    yield "calibration", _calibration(records.test), figures.reliability(confidence_bins(predictions, num_bins))
    surest = separation.risk_of(predictions)
    alt = (
        f"Share wrong over the share of the surest samples: {percent(surest.risk[-1])} of all are wrong, the area is "
        f"{number(surest.area)}."
    )
    yield "risk", alt, figures.risk_and_coverage(surest)
    weakest = separation.separations(predictions)[: separation.SHOWN]
    if weakest:
        yield "roc", _areas("Area under ROC", weakest, "roc"), figures.roc(weakest)
        yield "precision_recall", _areas("Average precision", weakest, "precision"), figures.precision_recall(weakest)
    if predictions.task == "single" and len(classes) <= figures.DRAWN:
        matrix = ev.confusion_matrix(predictions.labels, predictions.predictions, len(classes))
        right = f"right are {count(matrix.trace())} of {plural(int(matrix.sum()), 'test sample')}"
        yield "confusion", f"Confusion matrix of {len(classes)} classes: {right}.", figures.confusion(matrix, classes)


def _areas(what: str, weakest: Sequence[separation.Separation], name: str) -> str:
    return f"{what}: {', '.join(f'{plain(each.name)} {getattr(each, name).value:.3f}' for each in weakest)}."


def _of_numbers(predictions: Numbers) -> Iterator[tuple[str, str, Figure]]:
    """Of the first number, where there are several."""
    name, actual, predicted = predictions.targets[0], predictions.actual[:, 0], predictions.predicted[:, 0]
    spread = float(np.corrcoef(actual, predicted)[0, 1]) if actual.std() and predicted.std() else math.nan
    alt = f"Predicted over actual {plain(name)} of {plural(len(actual), 'test sample')}, correlation {number(spread)}."
    yield "predicted", alt, figures.against_actual(actual, predicted, name)
    errors = predicted - actual
    ends = f"{number(float(np.quantile(errors, 0.05)))} to {number(float(np.quantile(errors, 0.95)))}"
    yield "residuals", f"Errors over what was predicted: nine of ten from {ends}.", figures.residuals(actual, predicted, name)


def _ends(what: str, curves: Curves, best: int, clean: ev.Floats, val: ev.Floats, told: Any) -> str:
    at = curves.at(best)
    first, top, last = (f"{told(clean[row])} on training and {told(val[row])} on validation samples" for row in (0, at, -1))
    return f"{what} per epoch: {first} after the first epoch, {top} after the best (epoch {best}), {last} after the last."


def _gradients(curves: Curves) -> str:
    alt = f"Gradient norm of each of {plural(len(curves.layers), 'layer')} per epoch, on a logarithmic scale."
    return f"{alt} In the median epoch the first layer's is {number(gradient_ratio(curves))} times the last one's."


def _calibration(test: Evaluation) -> str:
    sure, right = percent(test.mean_confidence), percent(test.accuracy)
    return f"Reliability diagram: {sure} sure on average, right on {right}, calibration error {points(test.calibration_error)}."


def confidence_bins(predictions: Predictions, num_bins: int) -> ev.Bins:
    """All decisions by confidence."""
    confidence = ev.decision_confidence(predictions.probabilities, predictions.predictions)
    return ev.reliability_bins(confidence.ravel(), (predictions.labels == predictions.predictions).ravel(), num_bins)
