"""The verdict in words, by the fixed rules of docs/verdicts.md: pure functions of the recorded numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.data.dataset import FEW, Manifest
from pipeline.evaluation import Z95, wilson_interval
from pipeline.report.records import Curves, Evaluation, Records, Run
from pipeline.report.words import count, interval, number, percent, plural, points

Level = Literal["good", "note", "warn"]

GAP_MILD, GAP_STRONG = 0.02, 0.10
"""Generalisation gap as a share of the loss of guessing."""
RISE, RISE_MATTERS = 0.10, 0.01
"""Rise of the validation loss after the best epoch: as a share of the best, and of the loss of guessing."""
UNSTABLE = 1.5
"""The clean training loss at the end, as a multiple of that at the best epoch."""
WELL = 0.25
"""Validation loss of the best epoch below which a network learned well, as a share of the loss of guessing."""
LOSS_MUCH, LOSS_MOST = 0.5, 0.8
"""Clean training loss that is left, as a share of the loss of guessing."""
LATE = 0.2
"""Share of the epochs that are the last ones."""
FALL, FALL_MATTERS = 0.10, 0.01
"""Fall of the smallest validation loss in the second half of the epochs: as a share of itself, and of the loss of guessing."""
GRADIENT_WEAK, GRADIENT_VANISHES, GRADIENT_EXPLODES = 0.1, 0.03, 100.0
"""Gradient norm of the first layer, as a share of that of the last."""
CALIBRATED = 0.02
"""Difference of mean confidence and accuracy that does not matter; and above 2.5 times that, for the error by bins."""
SPLITS_DIFFER = 0.02
MANY_READS = 10
FALL_MUCH = 0.03
"""Fall of the smallest validation loss that is much however high the loss still is, as a share of the loss of guessing."""
TINY = 1e-12


TOPICS = {
    "unfinished": "Training",
    "learned": "Learning",
    "unconfirmed": "Learning",
    "unclear": "Learning",
    "best_epoch": "Best epoch",
    "overfitting": "Overfitting",
    "unstable": "Overfitting",
    "later_epochs": "Overfitting",
    "underfitting": "Underfitting",
    "epochs": "Epochs",
    "improving": "Epochs",
    "gradients": "Gradients",
    "exploding": "Gradients",
    "calibration": "Calibration",
    "splits": "Splits",
    "few_samples": "Test split",
    "reads": "Test split",
}
"""What each rule is about, to read."""


@dataclass(frozen=True)
class Finding:
    """One rule's answer."""

    rule: str
    """Which rule says it: what is chosen by, where `headline` is only read."""
    level: Level
    headline: str
    detail: str
    advice: str = ""

    @property
    def topic(self) -> str:
        """What it is about."""
        return TOPICS[self.rule]


@dataclass(frozen=True)
class Verdict:
    """The page's first sentence and what it rests on."""

    headline: str
    result: str
    level: Level
    findings: list[Finding]


def verdict(records: Records) -> Verdict:
    """Apply every rule."""
    manifest, run, curves, test = records.manifest, records.run, records.curves, records.test
    findings = [
        *unfinished(run, curves),
        learned(records),
        best_epoch(manifest, run, curves),
        overfitting(manifest, run, curves),
        underfitting(manifest, run, curves),
        enough_epochs(manifest, run, curves),
        *gradients(curves),
        calibration(test),
        *splits_agree(manifest, run, test),
        *few_samples(manifest, test),
        *reads(test),
    ]
    findings = consistent(run, findings)
    level: Level = max((f.level for f in findings), key=("good", "note", "warn").index)
    return Verdict(_headline(records, findings), result(manifest, test), level, findings)


LEARNING = ("learned", "best_epoch", "overfitting", "underfitting", "epochs", "gradients")
"""The rules of which nothing is fine where the training did not finish."""
NOT_BESIDE: dict[str, set[tuple[str, Level]]] = {
    "best_epoch": {("learned", "warn")},
    "epochs": {("learned", "warn"), ("best_epoch", "warn"), ("underfitting", "warn"), ("unstable", "warn")},
}
"""What a rule calls fine is not said beside these findings, which say that it is of no use."""


