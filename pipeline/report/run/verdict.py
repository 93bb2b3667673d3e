"""The verdict in words, by the fixed rules of docs/verdicts.md: pure functions of the recorded numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.data.dataset import Manifest
from pipeline.report.run.records import Evaluation, Records, Run
from pipeline.report.run.rules import numbers, outcome, training
from pipeline.report.run.rules.baselines import against_baseline
from pipeline.report.run.rules.classes import classes
from pipeline.report.run.rules.finding import Finding, Level, Step
from pipeline.report.run.rules.gradients import gradients
from pipeline.report.run.rules.guessing import accuracy_range, loss_of_guessing
from pipeline.report.run.rules.leaks import telling
from pipeline.report.run.rules.remedies import opposed
from pipeline.report.run.rules.start import another_start
from pipeline.report.run.rules.thresholds import thresholds
from pipeline.report.words import interval, percent, plural

LEVELS: tuple[Level, ...] = ("good", "note", "warn")


@dataclass(frozen=True)
class Verdict:
    """The page's first sentence and what it rests on."""

    headline: str
    result: str
    level: Level
    findings: list[Finding]
    next: Step | None
    """What to do first; None where nothing is to be done."""
    mean_of: str | None = None
    """Of several networks, which numbers are of which; None of one."""


def verdict(records: Records) -> Verdict:
    """Apply every rule."""
    findings = consistent(records.run, every_finding(records))
    findings = agreed(records, findings)
    level, about = max((f.level for f in findings), key=LEVELS.index), decisive(findings)
    step = about.steps[0] if about and about.steps else None
    said = result(records.manifest, records.test)
    return Verdict(_headline(records, about), said, level, findings, step, mean_of(records.num_networks))


def mean_of(num: int) -> str | None:
    """Which numbers are of the mean answer of several networks, and which of the first alone."""
    if num == 1:
        return None
    return (
        f"This is a mean of {num} networks: test results and the temperature are of their mean answer; what is said of "
        "training (epochs, training and validation loss, gradients, speed) is of the first network."
    )


def every_finding(records: Records) -> list[Finding]:
    """What the rules say, each for itself."""
    return [
        *training.unfinished(records),
        outcome.learned(records) if records.test.numbers is None else numbers.learned(records),
        *telling(records),
        *(classes(records) if records.test.numbers is None else []),
        training.best_epoch(records),
        training.overfitting(records),
        training.underfitting(records),
        *training.enough_epochs(records),
        *gradients(records),
        *([outcome.calibration(records), *outcome.temperature(records)] if records.test.numbers is None else []),
        *thresholds(records),
        *against_baseline(records),
        *(outcome if records.test.numbers is None else numbers).splits_agree(records),
        *(outcome if records.test.numbers is None else numbers).few_samples(records),
        *outcome.reads(records),
        *another_start(records),
    ]


Said = tuple[str, Level]
"""A rule and how it answered."""
NOTHING: set[Said] = {("learned", "warn"), ("unclear", "warn"), ("unlearned", "warn"), ("best_epoch", "warn")}
"""Where nothing is shown to be learned."""
UNDERFITS: Said = ("underfitting", "warn")
NOT_BESIDE: dict[Said, set[Said]] = {
    ("best_epoch", "good"): NOTHING,
    ("overfitting", "good"): NOTHING,
    ("underfitting", "good"): NOTHING,
    ("epochs", "good"): {*NOTHING, UNDERFITS, ("unstable", "warn")},
    ("calibration", "good"): {*NOTHING, ("few_samples", "note"), ("temperature", "note")},
    ("temperature", "note"): NOTHING,
    ("unfitted", "note"): NOTHING,
    ("costs", "good"): NOTHING,
    ("splits", "good"): {*NOTHING, ("few_samples", "note"), ("unconfirmed", "warn")},
    ("overfitting", "note"): {UNDERFITS},
    ("start", "note"): {("unlearned", "warn"), ("telling", "warn"), ("gradients", "warn"), UNDERFITS, ("improving", "note")},
    ("later_epochs", "note"): {UNDERFITS},
}
"""What is not said beside findings that deny it, or make it of no use. That gradients reach every layer
is said beside any, since it rules out a reason."""


def consistent(run: Run, findings: list[Finding]) -> list[Finding]:
    """The findings without those that another one, or the state of the run, denies."""
    found = {(f.rule, f.level) for f in findings}
    return [
        f
        for f in findings
        if not found & NOT_BESIDE.get((f.rule, f.level), set()) and (run.state == "finished" or f.level != "good")
    ]


