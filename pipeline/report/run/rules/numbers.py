"""What the test samples say where numbers are predicted: does it learn, is the test split harder, how sure is the result?"""

from __future__ import annotations

from pipeline.data.dataset import FEW, Manifest
from pipeline.report.run.records import NumberScores, Records
from pipeline.report.run.rules import remedies
from pipeline.report.run.rules.finding import Finding
from pipeline.report.run.rules.guessing import loss_of_guessing
from pipeline.report.run.rules.outcome import simple_method
from pipeline.report.run.rules.training import from_nothing, to_learn
from pipeline.report.words import between, number, percent, plural

HARDER = 0.1
"""By how much more the mean error on test samples must be, as a share of that on validation samples."""


def scores_of(records: Records) -> NumberScores:
    """Of a network that predicts numbers."""
    assert records.test.numbers, "a network of classes"
    return records.test.numbers


def result(manifest: Manifest, scores: NumberScores, num: int) -> str:
    """How far it is off, as a sentence."""
    name, *others = manifest.targets
    what = f"{len(manifest.targets)} numbers" if others else name
    unit = " deviations" if others else ""
    off = f"{number(scores.mae)}{unit} (95% interval {between(scores.mae_low, scores.mae_high)})"
    share = f" It explains {percent(scores.r2)} of their variance." if scores.r2 is not None and scores.r2 > 0 else ""
    return f"It is off by {off} on average in {what} of {plural(num, 'sample')} it has never seen.{share}"


def learned(records: Records) -> Finding:
    """Better than always answering the mean? By the interval of R2, and where it can't tell by validation."""
    scores, guess = scores_of(records), loss_of_guessing(records)
    best, num = records.run.best_val_loss, records.test.num_samples
    shown = "can't be told" if scores.r2 is None else number(scores.r2)
    detail = (
        f"R2 on {plural(num, 'test sample')} is {shown} (95% interval {between(scores.r2_low, scores.r2_high)}); always "
        f"answering their mean has 0, and 1 is without error. The best validation loss is {number(best)}, that of always "
        f"answering the training mean {number(guess)}."
    )
    if scores.r2_low is not None and scores.r2_low > 0:
        return Finding("learned", "good", "Nearer than the mean", detail)
    if best >= guess and (simple := simple_method(records)):
        steps = remedies.chosen(records, to_learn(records))
        return Finding("unlearned", "warn", "Did not learn, though a simple method did", f"{detail} {simple}", steps)
    if num < FEW:
        steps = remedies.chosen(records, [*remedies.larger_test(records)[:1], *from_nothing(records)])
        rule = "unconfirmed" if best < guess else "unclear"
        return Finding(rule, "note" if best < guess else "warn", "Not shown to be nearer than the mean", detail, steps)
    if best < guess and (scores.r2_high is None or scores.r2_high > 0):
        steps = remedies.chosen(records, remedies.larger_test(records))
        return Finding("unconfirmed", "warn", "The test split does not confirm what it learned", detail, steps)
    detail += " Make sure that the labels belong to the inputs."
    return Finding("learned", "warn", "No nearer than the mean", detail, remedies.chosen(records, from_nothing(records)))


def splits_agree(records: Records) -> list[Finding]:
    """Whether test samples are harder than validation samples by more than chance: two means, of one spread."""
    scores, val = scores_of(records), records.run.best_val_measure
    num_val, num_test = records.manifest.counts["val"], records.test.num_samples
    if num_val == 0 or scores.mae_high is None:
        return []
    own, mean = (" (of the first network)", " (of the mean answer)") if records.num_networks > 1 else ("", "")
    detail = f"The mean error is {number(val)} on the validation split{own} and {number(scores.mae)} on the test split{mean}."
    half = (scores.mae_high - scores.mae) * (1 + num_test / num_val) ** 0.5
    if scores.mae - val > max(half, HARDER * val):
        detail += " They may come from different sources, or many choices were made on the validation split."
        steps = remedies.chosen(records, remedies.another_split(records))
        return [Finding("splits", "note", "Harder on the test split", detail, steps)]
    return [Finding("splits", "good", "Validation and test agree", detail)]


def few_samples(records: Records) -> list[Finding]:
    """Whether the result rests on few samples."""
    scores, num = scores_of(records), records.test.num_samples
    if num >= FEW:
        return []
    where = between(scores.mae_low, scores.mae_high)
    detail = f"{plural(num, 'test sample')} leave the mean error anywhere from {where}."
    steps = remedies.chosen(records, remedies.larger_test(records))
    return [Finding("few_samples", "note", "Few test samples", detail, steps)]