def consistent(run: Run, findings: list[Finding]) -> list[Finding]:
    """The findings without praise that another one, or the state of the run, contradicts."""
    found = {(f.rule, f.level) for f in findings}
    unsaid = {rule for rule, others in NOT_BESIDE.items() if found & others}
    if run.state != "finished":
        unsaid |= set(LEARNING)
    return [f for f in findings if f.level != "good" or f.rule not in unsaid]


def unfinished(run: Run, curves: Curves) -> list[Finding]:
    """What to do about a training that failed or was stopped."""
    if run.state == "finished":
        return []
    detail = f"It ended as {run.state} ({run.stop_reason}) after {plural(len(curves.epochs), 'epoch')}."
    if run.state == "failed":
        advice = f"Lower the steps: `regatta run train.learning_rate={_rate(curves, 1 / 3)} train.clip_norm=1`."
        return [Finding("unfinished", "warn", "The training failed", detail, advice)]
    return [Finding("unfinished", "warn", "The training is not finished", detail, "Go on: `regatta run`.")]


def _rate(curves: Curves, factor: float) -> str:
    """The largest learning rate of the run times a factor, to one digit, as it is written in a command."""
    return f"{factor * float(np.nanmax(curves.learning_rate)):.1g}"


def result(manifest: Manifest, test: Evaluation) -> str:
    """Test accuracy as a sentence."""
    what = "the labels of " if manifest.task == "multi" else ""
    right = f"It is right on {percent(test.accuracy)} of {what}{count(test.num_samples)} samples it has never seen"
    return f"{right} (95% interval {interval(*accuracy_range(test))})."


def accuracy_range(test: Evaluation) -> tuple[float, float]:
    """Wilson's 95 % interval of the test accuracy."""
    return _range(test.accuracy, test.num_samples)


def _range(accuracy: float, num: int) -> tuple[float, float]:
    return wilson_interval(accuracy * num, num)


def guessing_loss(manifest: Manifest) -> float:
    """Cross-entropy in nats of always answering the training split's class frequencies; a mean over the labels if several."""
    counts = np.array(manifest.class_counts["train"], dtype=np.float64)
    total = manifest.counts["train"]
    shares = np.stack([counts, total - counts]) / total if manifest.task == "multi" else counts[:, None] / total
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=0)
    return max(float(entropy.mean() if manifest.task == "multi" else entropy.sum()), TINY)


def guessing_accuracy(manifest: Manifest, split: str = "test") -> float:
    """Accuracy on a split of always answering what is most frequent in the training split; label by label if several."""
    train, own = (np.array(manifest.class_counts[name], dtype=np.float64) for name in ("train", split))
    share = own / manifest.counts[split]
    if manifest.task == "multi":
        return float(np.where(train > manifest.counts["train"] / 2, share, 1 - share).mean())
    return float(share[train.argmax()])


def learned(records: Records) -> Finding:
    """Better than always answering the most frequent class? By the test split, and where it can't tell by validation."""
    manifest, run, test = records.manifest, records.run, records.test
    num_val, num_test = manifest.counts["val"], test.num_samples
    on_test = _against_chance(manifest, "test", test.accuracy, num_test)
    on_val = _against_chance(manifest, "val", run.best_val_accuracy, num_val)
    detail = f"{on_test.detail} {on_val.detail}"
    more = f"Judge it by more samples: `{_larger_test(manifest)}`, or add samples to the test split."
    if on_test.better:
        return Finding("learned", "good", "Learned something real", on_test.detail)
    if on_val.better and num_test < FEW:
        headline = f"Too few test samples ({num_test}) to confirm what validation shows"
        return Finding("unconfirmed", "note", headline, detail, more)
    if on_val.better:
        return Finding("unconfirmed", "warn", "The test split does not confirm what it learned", detail, more)
    if min(num_val, num_test) < FEW:
        return Finding("unclear", "warn", "Not shown to be better than guessing", detail, more)
    return Finding("learned", "warn", "Not better than guessing", detail, _other_steps(records))


