"""What the curves say: whether it finished, overfits, underfits, and had enough epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.metrics import METRICS
from pipeline.report.run.records import Curves, Records
from pipeline.report.run.rules import remedies
from pipeline.report.run.rules.finding import Finding, Step
from pipeline.report.run.rules.gradients import GRADIENT_VANISHES, gradient_ratio
from pipeline.report.run.rules.guessing import TINY, loss_of_guessing
from pipeline.report.words import measure, measured, number, percent, plural

GAP_MILD, GAP_STRONG = 0.02, 0.10
"""Generalisation gap in shares of the loss of guessing."""
RISE, RISE_MATTERS = 0.10, 0.01
"""Rise of the validation loss after the best epoch, as a share of the best and of the loss of guessing."""
UNSTABLE = 1.5
"""The clean training loss at the end, as a multiple of that at the best epoch."""
WELL = 0.25
"""Best validation loss below which a network learned well, as a share of the loss of guessing."""
LOSS_MUCH, LOSS_MOST = 0.5, 0.8
"""Clean training loss that is left, as a share of the loss of guessing."""
NOTHING = 0.01
"""Best validation loss that leaves nothing to gain, as a share of the loss of guessing."""
LATE = 0.2
"""Share of the epochs that are the last ones."""
FALL, FALL_MATTERS = 0.10, 0.01
"""Fall of the smallest validation loss in the second half of the epochs, as a share of itself and of
the loss of guessing."""
FEW_STEPS = 100
"""Optimiser steps of a whole training below which more of them are advised first."""
FALL_MUCH = 0.03
"""Fall of it that is much however high the loss still is, as a share of the loss of guessing."""


def unfinished(records: Records) -> list[Finding]:
    """What to do about a training that failed or was stopped."""
    run = records.run
    if run.state == "finished":
        return []
    epochs = plural(len(records.curves.epochs), "epoch")
    detail = f"It ended as {run.state} ({run.stop_reason}) after {epochs}."
    headline = "The training failed" if run.state == "failed" else "The training is not finished"
    return [Finding("unfinished", "warn", headline, detail, tuple(remedies.go_on(records)))]


def best_epoch(records: Records) -> Finding:
    """Which epoch the kept weights are from, and whether they are worth keeping."""
    run, curves, guess = records.run, records.curves, loss_of_guessing(records)
    last, detail = int(curves.epochs[-1]), _best_in_words(records)
    if _best_loss(records) >= guess:
        detail += f" That is no better than the loss of guessing, {number(guess)}: its probabilities say nothing."
        headline = "Even the best epoch's loss is that of guessing"
        return Finding("best_epoch", "warn", headline, detail, remedies.chosen(records, from_nothing(records)))
    if len(curves.epochs) >= 3 and unchanged(records):
        return _unchanged(records, detail)
    if len(curves.epochs) >= 3 and run.best_epoch == curves.epochs[0]:
        detail += " None after it was better."
        if _loss_fell(records):
            return _lower_later(records, detail)
        steps = remedies.chosen(records, [remedies.slower(records), *remedies.regularised(records)])
        return Finding("best_epoch", "note", f"The first of {last} epochs was the best", detail, steps)
    return Finding("best_epoch", "good", f"Best at epoch {run.best_epoch} of {last}", detail)


def unchanged(records: Records) -> bool:
    """Whether what the best epoch is chosen by was the same in all of them, and might have been better."""
    values, monitor = records.curves.monitored(records.run.monitor), records.run.monitor
    if values is None or monitor == "val_loss":
        return False
    best = 0.0 if METRICS[monitor].better == "lower" else 1.0
    return bool((values == values[0]).all() and values[0] != best)


def _unchanged(records: Records, detail: str) -> Finding:
    """It can't have chosen: of such epochs the one of the smallest loss is kept."""
    words = METRICS[records.run.monitor].words
    detail += f" It did not change in any epoch, so it says nothing about which one is best; {_by_loss(records)}."
    steps = remedies.chosen(records, from_nothing(records))
    headline = f"{words[0].upper()}{words[1:]} did not change in any epoch"
    return Finding("unchanged", "note", headline, detail, steps)


def _by_loss(records: Records) -> str:
    return f"the validation loss {'fell' if _falls(records.curves) else 'did not fall'}"


