"""What the test samples say: did it learn, does its confidence hold, how far can they be trusted?"""

from __future__ import annotations

import math

from pipeline.data.dataset import FEW
from pipeline.evaluation.classes import Z95
from pipeline.evaluation.temperature import HIGHEST, LOWEST
from pipeline.report.run.records import Evaluation, Records
from pipeline.report.run.rules import remedies
from pipeline.report.run.rules.classes import for_rare, imbalanced
from pipeline.report.run.rules.finding import Finding, Level, Step
from pipeline.report.run.rules.guessing import Against, accuracy_range, against_chance, tells_apart
from pipeline.report.run.rules.training import from_nothing, to_learn, too_short
from pipeline.report.words import count, interval, number, percent, plural, points

CALIBRATED = 0.02
"""Difference of mean confidence and accuracy that does not matter; 2.5 times that for the error by bins."""
LIKELIER = 3.84
"""Twice the gain in log-likelihood that chance exceeds in 5 % (Wilks 1938: chi-squared, one degree)."""
CHEAPER = 0.02
"""Share of the validation loss: less does not matter."""
NEAR = 1.01
"""Within this factor of where its range ends, a temperature was stopped by it."""
SPLITS_DIFFER = 0.02
MANY_READS = 10


def learned(records: Records) -> Finding:
    """Better than always giving one answer? By the test split, and where it can't tell by validation."""
    manifest, test = records.manifest, records.test
    on_test = against_chance(manifest, "test", test.accuracy, test.num_samples)
    on_val = against_chance(manifest, "val", records.run.best_val_measure, manifest.counts["val"])
    if on_test.better:
        return Finding("learned", "good", "Right more often than guessing", on_test.detail)
    if on_val.better:
        return _unconfirmed(records, f"{on_test.detail} {on_val.detail}")
    if tells_apart(records.classes, test.num_samples):
        return _not_more_right(records, on_test)
    return _nothing(records, f"{on_test.detail} {on_val.detail}")


def _not_more_right(records: Records, on_test: Against) -> Finding:
    detail = f"{on_test.detail} But it answers some class more often where that is right than chance explains."
    headline = "Tells classes apart, but is right no more often than guessing"
    steps = remedies.chosen(records, from_nothing(records))
    return Finding("not_more_right", "note", headline, detail, steps)


def _unconfirmed(records: Records, detail: str) -> Finding:
    num, steps = records.test.num_samples, remedies.chosen(records, remedies.larger_test(records))
    if num < FEW:
        headline = f"Too few test samples ({num}) to confirm what validation shows"
        return Finding("unconfirmed", "note", headline, detail, steps)
    return Finding("unconfirmed", "warn", "The test split does not confirm what it learned", detail, steps)


def _nothing(records: Records, detail: str) -> Finding:
    simple = simple_method(records)
    if simple:
        steps = remedies.chosen(records, to_learn(records))
        return Finding("unlearned", "warn", "Did not learn, though a simple method did", f"{detail} {simple}", steps)
    if min(records.manifest.counts["val"], records.test.num_samples) < FEW:
        steps = remedies.chosen(records, [*remedies.larger_test(records)[:1], *from_nothing(records)])
        return Finding("unclear", "warn", "Not shown to be better than guessing", detail, steps)
    if imbalanced(records):
        detail += " Some classes are so rare that accuracy hardly shows them."
        steps = remedies.chosen(records, for_rare(records))
        return Finding("learned", "warn", "Not better than guessing", detail, steps)
    detail += " Make sure that the labels belong to the inputs."
    steps = remedies.chosen(records, from_nothing(records))
    return Finding("learned", "warn", "Not better than guessing", detail, steps)


def simple_method(records: Records) -> str | None:
    """A sentence where a simple method does what the network did not: then neither data nor samples are too few."""
    found = records.test.baseline
    if found is None or found["name"] is None:
        return None
    num, of_classes = records.test.num_samples, found["measure"] == "accuracy"
    shown = of_classes and against_chance(records.manifest, "test", found["score"], num).better
    if found["better"] != "baseline" and not shown:
        return None
    what = f"is right on {percent(found['score'])} of" if of_classes else f"is off by {number(found['score'])} on"
    return f"But {found['words']} {what} the same samples: so it is the training that has to change."


def calibration(records: Records) -> Finding:
    """Whether confidence can be taken at its word: mean confidence against accuracy and its interval."""
    test = records.test
    (low, high), gap = accuracy_range(test), test.mean_confidence - test.accuracy
    detail = (
        f"It is {percent(test.mean_confidence)} sure on average and right on {percent(test.accuracy)}; "
        f"the calibration error by confidence is {points(test.calibration_error)}."
    )
    if gap > CALIBRATED and test.mean_confidence > high:
        detail += " Do not read its probabilities as chances."
        steps = remedies.chosen(records, remedies.humbler(records))
        level: Level = "warn" if gap > 5 * CALIBRATED else "note"
        return Finding("calibration", level, "Over-confident", detail, steps)
    if gap < -CALIBRATED and test.mean_confidence < low:
        steps = remedies.chosen(records, remedies.surer(records))
        return Finding("calibration", "note", "Under-confident", detail, steps)
    return _calibrated_by_bins(records, test, detail)