def _other_steps(records: Records) -> str:
    if too_short(records.manifest, records.run, records.curves):
        return _longer(records.curves)
    command = f"`regatta run train.learning_rate={_rate(records.curves, 1 / 3)}`, then larger ones by factors of 3"
    return f"Check that the labels belong to the inputs; then try {command}."


@dataclass(frozen=True)
class Against:
    """An accuracy against that of guessing."""

    better: bool
    """Whether the whole interval lies above it."""
    detail: str


def _against_chance(manifest: Manifest, split: str, accuracy: float, num: int) -> Against:
    chance, (low, high) = guessing_accuracy(manifest, split), _range(accuracy, num)
    guess = "what is most frequent, label by label," if manifest.task == "multi" else "the most frequent class"
    name = {"test": "Test", "val": "Validation"}[split]
    detail = (
        f"{name} accuracy is {percent(accuracy)} (95% interval {interval(low, high)}, {plural(num, 'sample')}). "
        f"Always answering {guess} would be right on {percent(chance)}."
    )
    return Against(low > chance, detail)


def _larger_test(manifest: Manifest) -> str:
    """A command that sets enough samples aside, as far as the data goes; a split that came with the data stays as it is."""
    share = max(FEW, 2 * manifest.counts["test"]) / sum(manifest.counts.values())
    return f"regatta run prepare.test_fraction={min(0.4, max(0.05, math.ceil(20 * share) / 20)):.2g}"


def best_epoch(manifest: Manifest, run: Run, curves: Curves) -> Finding:
    """Which epoch the kept weights are from, and whether they are worth keeping."""
    by = "validation loss" if run.monitor == "val_loss" else "validation accuracy"
    last, guess = int(curves.epochs[-1]), guessing_loss(manifest)
    how = "smallest" if run.monitor == "val_loss" else "highest"
    detail = (
        f"Epoch {run.best_epoch} of {last} had the {how} {by} and its weights were kept: "
        f"loss {number(run.best_val_loss)}, accuracy {percent(run.best_val_accuracy)}."
    )
    lower = f"Try a smaller learning rate: `regatta run train.learning_rate={_rate(curves, 1 / 3)}`."
    if curves.val_loss[curves.at(run.best_epoch)] >= guess:
        lower = _longer(curves) if too_short(manifest, run, curves) else lower
        detail += f" That is no better than the loss of guessing, {number(guess)}: its probabilities say nothing."
        return Finding("best_epoch", "warn", "Even the best epoch's loss is that of guessing", detail, lower)
    if len(curves.epochs) >= 3 and run.best_epoch == curves.epochs[0]:
        detail += " None after it was better."
        return Finding("best_epoch", "note", f"The first of {last} epochs was the best", detail, lower)
    return Finding("best_epoch", "good", f"Best at epoch {run.best_epoch} of {last}", detail)


@dataclass(frozen=True)
class Gap:
    """How the kept weights and the later epochs do on validation samples, against training samples."""

    share: float
    """Validation loss less clean training loss at the best epoch, as a share of the loss of guessing."""
    rise: float
    """Mean validation loss of the last epochs (at most three, after the best) above the best, as a share of it."""
    rises: bool
    """Whether that rise is more than noise."""
    train_change: float
    """Clean training loss of the last epoch, as a multiple of that of the best."""


def generalisation_gap(manifest: Manifest, run: Run, curves: Curves) -> Gap:
    """The numbers that overfitting is judged by."""
    at, guess = curves.at(run.best_epoch), guessing_loss(manifest)
    best, clean, tail = curves.val_loss[at], curves.clean_loss[at], curves.val_loss[at + 1 :][-3:]
    higher = float(tail.mean() - best) if len(tail) else 0.0
    rises = higher >= RISE * best and higher >= RISE_MATTERS * guess
    change = curves.clean_loss[-1] / max(clean, TINY)
    return Gap(float((best - clean) / guess), higher / max(float(best), TINY), bool(rises), float(change))