def _falls(curves: Curves) -> bool:
    return bool(curves.val_loss.min() < curves.val_loss[0])


def _loss_fell(records: Records) -> bool:
    """Whether a later epoch had a clearly smaller validation loss than the kept one."""
    fall = _best_loss(records) - float(records.curves.val_loss.min())
    return fall >= max(FALL * _best_loss(records), FALL_MATTERS * loss_of_guessing(records))


def _lower_later(records: Records, detail: str) -> Finding:
    """It still learned, by its loss: smaller steps are not what it lacks."""
    curves = records.curves
    epoch = int(curves.epochs[curves.val_loss.argmin()])
    detail += f" But the validation loss fell on, to {number(float(curves.val_loss.min()))} at epoch {epoch}."
    keep = Step("Keep the epoch by its loss", {"train.monitor": "val_loss"})
    steps = remedies.chosen(records, [keep, *remedies.longer(records)])
    headline = f"The first of {int(curves.epochs[-1])} epochs was the best"
    return Finding("best_epoch", "note", headline, detail, steps)


def _best_in_words(records: Records) -> str:
    run, last = records.run, int(records.curves.epochs[-1])
    how = "smallest" if METRICS[run.monitor].better == "lower" else "highest"
    what, metric = measured(records.curves.measure), f"val_{records.curves.measure}"
    by = METRICS[run.monitor].words
    counted = run.monitor in ("val_loss", metric) or run.best_monitored is None
    own = "" if counted else f" ({measure(run.monitor, run.best_monitored)})"
    return (
        f"Epoch {run.best_epoch} of {last} had the {how} {by}{own} and its weights were kept: "
        f"loss {number(run.best_val_loss)}, {what} {measure(metric, run.best_val_measure)}."
    )


def _best_loss(records: Records) -> float:
    return float(records.curves.val_loss[records.curves.at(records.run.best_epoch)])


def from_nothing(records: Records) -> list[Step]:
    """What to try where nothing was learned: was it too short, by heart, unstable, or did it hardly move?"""
    if records.run.state != "finished":
        return remedies.go_on(records)
    if too_short(records):
        return remedies.longer(records)
    if vanishing(records):
        return remedies.flowing(records)
    if learns_by_heart(records):
        return remedies.regularised(records)
    loss, guess = records.curves.clean_loss, loss_of_guessing(records)
    if loss[-1] > guess or loss[-1] > UNSTABLE * loss.min():
        return [remedies.slower(records), *remedies.longer(records)]
    return [remedies.faster(records), *remedies.longer(records)]


def to_learn(records: Records) -> list[Step]:
    """What to try where a simple method learned and the network did not: first to let it learn at all."""
    others = from_nothing(records)
    if records.run.state != "finished" or vanishing(records):
        return others
    first = remedies.longer(records)
    return [*first, *(step for step in others if step not in first)]


def vanishing(records: Records) -> bool:
    """Whether gradients hardly reach the first layer."""
    return len(records.curves.layers) > 1 and gradient_ratio(records.curves) < GRADIENT_VANISHES


@dataclass(frozen=True)
class Gap:
    """How the kept weights and the later epochs do on validation samples, against training samples."""

    share: float
    """Validation loss less clean training loss at the best epoch, each as a share of the loss of guessing on its split: where
    one has more samples of a rare class than the other, guessing costs more there as well."""
    rise: float
    """Mean validation loss of the last epochs (at most three, after the best) above the best, as a share of it."""
    rises: bool
    """Whether that rise is more than noise."""
    train_change: float
    """Clean training loss of the last epoch, as a multiple of that of the best."""
    opens: bool
    """Whether validation samples cost more than training samples at the end."""


def generalisation_gap(records: Records) -> Gap:
    """The numbers that overfitting is judged by."""
    curves, guess, train_guess = records.curves, loss_of_guessing(records), loss_of_guessing(records, "train")
    at = curves.at(records.run.best_epoch)
    best, clean, tail = curves.val_loss[at], curves.clean_loss[at], curves.val_loss[at + 1 :][-3:]
    higher = float(tail.mean() - best) if len(tail) else 0.0
    rises = higher >= RISE * best and higher >= RISE_MATTERS * guess
    change = curves.clean_loss[-1] / max(clean, TINY)
    late = float((best + higher) / guess - curves.clean_loss[-1] / train_guess)
    share = float(best / guess - clean / train_guess)
    return Gap(share, higher / max(float(best), TINY), bool(rises), float(change), late >= GAP_MILD)