def agreed(records: Records, findings: Sequence[Finding]) -> list[Finding]:
    """The findings without steps that undo one of a graver finding, or of one as grave before it."""
    taken: dict[str, list[Step]] = {}
    for finding in sorted(findings, key=lambda f: -LEVELS.index(f.level)):
        before = [(step, rule) for rule, steps in taken.items() for step in steps]
        kept = [s for s in finding.steps if not any(opposed(records, s, other) for other, _ in before)]
        taken[finding.rule] = kept or ([_first(records, finding, before)] if finding.steps else [])
    return [replace(finding, steps=tuple(taken[finding.rule])) for finding in findings]


def _first(records: Records, finding: Finding, before: Sequence[tuple[Step, str]]) -> Step:
    """The step of a graver finding, which this finding's own would undo."""
    step, rule = next(one for one in before if opposed(records, finding.steps[0], one[0]))
    topic = replace(finding, rule=rule).topic
    return replace(step, text=f"Settle first what is said under {topic}")


def result(manifest: Manifest, test: Evaluation) -> str:
    """Test accuracy, or how far numbers are off, as a sentence."""
    if test.numbers:
        return numbers.result(manifest, test.numbers, test.num_samples)
    what = "the labels of " if manifest.task == "multi" else ""
    samples = f"{what}{plural(test.num_samples, 'sample')} it has never seen"
    right = f"It is right on {percent(test.accuracy)} of {samples}"
    return f"{right} (95% interval {interval(*accuracy_range(test))}).{_left_open(test)}"


def _left_open(test: Evaluation) -> str:
    if test.abstained is None:
        return ""
    if not test.abstained:
        return " It would leave none of these answers open."
    others = "" if test.risk is None else f" and is right on {percent(1 - test.risk)} of the others"
    return f" It would leave {percent(test.abstained)} of these answers open{others}."


HEADLINES: list[tuple[str, Level, str]] = [
    ("unlearned", "warn", "The network did not learn, though a simple method did: its training has to change."),
    ("learned", "warn", "The network has learned nothing that guessing does not know."),
    ("unclear", "warn", "The network is not shown to be better than guessing: there are too few samples to tell."),
    ("best_epoch", "warn", "The network's validation loss is no better than that of guessing."),
    ("unconfirmed", "warn", "The network learned by its validation samples, but the test samples do not confirm it."),
    ("unconfirmed", "note", "The network learned by its validation samples; there are too few test samples to confirm it."),
    ("not_more_right", "note", "The network tells classes apart, but is right no more often than guessing."),
    ("telling", "warn", "The network learned, but some of the data alone gives the answer away: is it known beforehand?"),
    ("gradients", "warn", "The network learned, but gradients vanish before they reach its first layer."),
    ("underfitting", "warn", "The network learned little: it underfits."),
    ("baseline", "warn", "The network learned, but a simple method does better."),
    ("never_predicted", "warn", "The network learned, but never predicts some of the classes."),
    ("missed", "warn", "The network learned, but hardly finds some of the classes."),
    ("overfitting", "warn", "The network learned, and overfits clearly."),
    ("exploding", "warn", "The network learned, but its gradients explode."),
    ("unstable", "warn", "The network learned, then training became unstable."),
    ("best_epoch", "note", "The network learned, but no epoch was better than the first."),
    ("unchanged", "note", "The network learned, but what its best epoch is chosen by did not change."),
    ("improving", "note", "The network learned, and was still improving when training ended."),
    ("epochs", "note", "The network learned; too few epochs to tell how far it can go."),
    ("underfitting", "note", "The network learned, and much is left to explain."),
    ("later_epochs", "note", "The network learned{well}; later epochs overfit, and were not kept."),
    ("overfitting", "note", "The network learned{well}, with mild overfitting."),
]
"""Rule, level and sentence: the first that is among the findings becomes the page's first sentence."""


def decisive(findings: Sequence[Finding]) -> Finding | None:
    """The finding that the first sentence is about; if that is none, the gravest with something to do."""
    found = {(f.rule, f.level): f for f in findings}
    first = [found[rule, level] for rule, level, _ in HEADLINES if (rule, level) in found]
    open_ones = sorted((f for f in findings if f.steps), key=lambda f: -LEVELS.index(f.level))
    unfinished = [f for f in findings if f.rule == "unfinished"]
    return next(iter([*unfinished, *first, *open_ones]), None)


def _headline(records: Records, about: Finding | None) -> str:
    run, curves = records.run, records.curves
    if run.state != "finished":
        return f"The run did not finish ({run.state}: {run.stop_reason}); this judges its best weights so far."
    said = (about.rule, about.level) if about else None
    words = (sentence for rule, level, sentence in HEADLINES if (rule, level) == said)
    left = curves.val_loss[curves.at(run.best_epoch)] / loss_of_guessing(records)
    well = " well" if left < training.WELL else ""
    return next(words, "The network learned{well}, with no sign of overfitting.").format(well=well)