def _calibrated_by_bins(records: Records, test: Evaluation, detail: str) -> Finding:
    if test.calibration_error > 2.5 * CALIBRATED + 1 / math.sqrt(test.num_samples):
        detail += " The reliability diagram shows where."
        first = remedies.longer(records) if too_short(records) else remedies.humbler(records)
        steps = remedies.chosen(records, first)
        return Finding("calibration", "note", "Calibrated on average only", detail, steps)
    return Finding("calibration", "good", "Confidence matches accuracy", detail)


def temperature(records: Records) -> list[Finding]:
    """Whether a temperature (Guo et al. 2017) clearly lowers the validation loss, and is not used yet.

    Nothing where the test samples show that it is too sure and validation that it is not sure enough, or the other way round.
    Where a sample has several labels it counts as one: the mean of its labels' losses, so chance is never taken too lightly.
    """
    test = records.test
    if test.temperature is None or test.val_loss is None or test.scaled_val_loss is None:
        return []
    fall, used = test.val_loss - test.scaled_val_loss, records.project.evaluate.temperature == "used"
    by_chance = 2 * records.manifest.counts["val"] * fall <= LIKELIER
    over = test.mean_confidence - test.accuracy
    denied = abs(over) > CALIBRATED and (over > 0) != (test.temperature > 1)
    if used or by_chance or denied or fall < CHEAPER * test.val_loss:
        return []
    if doubt := _doubt(test.temperature, records.manifest.counts["val"]):
        return [_unfitted(records, f"The smallest loss is at a temperature of {number(test.temperature)}, {doubt}")]
    way = "less" if test.temperature > 1 else "more"
    detail = (
        f"Logits divided by {number(test.temperature)}, fitted on validation samples, lower the validation loss from "
        f"{number(test.val_loss)} to {number(test.scaled_val_loss)} nats: it should be {way} sure of its answers."
    )
    step = Step("Use the temperature; nothing is trained again", {"evaluate.temperature": "used"})
    headline = f"A temperature of {number(test.temperature)} makes its probabilities better"
    return [Finding("temperature", "note", headline, detail, remedies.chosen(records, [step]))]


def _unfitted(records: Records, said: str) -> Finding:
    headline = "No temperature can be told from the validation samples"
    manifest = records.manifest
    more = remedies.larger_validation(records, max(FEW, 2 * manifest.counts["val"]), range(len(manifest.classes)))
    return Finding("unfitted", "note", headline, f"{said}: it is not advised to use it.", remedies.chosen(records, more))


def _doubt(temperature: float, num_val: int) -> str | None:
    """Why a temperature does not count: where its range ends the loss may go on falling, and few samples fit anything."""
    if not LOWEST * NEAR < temperature < HIGHEST / NEAR:
        return "where the range that was tried ends, so that the loss may go on falling beyond it"
    return f"but there are only {plural(num_val, 'validation sample')}" if num_val < FEW else None


def splits_agree(records: Records) -> list[Finding]:
    """Whether the test split is harder than validation by more than chance (two shares, normal approximation)."""
    test, num_val, val = records.test, records.manifest.counts["val"], records.run.best_val_measure
    if num_val == 0 or test.threshold:  # validation samples were answered by what is likelier
        return []
    pooled = (val * num_val + test.accuracy * test.num_samples) / (num_val + test.num_samples)
    error = math.sqrt(pooled * (1 - pooled) * (1 / num_val + 1 / test.num_samples))
    fall = val - test.accuracy
    own, mean = (" (of the first network)", " (of the mean answer)") if records.num_networks > 1 else ("", "")
    detail = f"Accuracy is {percent(val)} on the validation split{own} and {percent(test.accuracy)} on the test split{mean}."
    if fall > SPLITS_DIFFER and fall > Z95 * error:
        detail += " They may come from different sources, or many choices were made on the validation split."
        steps = remedies.chosen(records, remedies.another_split(records))
        return [Finding("splits", "note", "Harder on the test split", detail, steps)]
    return [Finding("splits", "good", "Validation and test agree", detail)]


def few_samples(records: Records) -> list[Finding]:
    """Whether the result rests on few samples."""
    test = records.test
    if test.num_samples >= FEW:
        return []
    samples, where = plural(test.num_samples, "test sample"), interval(*accuracy_range(test))
    detail = f"{samples} leave the accuracy anywhere from {where}."
    steps = remedies.chosen(records, remedies.larger_test(records))
    return [Finding("few_samples", "note", "Few test samples", detail, steps)]


def reads(records: Records) -> list[Finding]:
    """Whether the test split has been looked at often."""
    if records.test.test_reads <= MANY_READS:
        return []
    detail = (
        f"The test split has been read {count(records.test.test_reads)} times in this repository. Each choice made "
        "after a look makes the result a little too good: keep fresh samples for the last judgement."
    )
    steps = (remedies.by_studies(),)
    return [Finding("reads", "note", "The test split has been read often", detail, steps)]