def learns_by_heart(records: Records) -> bool:
    """Whether it goes on learning its training samples without getting better on others."""
    gap, left = generalisation_gap(records), records.curves.clean_loss[-1] / loss_of_guessing(records, "train")
    return gap.share >= GAP_STRONG or (gap.rises and gap.opens and gap.train_change < 1 and bool(left < LOSS_MOST))


def overfitting(records: Records) -> Finding:
    """Generalisation gap of the kept weights, and the rise of the validation loss after them."""
    gap, detail, best = generalisation_gap(records), _gap_in_words(records), records.run.best_epoch
    more = remedies.chosen(records, remedies.regularised(records))
    if gap.share >= GAP_STRONG and records.run.state == "finished" and too_short(records):
        detail += " The validation loss still fell at the end, so this has not cost anything yet."
        return Finding("overfitting", "note", "Overfits, and still gets better", detail, more)
    if gap.share >= GAP_STRONG:
        return Finding("overfitting", "warn", "Overfits clearly", detail, more)
    if gap.rises and gap.train_change > UNSTABLE:
        detail += " The training loss rose as well, so this is not overfitting."
        steps = remedies.chosen(records, remedies.bounded(records))
        return Finding("unstable", "warn", f"Training became unstable after epoch {best}", detail, steps)
    if gap.rises and gap.opens:
        detail += " The kept weights are from before that."
        steps = remedies.chosen(records, [*remedies.sooner(records)[:1], *more])
        return Finding("later_epochs", "note", f"Overfits after epoch {best}", detail, steps)
    if gap.share >= GAP_MILD:
        return Finding("overfitting", "note", "Overfits mildly", detail, more)
    return Finding("overfitting", "good", "No sign of overfitting", detail)


def _gap_in_words(records: Records) -> str:
    curves, gap, best = records.curves, generalisation_gap(records), records.run.best_epoch
    what, metric = measured(curves.measure), f"val_{curves.measure}"
    at = curves.at(best)
    val, clean = curves.val_loss[at], curves.clean_loss[at]
    change = "rose" if gap.rise > 0 else "fell"
    after = f"By the last epochs the validation loss {change} by {percent(abs(gap.rise), 0)}."
    guess, train_guess = loss_of_guessing(records), loss_of_guessing(records, "train")
    values = measure(metric, curves.val_measure[at]), measure(metric, curves.clean_measure[at])
    return (
        f"At epoch {best} the loss is {number(val)} on validation samples, {percent(val / guess)} of that of guessing "
        f"there ({number(guess)}), and {number(clean)} on training samples, {percent(clean / train_guess)} of that of "
        f"guessing ({number(train_guess)}): {_apart(gap.share)}. "
        f"{what.capitalize()} is {values[0]} against {values[1]}. "
        f"{after if at + 1 < len(curves.epochs) else 'It was the last epoch.'}"
    )


def _apart(share: float) -> str:
    """The gap, in words that are true where validation samples cost less than training samples."""
    if share < 0:
        return f"validation samples cost less, by {percent(-share)} of the loss of guessing"
    return f"a gap of {percent(share)} of the loss of guessing"


def underfitting(records: Records) -> Finding:
    """How much of the loss of guessing is left on the training samples themselves."""
    curves, guess = records.curves, loss_of_guessing(records, "train")
    loss = curves.clean_loss[curves.at(records.run.best_epoch)]
    left = loss / guess
    how = "by class frequencies" if records.constant_loss is None else "the mean"
    detail = (
        f"On training samples, without dropout and augmentation, the loss is {number(loss)}: "
        f"{percent(left)} of that of guessing {how} ({number(guess)})."
    )
    if left < LOSS_MUCH:
        return Finding("underfitting", "good", "No sign of underfitting", detail)
    return _much_left(records, left, detail)