def overfitting(manifest: Manifest, run: Run, curves: Curves) -> Finding:
    """Generalisation gap of the kept weights, and the rise of the validation loss after them."""
    gap, detail = generalisation_gap(manifest, run, curves), _gap_in_words(manifest, run, curves)
    more = "More of train.weight_decay, model.dropout, augmentation or data narrows the gap."
    if gap.share >= GAP_STRONG:
        return Finding("overfitting", "warn", "Overfits clearly", detail, more)
    if gap.rises and gap.train_change > UNSTABLE:
        detail += " The training loss rose as well, so this is not overfitting."
        advice = "Try a smaller train.learning_rate or train.clip_norm=1."
        return Finding("unstable", "warn", f"Training became unstable after epoch {run.best_epoch}", detail, advice)
    if gap.rises:
        detail += " The kept weights are from before that."
        return Finding("later_epochs", "note", f"Overfits after epoch {run.best_epoch}", detail, more)
    if gap.share >= GAP_MILD:
        return Finding("overfitting", "note", "Overfits mildly", detail, more)
    return Finding("overfitting", "good", "No sign of overfitting", detail)


def _gap_in_words(manifest: Manifest, run: Run, curves: Curves) -> str:
    at, gap = curves.at(run.best_epoch), generalisation_gap(manifest, run, curves)
    val, clean = curves.val_loss[at], curves.clean_loss[at]
    change = "rose" if gap.rise > 0 else "fell"
    after = f"By the last epochs the validation loss {change} by {percent(abs(gap.rise), 0)}."
    return (
        f"At epoch {run.best_epoch} the loss is {number(val)} on validation samples and {number(clean)} on training samples: "
        f"a gap of {number(val - clean)}, which is {percent(max(gap.share, 0))} of the loss of guessing. Accuracy is "
        f"{percent(curves.val_accuracy[at])} against {percent(curves.clean_accuracy[at])}. "
        f"{after if at + 1 < len(curves.epochs) else 'It was the last epoch.'}"
    )


def underfitting(manifest: Manifest, run: Run, curves: Curves) -> Finding:
    """How much of the loss of guessing is left on the training samples themselves."""
    at, guess = curves.at(run.best_epoch), guessing_loss(manifest)
    left = curves.clean_loss[at] / guess
    detail = (
        f"On training samples, without dropout and augmentation, the loss is {number(curves.clean_loss[at])}: "
        f"{percent(left)} of that of guessing by class frequencies ({number(guess)})."
    )
    if left < LOSS_MUCH:
        return Finding("underfitting", "good", "No sign of underfitting", detail)
    if generalisation_gap(manifest, run, curves).share >= GAP_STRONG:
        detail += " But what is learned there does not carry over, so a larger network would not help."
        return Finding("underfitting", "note", "Much is left to explain", detail)
    if too_short(manifest, run, curves):
        detail += " It trained too short to tell whether that is all it can learn."
        return Finding("underfitting", "note", "Much is left to learn", detail, _longer(curves))
    advice = (
        "Try wider model.widths, less dropout and augmentation, another train.learning_rate, more train.epochs. "
        "If nothing helps, the inputs may not tell more about the labels."
    )
    if left < LOSS_MOST:
        return Finding("underfitting", "note", "Much is left to explain", detail, advice)
    return Finding("underfitting", "warn", "Underfits", detail, advice)


def enough_epochs(manifest: Manifest, run: Run, curves: Curves) -> Finding:
    """Whether the validation loss was still falling at the end."""
    num = len(curves.epochs)
    after = num - 1 - curves.at(run.best_epoch)
    if run.stop_reason == "early_stop":
        detail = f"Training stopped by itself after {plural(after, 'epoch')} without a better one."
        return Finding("epochs", "good", "Enough epochs", detail)
    if num < 3:
        detail = f"{plural(num, 'epoch')} can't show a trend."
        return Finding("epochs", "note", "Too few epochs to tell", detail, _longer(curves))
    before, now = halves(curves)
    fell = f"fell from {number(before)} to {number(now)}" if now < before else f"stayed at {number(before)}"
    where = f"lies {plural(after, 'epoch')} before the end" if after else "is the last"
    detail = f"The best epoch {where}. In the second half of the epochs the smallest validation loss so far {fell}."
    if too_short(manifest, run, curves):
        return Finding("improving", "note", "Was still improving", detail, _longer(curves))
    return Finding("epochs", "good", "Enough epochs", detail)


