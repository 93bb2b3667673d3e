"""What is to be said of thresholds that were chosen: on how few samples, and what their answers cost."""

from __future__ import annotations

import numpy as np

from pipeline.evaluation.decisions import BALANCED
from pipeline.evaluation.thresholds import FEW_POSITIVES
from pipeline.report.run.records import Records
from pipeline.report.run.rules import remedies
from pipeline.report.run.rules.finding import Finding, Level
from pipeline.report.run.rules.training import from_nothing
from pipeline.report.words import between, number, percent, plain, plural, short

HARDLY_ANY = 5
"""Positives below which a threshold is chance."""
NAMED = 4


def thresholds(records: Records) -> list[Finding]:
    """Nothing where no rule chose them."""
    return [*few_positives(records), *costs(records)]


def few_positives(records: Records) -> list[Finding]:
    """Whether a threshold was chosen on few validation samples of its label, or of those that share it.

    Of two classes it parts one from the other: the rarer of them decides how much it is worth.
    """
    manifest, rule = records.manifest, records.test.threshold
    several = manifest.task == "multi"
    if rule in (None, BALANCED) or not (several or len(manifest.classes) == 2):
        return []
    counts = np.array(manifest.class_counts["val"])
    few = np.flatnonzero(counts < FEW_POSITIVES).tolist() if several else [int(counts.argmin())]
    num = int(counts[few].sum())
    if not few or num >= FEW_POSITIVES:
        return []
    names = ", ".join(plain(short(manifest.classes[i])) for i in few[:NAMED])
    names += f" and {len(few) - NAMED} more" if len(few) > NAMED else ""
    detail = (
        f"By {rule} the threshold was chosen on {plural(num, 'validation sample')} of {names}"
        f"{' together' if len(few) > 1 else ''}: on others the rule may not be kept. From {FEW_POSITIVES} on "
        "it is more than chance."
    )
    level: Level = "warn" if num < HARDLY_ANY else "note"
    headline = f"A threshold rests on {plural(num, 'sample')}"
    steps = remedies.chosen(records, remedies.larger_validation(records, FEW_POSITIVES, few))
    return [Finding("few_positives", level, headline, detail, steps)]


def costs(records: Records) -> list[Finding]:
    """What answers cost, against those that need no network or no thresholds."""
    test = records.test
    if test.cost is None or test.likelier_cost is None or test.constant_cost is None:
        return []
    detail = (
        f"A sample costs {number(test.cost)} on average (95% interval {between(test.cost_low, test.cost_high)}). "
        f"Answered by what is likelier it would cost {number(test.likelier_cost)}, with one answer for all samples "
        f"{number(test.constant_cost)}.{_open_in_words(records)}{_sorts_in_words(records)}"
    )
    if test.cost < test.constant_cost:
        return [Finding("costs", "good", "Its answers are worth their costs", detail)]
    steps = remedies.chosen(records, from_nothing(records))
    return [Finding("costs", "note", "One answer for all samples costs no more", detail, steps)]


def _sorts_in_words(records: Records) -> str:
    manifest, prices = records.manifest, records.project.evaluate.costs
    if manifest.task == "multi" or len(manifest.classes) != 2:
        return ""
    negative, positive = (plain(short(name)) for name in manifest.classes)
    return (
        f" A false positive, '{negative}' taken for '{positive}', costs {number(prices.false_positive)}; a false negative, "
        f"'{positive}' taken for '{negative}', {number(prices.false_negative)}."
    )


def _open_in_words(records: Records) -> str:
    test = records.test
    if test.abstained is None:
        return ""
    others = "none is given" if test.risk is None else f"of the others {percent(test.risk)} are wrong"
    return f" {percent(test.abstained)} of the answers are left open; {others}."