def _much_left(records: Records, left: float, detail: str) -> Finding:
    if learns_by_heart(records):
        detail += " But what is learned there does not carry over, so a larger network would not help."
        steps = remedies.chosen(records, remedies.regularised(records))
        return Finding("underfitting", "note", "Much is left to explain", detail, steps)
    if too_short(records):
        detail += " It trained too short to tell whether that is all it can learn."
        steps = remedies.chosen(records, remedies.longer(records))
        return Finding("underfitting", "note", "Much is left to learn", detail, steps)
    detail += " If nothing helps, the inputs may not tell more about the labels."
    steps = remedies.chosen(records, against_underfitting(records))
    if left < LOSS_MOST:
        return Finding("underfitting", "note", "Much is left to explain", detail, steps)
    return Finding("underfitting", "warn", "Underfits", detail, steps)


def against_underfitting(records: Records) -> list[Step]:
    """Gradients before size: a larger network does not help where they do not arrive, nor where it hardly trained."""
    if vanishing(records):
        return remedies.flowing(records)
    if hardly_trained(records):
        return [*remedies.longer(records), *remedies.relaxed(records)]
    thawed, relaxed, larger = remedies.thawed(records), remedies.relaxed(records), remedies.larger(records)
    return [*thawed, *relaxed[:1], *larger, *relaxed[1:], *remedies.longer(records)]


def hardly_trained(records: Records) -> bool:
    """Whether it took so few steps that they may be what it lacks, and did not learn its training samples by heart."""
    train, curves = records.project.train, records.curves
    num = len(curves.epochs) * math.ceil(records.manifest.counts["train"] / train.batch_size)
    left = curves.clean_loss[-1] / loss_of_guessing(records, "train")
    return num < FEW_STEPS and bool(left >= LOSS_MOST) and records.run.stop_reason != "early_stop"


def enough_epochs(records: Records) -> list[Finding]:
    """Whether the validation loss still fell at the end; nothing of a training that did not get there."""
    run, curves = records.run, records.curves
    num, after = len(curves.epochs), len(curves.epochs) - 1 - curves.at(run.best_epoch)
    if run.state != "finished":
        return []
    if run.stop_reason == "early_stop":
        detail = f"Training stopped by itself after {plural(after, 'epoch')} without a better one."
        return [Finding("epochs", "good", "Enough epochs", detail)]
    if nothing_left(records):
        share = percent(_best_loss(records) / loss_of_guessing(records), 2)
        return [Finding("epochs", "good", "Enough epochs", f"The best validation loss is {share} of that of guessing.")]
    steps = remedies.chosen(records, remedies.longer(records))
    if num < 3 and learns_by_heart(records):  # more of the same is not what helps
        return []
    if num < 3:
        detail = f"{plural(num, 'epoch')} can't show a trend."
        return [Finding("epochs", "note", "Too few epochs to tell", detail, steps)]
    detail = _trend_in_words(curves, after)
    if too_short(records):
        return [Finding("improving", "note", "Was still improving", detail, steps)]
    return [Finding("epochs", "good", "Enough epochs", detail)]


def _trend_in_words(curves: Curves, after: int) -> str:
    before, now = halves(curves)
    fell = f"fell from {number(before)} to {number(now)}" if now < before else f"stayed at {number(before)}"
    where = f"lies {plural(after, 'epoch')} before the end" if after else "is the last"
    return f"The best epoch {where}. In the second half of the epochs the smallest validation loss so far {fell}."


def too_short(records: Records) -> bool:
    """Whether more epochs come first: it did not finish, has hardly any, or its loss still fell."""
    run, curves, guess = records.run, records.curves, loss_of_guessing(records)
    num = len(curves.epochs)
    if run.state == "finished" and run.stop_reason == "early_stop":
        return False
    if run.state != "finished" or num < 3:
        return run.state != "finished" or not (nothing_left(records) or learns_by_heart(records))
    before, now = halves(curves)
    falls = before - now >= FALL_MUCH * guess or before - now >= max(FALL * before, FALL_MATTERS * guess)
    late = num - 1 - curves.at(run.best_epoch) < LATE * num
    return falls and late and not generalisation_gap(records).rises


def nothing_left(records: Records) -> bool:
    """Whether the validation loss is as good as zero."""
    return _best_loss(records) < NOTHING * loss_of_guessing(records)


def halves(curves: Curves) -> tuple[float, float]:
    """Smallest validation loss of the first half of the epochs (with the middle one), and of all."""
    first = curves.val_loss[: (len(curves.epochs) + 1) // 2]
    return float(first.min()), float(curves.val_loss.min())