def too_short(manifest: Manifest, run: Run, curves: Curves) -> bool:
    """Whether more epochs are the first thing to try: there are hardly any, or the validation loss still fell."""
    num, guess = len(curves.epochs), guessing_loss(manifest)
    if run.stop_reason == "early_stop":
        return False
    if num < 3:
        return True
    before, now = halves(curves)
    falls = before - now >= FALL_MUCH * guess or before - now >= max(FALL * before, FALL_MATTERS * guess)
    late = num - 1 - curves.at(run.best_epoch) < LATE * num
    return falls and late and not generalisation_gap(manifest, run, curves).rises


def _longer(curves: Curves) -> str:
    num = len(curves.epochs)
    return f"Train longer: `regatta run train.epochs={max(10, 4 * num) if num < 3 else 2 * num}`."


def halves(curves: Curves) -> tuple[float, float]:
    """Smallest validation loss of the first half of the epochs (the middle one included), and of all."""
    first = curves.val_loss[: (len(curves.epochs) + 1) // 2]
    return float(first.min()), float(curves.val_loss.min())


def gradients(curves: Curves) -> list[Finding]:
    """Whether gradients reach the first layer; nothing to say of a single layer."""
    if len(curves.layers) < 2:
        return []
    ratio, first, last = gradient_ratio(curves), curves.layers[0], curves.layers[-1]
    detail = (
        f"In the median epoch the gradient of the first layer ({first}) is {number(ratio)} times that of the last ({last})."
    )
    advice = "Try model.activation=relu, model.norm=layer or fewer layers."
    if ratio < GRADIENT_VANISHES:
        return [Finding("gradients", "warn", "Gradients vanish", detail, advice)]
    if ratio < GRADIENT_WEAK:
        return [Finding("gradients", "note", "Gradients fade", detail, advice)]
    if ratio > GRADIENT_EXPLODES:
        return [Finding("exploding", "warn", "Gradients explode", detail, "Try model.norm=layer or train.clip_norm=1.")]
    return [Finding("gradients", "good", "Gradients reach every layer", detail)]


def gradient_ratio(curves: Curves) -> float:
    """Median over epochs of the first layer's gradient norm, divided by the last layer's."""
    first, last = curves.layer_norms[:, 0], curves.layer_norms[:, -1]
    ratios = np.divide(first, last, out=np.ones(len(first)), where=last > 0)
    return float(np.nanmedian(ratios))


def calibration(test: Evaluation) -> Finding:
    """Whether confidence can be taken at its word: mean confidence against accuracy and its interval."""
    (low, high), gap = accuracy_range(test), test.mean_confidence - test.accuracy
    detail = (
        f"It is {percent(test.mean_confidence)} sure on average and right on {percent(test.accuracy)}; the calibration error "
        f"by confidence is {points(test.calibration_error)}."
    )
    if gap > CALIBRATED and test.mean_confidence > high:
        advice = "Try train.label_smoothing=0.1, or fewer epochs; do not read its probabilities as chances."
        return Finding("calibration", "warn" if gap > 5 * CALIBRATED else "note", "Over-confident", detail, advice)
    if gap < -CALIBRATED and test.mean_confidence < low:
        advice = "Less train.label_smoothing, dropout or augmentation, or more epochs, makes it surer."
        return Finding("calibration", "note", "Under-confident", detail, advice)
    if test.calibration_error > 2.5 * CALIBRATED + 1 / math.sqrt(test.num_samples):
        advice = "See the reliability diagram for where."
        return Finding("calibration", "note", "Calibrated on average only", detail, advice)
    return Finding("calibration", "good", "Confidence matches accuracy", detail)


def splits_agree(manifest: Manifest, run: Run, test: Evaluation) -> list[Finding]:
    """Whether the test split is harder than the validation split by more than chance (two shares, normal approximation)."""
    num_val, val = manifest.counts["val"], run.best_val_accuracy
    if num_val == 0:
        return []
    pooled = (val * num_val + test.accuracy * test.num_samples) / (num_val + test.num_samples)
    error = math.sqrt(pooled * (1 - pooled) * (1 / num_val + 1 / test.num_samples))
    fall = val - test.accuracy
    detail = f"Accuracy is {percent(val)} on the validation split and {percent(test.accuracy)} on the test split."
    if fall > SPLITS_DIFFER and fall > Z95 * error:
        advice = "The splits may come from different sources, or many choices were made on the validation split."
        return [Finding("splits", "note", "Harder on the test split", detail, advice)]
    return [Finding("splits", "good", "Validation and test agree", detail)]


def few_samples(manifest: Manifest, test: Evaluation) -> list[Finding]:
    """Whether the result rests on few samples."""
    if test.num_samples >= FEW:
        return []
    low, high = accuracy_range(test)
    detail = f"{plural(test.num_samples, 'test sample')} leave the accuracy anywhere from {interval(low, high)}."
    advice = f"Set more aside: `{_larger_test(manifest)}`, or add samples to the test split."
    return [Finding("few_samples", "note", "Few test samples", detail, advice)]


def reads(test: Evaluation) -> list[Finding]:
    """Whether the test split has been looked at often."""
    if test.test_reads <= MANY_READS:
        return []
    detail = f"The test split has been read {count(test.test_reads)} times in this repository."
    advice = "Each choice made after a look makes the result a little too good: keep fresh samples for the last judgement."
    return [Finding("reads", "note", "The test split has been read often", detail, advice)]


HEADLINES: list[tuple[str, Level, str]] = [
    ("learned", "warn", "The network has learned nothing that guessing does not know."),
    ("unclear", "warn", "The network is not shown to be better than guessing: there are too few samples to tell."),
    ("best_epoch", "warn", "The network's validation loss is no better than that of guessing."),
    ("unconfirmed", "warn", "The network learned by its validation samples, but the test samples do not confirm it."),
    ("unconfirmed", "note", "The network learned by its validation samples; there are too few test samples to confirm it."),
    ("gradients", "warn", "The network learned, but gradients vanish before they reach its first layer."),
    ("underfitting", "warn", "The network learned little: it underfits."),
    ("overfitting", "warn", "The network learned, and overfits clearly."),
    ("exploding", "warn", "The network learned, but its gradients explode."),
    ("unstable", "warn", "The network learned, then training became unstable."),
    ("best_epoch", "note", "The network learned, but no epoch was better than the first."),
    ("improving", "note", "The network learned, and was still improving when training ended."),
    ("epochs", "note", "The network learned; too few epochs to tell how far it can go."),
    ("underfitting", "note", "The network learned, and much is left to explain."),
    ("later_epochs", "note", "The network learned{well}; later epochs overfit, and were not kept."),
    ("overfitting", "note", "The network learned{well}, with mild overfitting."),
]
"""Rule, level and sentence: the first that is among the findings becomes the page's first sentence."""


def _headline(records: Records, findings: list[Finding]) -> str:
    run, curves = records.run, records.curves
    if run.state != "finished":
        return f"The run did not finish ({run.state}: {run.stop_reason}); this judges its best weights so far."
    found = {(f.rule, f.level) for f in findings}
    worst = (sentence for rule, level, sentence in HEADLINES if (rule, level) in found)
    left = curves.val_loss[curves.at(run.best_epoch)] / guessing_loss(records.manifest)
    return next(worst, "The network learned{well}, with no sign of overfitting.").format(well=" well" if left < WELL else "")
