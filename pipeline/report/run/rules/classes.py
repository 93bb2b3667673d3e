"""Whether every class is found: a high accuracy hides a rare one that is not."""

from __future__ import annotations

import numpy as np

from pipeline.data.dataset import FEW
from pipeline.evaluation.classes import Ints, wilson_interval
from pipeline.report.run.records import Records
from pipeline.report.run.rules import remedies
from pipeline.report.run.rules.finding import Finding, Step
from pipeline.report.run.rules.training import against_underfitting, learns_by_heart, vanishing
from pipeline.report.words import percent, plain, plural, short

MISSED = 0.5
"""A class is missed whose recall's whole 95 % interval lies below this share of the accuracy."""
FEW_OF_CLASS = 10
"""With fewer test samples of a class its recall is off by thirty percentage points or so."""
IMBALANCE = 10
"""A class is rare of which there are so many times fewer training samples than of the most frequent one."""
UNEQUAL = 3
"""By how many times the largest class of training has more samples than the smallest where weights are advised."""
NAMED = 4


def classes(records: Records) -> list[Finding]:
    """What is to be said of single classes, the worst first."""
    return [*never_predicted(records), *missed(records), *few_of_class(records)]


def never_predicted(records: Records) -> list[Finding]:
    """Whether classes that the test split holds are never answered."""
    counts = records.classes
    found = np.flatnonzero((counts.actual > 0) & (counts.predicted == 0))
    if not len(found):
        return []
    every, num = len(counts.actual), plural(records.test.num_samples, "test sample")
    detail = f"Never answered for {num}: {_listed(records, found)}. {_accuracy_hides(records)}"
    headline = f"{len(found)} of {plural(every, 'class', 'classes')} never predicted"
    steps = remedies.chosen(records, _to_find(records, found))
    if records.test.num_samples < FEW_OF_CLASS:
        detail += " So few samples can't tell whether it ever answers them."
        return [Finding("never_predicted", "note", headline, detail, steps)]
    return [Finding("never_predicted", "warn", headline, detail, steps)]


def _to_find(records: Records, found: Ints) -> list[Step]:
    """Of rare classes more samples; what is frequent in training and still not answered was not learned."""
    train = np.array(records.manifest.class_counts["train"])
    if (train[found] * UNEQUAL <= train.max()).any() or records.run.state != "finished":
        return for_rare(records)
    return remedies.regularised(records) if learns_by_heart(records) else against_underfitting(records)


def missed(records: Records) -> list[Finding]:
    """Whether classes are answered, but hardly ever where they are; not where that is what a threshold was asked for."""
    if (records.test.threshold or "").startswith(("precision", "costs")):
        return []
    counts, bar = records.classes, MISSED * records.test.accuracy
    known = np.flatnonzero((counts.actual > 0) & (counts.predicted > 0))
    highest = [wilson_interval(counts.right[i], counts.actual[i])[1] for i in known]
    found = known[np.array(highest, dtype=np.float64) < bar]
    if not len(found):
        return []
    shares = counts.right[found].sum() / counts.actual[found].sum()
    detail = f"Recall is {percent(shares)} on {_listed(records, found)}. {_accuracy_hides(records)}"
    headline = f"{len(found)} of {plural(len(counts.actual), 'class', 'classes')} hardly found"
    return [Finding("missed", "warn", headline, detail, remedies.chosen(records, _to_find(records, found)))]


def few_of_class(records: Records) -> list[Finding]:
    """Whether classes have too few test samples to be judged; nothing where all of the test split is few."""
    if records.test.num_samples < FEW:
        return []
    found = np.flatnonzero(records.classes.actual < FEW_OF_CLASS)
    if not len(found):
        return []
    detail = f"{_listed(records, found)}: too few to say how well such samples are recognised."
    every = len(records.classes.actual)
    headline = f"Few test samples of {len(found)} of {plural(every, 'class', 'classes')}"
    steps = remedies.chosen(records, remedies.larger_test(records))
    return [Finding("few_of_class", "note", headline, detail, steps)]


def imbalanced(records: Records) -> bool:
    """Whether a class is so rare that a network gets far without it, and is never answered."""
    counts, train = records.classes, np.array(records.manifest.class_counts["train"])
    forgotten = (counts.actual > 0) & (counts.predicted == 0)
    return bool((forgotten & (train * IMBALANCE <= train.max())).any())


def for_rare(records: Records) -> list[Step]:
    """Rare classes are learned last, and from samples of their own."""
    if records.run.state != "finished":
        return remedies.go_on(records)
    if vanishing(records):
        return remedies.flowing(records)
    more = [*remedies.all_samples(records), *remedies.more_samples(records, "samples of the rare classes")]
    later = remedies.regularised(records) if learns_by_heart(records) else remedies.longer(records)
    return [*more, *_weighed(records), *_by_loss(records), *later]


BLIND = {"val_accuracy": "accuracy", "val_micro_f1": "micro-F1", "val_exact_match": "the share of samples that are all right"}
"""Monitors that a rare class hardly moves."""


def _by_loss(records: Records) -> list[Step]:
    words = BLIND.get(records.project.train.monitor)
    return (
        [Step(f"Keep the epoch by its loss: {words} hardly sees a rare class", {"train.monitor": "val_loss"})] if words else []
    )


def _weighed(records: Records) -> list[Step]:
    """Where classes are of unequal sizes, and training does not heed it yet."""
    sizes = records.manifest.class_counts["train"]
    if records.project.train.balance != "none" or max(sizes) < UNEQUAL * min(sizes):
        return []
    return [Step("Let samples of rare classes count for more", {"train.balance": "weights"})]


def _accuracy_hides(records: Records) -> str:
    return f"The accuracy of {percent(records.test.accuracy)} hardly shows it; macro-F1 is {records.test.macro_f1:.3f}."


def _listed(records: Records, found: Ints) -> str:
    """ "b (3 test samples, 20 in training), c (...) and 2 more", the classes of most test samples first."""
    manifest, actual = records.manifest, records.classes.actual
    first = sorted(found, key=lambda i: (-actual[i], i))[:NAMED]
    names = [
        f"{plain(short(manifest.classes[i]))} ({plural(int(actual[i]), 'test sample')}, "
        f"{manifest.class_counts['train'][i]} in training)"
        for i in first
    ]
    more = len(found) - len(first)
    return ", ".join(names) + (f" and {more} more" if more else "")
