"""What a study found: each variant's difference from what it is compared with, a verdict, and both in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pipeline.metrics import METRICS
from pipeline.schema.study import SCRATCH
from pipeline.study.answer import advice, answer, beside
from pipeline.study.found import Baseline, Contrast, Effect, Effects, Failure, Mean, Shift
from pipeline.study.result import Result
from pipeline.study.statistics import (
    CONFIDENCE,
    FEWEST_SEEDS,
    Difference,
    bootstrap_interval,
    holm,
    overlap_of,
    paired_difference,
    verdict,
)
from pipeline.study.wording import contrast_words, numbers, setting_words, tried, value_words
from pipeline.wording import counted

if TYPE_CHECKING:
    from pipeline.schema.study import StudyDefinition
    from pipeline.study.plan import Variant

UNDECIDED = ("no evidence", "too few seeds")
VERDICTS = ("helps", "hurts", "more", "less", "equivalent", "failed", *UNDECIDED)


Contrasts = Mapping[str, Contrast]
"""By variant."""
Run = tuple[int | None, int]
"""Fold and seed."""
CORRECTION = "overlapping training sets of the folds (Nadeau and Bengio 2003)"


@dataclass(frozen=True)
class Outcome:
    """A run of a study and what came out of it."""

    variant: str
    seed: int
    result: Result
    accepted: bool = False
    """Computed by older code, and taken over by the user."""
    fold: int | None = None

    @property
    def run(self) -> Run:
        """What it shares with the run of another variant that it is compared with."""
        return self.fold, self.seed

    def value(self, metric: str) -> float | None:
        """Of a run that has not failed."""
        return None if self.result.failure else self.result.metrics.get(metric)


def effects(
    name: str,
    definition: StudyDefinition,
    variants: Sequence[Variant],
    outcomes: Sequence[Outcome],
    contrasts: Contrasts = MappingProxyType({}),
) -> dict[str, Any]:
    """The content of `effects.json`: what was measured, and that in words."""
    return to_json(measured(name, definition, variants, outcomes, contrasts))


def to_json(found: Effects) -> dict[str, Any]:
    """As plain values, with the words."""
    words = {
        "agreement": agreement(found),
        "answer": answer(found),
        "advice": [asdict(step) for step in advice(found)],
        "sentences": sentences(found),
    }
    return {**asdict(found), **words}


def measured(
    name: str,
    definition: StudyDefinition,
    variants: Sequence[Variant],
    outcomes: Sequence[Outcome],
    contrasts: Contrasts = MappingProxyType({}),
) -> Effects:
    """Differences over the seeds that both runs of a pair have finished.

    contrasts: what each variant differs in from what it is compared with, for the words alone (plan.contrasts).
    """
    metric, folds = definition.judged_by, definition.folds
    values = {variant.name: _finished(variant.name, metric, outcomes) for variant in variants}
    failed = {
        variant.name: sum(o.variant == variant.name for o in outcomes) - len(values[variant.name]) for variant in variants
    }
    base, others = next(variant for variant in variants if not variant.against), _others(metric, outcomes)
    otherwise = _otherwise(contrasts, base.name)
    return Effects(
        name=name,
        question=definition.question,
        finding=definition.finding,
        metric=metric,
        seeds=sorted({outcome.seed for outcome in outcomes}),
        folds=folds,
        correction=CORRECTION if folds else None,
        confidence=CONFIDENCE,
        margin=definition.margin,
        num_cells=len(outcomes),
        num_failed=sum(failed.values()),
        num_accepted=sum(outcome.accepted for outcome in outcomes),
        baseline=Baseline(
            mean=_mean(values[base.name]),
            changes=dict(base.changes),
            contrast=dict(contrasts.get(base.name, {})),
            num_failed=failed[base.name],
            others={other: Mean(_mean(_finished(base.name, other, outcomes))) for other in others},
        ),
        variants=_effects(definition, variants, outcomes, contrasts, values, failed),
        failures=[
            Failure(outcome.variant, outcome.seed, outcome.fold, outcome.result.failure or "no value of the metric")
            for outcome in outcomes
            if outcome.value(metric) is None
        ],
        otherwise=otherwise,
        notes=[*_notes(metric, outcomes), *_fold_notes(folds), *([f"all of its runs have {otherwise}"] if otherwise else [])],
    )


def _effects(
    definition: StudyDefinition,
    variants: Sequence[Variant],
    outcomes: Sequence[Outcome],
    contrasts: Contrasts,
    values: Mapping[str, Mapping[Run, float]],
    failed: Mapping[str, int],
) -> list[Effect]:
    """Of each variant but the baseline.

    Holm's adjustment is over all variants, of the two kinds of claim (a difference, an equivalence) each by itself; with
    sources those that start from scratch are a family of their own, since the question is not about them. A variant that
    failed on a seed that its reference finished is "failed" whatever its other seeds say, but for "hurts".
    """
    compared = [variant for variant in variants if variant.against]
    folds, metric = definition.folds, definition.judged_by
    differences = [_compared(variant, values, definition.margin, folds) for variant in compared]
    asked = [variant.start != SCRATCH for variant in compared]
    p_holm = _adjusted([difference.p for difference in differences], asked)
    p_equivalent_holm = _adjusted([difference.p_equivalent for difference in differences], asked)
    better, others = METRICS[metric].better, _others(metric, outcomes)
    rows = []
    for variant, difference, p, inside in zip(compared, differences, p_holm, p_equivalent_holm, strict=True):
        said = "too few seeds" if difference.mean is None else verdict(difference.mean, p, inside, better)
        lost = values[variant.against].keys() - values[variant.name].keys()
        said = "failed" if said != "hurts" and (lost or not values[variant.name]) else said
        runs = values[variant.against].keys() & values[variant.name].keys()
        expected, bootstrap = definition.expected.get(variant.name), None if folds else bootstrap_interval(difference)
        rows.append(
            Effect(
                name=variant.name,
                changes=dict(variant.changes),
                contrast=dict(contrasts.get(variant.name, {})),
                against=variant.against,
                start=variant.start,
                mean=_mean(values[variant.name]),
                difference=difference.mean,
                interval=list(difference.interval) if difference.interval else None,
                bootstrap=list(bootstrap) if bootstrap else None,
                differences=list(difference.differences),
                p=difference.p,
                p_holm=p,
                p_equivalent=difference.p_equivalent,
                p_equivalent_holm=inside,
                verdict=said,
                num_seeds=len({seed for _, seed in runs}),
                num_folds=difference.num_seeds if folds else None,
                num_failed=failed[variant.name],
                expected=expected,
                as_expected=as_expected(said, expected),
                others={other: _other(variant, other, outcomes, folds) for other in others},
            )
        )
    return rows


def as_expected(said: str, expected: str | None) -> bool | None:
    """Whether a verdict is the expected one; None where nothing was expected or the runs decide nothing.

    A variant that fails does not help and is not equivalent, but it may still have hurt.
    """
    if expected is None or said == expected:
        return None if expected is None else True
    undecided = said in UNDECIDED or (said == "failed" and expected in ("hurts", "more", "less"))
    return None if undecided else False


def agreement(found: Effects) -> str | None:
    """Whether the verdicts are the expected ones, in words; None where none was expected."""
    expected = [variant for variant in found.variants if variant.expected is not None]
    against = [variant.name for variant in expected if variant.as_expected is False]
    undecided = [variant.name for variant in expected if variant.as_expected is None]
    if not expected:
        return None
    if against:
        return f"the runs contradict it: {_listed(against)}"
    return f"still open: {_listed(undecided)}" if undecided else "the runs agree"


def sentences(found: Effects) -> list[str]:
    """The effects in words: a line for each variant, first those that are asked about, each failure with its runs, the
    notes, the expected finding."""
    words, every = METRICS[found.metric].words, sorted(found.variants, key=lambda variant: not variant.asked)
    lines = [_sentence(variant, words, tried(found), found.margin) for variant in every]
    lines += _failure_lines(found.failures)
    lines += found.notes
    said = agreement(found)
    if said:
        lines.append(
            f"expected finding: {found.finding.rstrip('.')}; {said}" if found.finding else f"expected verdicts: {said}"
        )
    return lines


def _failure_lines(failures: Sequence[Failure]) -> list[str]:
    """A line for each reason, with the runs that it ended."""
    by_reason: dict[str, dict[str, list[Failure]]] = {}
    for failure in failures:
        by_reason.setdefault(failure.failure, {}).setdefault(failure.variant, []).append(failure)
    return [
        f"failed: {_listed(f'{name} ({_runs(own)})' for name, own in where.items())}: {text}"
        for text, where in by_reason.items()
    ]


def _runs(failures: Sequence[Failure]) -> str:
    """ "seeds 0, 1", or "seed 0 of fold 2, seed 1 of fold 3"."""
    if failures[0].fold is not None:
        return _listed(f"seed {failure.seed} of fold {failure.fold}" for failure in failures)
    return f"seed{'s' if len(failures) > 1 else ''} {_listed(failure.seed for failure in failures)}"


def told(found: Mapping[str, Any]) -> list[str]:
    """A study in lines: the question, the effects, the answer to it, what follows from it."""
    next_steps = [f"{step['text']}{': ' + step['command'] if step['command'] else ''}" for step in found["advice"]]
    every = found["sentences"] if len(found["variants"]) > 1 else found["sentences"][1:]  # the only one is the answer
    return [found["question"], *every, f"Answer: {found['answer']}", *next_steps]


def _sentence(variant: Effect, words: str, num: str, margin: float | None) -> str:
    """num: of how many runs, in words."""
    said = variant.verdict
    name = f"{variant.name} ({contrast_words(variant)})" if variant.contrast else variant.name
    against = "" if variant.against == "baseline" else f" (against {variant.against})"
    told = "" if variant.difference is None else f"{words} {numbers(variant)}"
    if said == "too few seeds":
        have, unit = (variant.num_seeds, "seeds") if variant.num_folds is None else (variant.num_folds, "folds")
        head = f"{name}{against}: too few {unit} for a verdict ({have}; {FEWEST_SEEDS} are needed)"
        text = f"{head}, {told}" if told else head
    elif said == "failed":
        head = f"{name}{against} failed on {variant.num_failed} of {num}"
        text = f"{head}; on the others: {told}" if told else head
    elif said in ("helps", "hurts"):
        text = f"{name} {said}{against}: {told}"
        text += f"; failed on {variant.num_failed} of {num}" if variant.num_failed else ""
    elif said == "equivalent":
        text = f"{name} is equivalent within {margin:g}{against}: {told}"
    else:
        text = f"{name}: {said}{against}, {told}"
    return f"{'' if variant.asked else 'beside the question: '}{text}{_expectation(variant)}"


def _expectation(variant: Effect) -> str:
    if variant.expected is None:
        return ""
    marks = {True: "", False: ", which these runs contradict", None: ", which is still open"}
    return f"; expected: {variant.expected}{marks[variant.as_expected]}"


def _notes(metric: str, outcomes: Sequence[Outcome]) -> list[str]:
    notes, accepted = [], sum(outcome.accepted for outcome in outcomes)
    devices = sorted({str(outcome.result.device) for outcome in outcomes})
    if accepted:
        were = "was" if accepted == 1 else "were"
        notes.append(f"{accepted} of {counted(len(outcomes), 'run')} {were} computed by older code, which was accepted")
    if len(devices) > 1:
        notes.append(f"the runs were computed on different devices: {_listed(devices)}")
    if METRICS[metric].better == "neither":
        notes.append(f"{METRICS[metric].words}: more is neither better nor worse than less")
    return notes


def _fold_notes(folds: int | None) -> list[str]:
    if folds is None:
        return []
    return [f"{folds} folds, each tested by runs that were trained on the others; intervals and p allow for the {CORRECTION}"]


def _otherwise(contrasts: Contrasts, base: str) -> str:
    """In what all of the runs differ from the project's configuration, beside what is compared."""
    own = beside(contrasts.get(base, {}), (contrast for name, contrast in contrasts.items() if name != base))
    pairs = [f"{setting_words(key, v['variant'])} (yours: {value_words(key, v['now'])})" for key, v in own.items()]
    return _listed(pairs)


def _compared(
    variant: Variant, values: Mapping[str, Mapping[Run, float]], margin: float | None, folds: int | None
) -> Difference:
    """Seed by seed; with folds, fold by fold, since the seeds of a fold share its samples: the mean over them is one value."""
    own, reference = values[variant.name], values[variant.against]
    parts: dict[object, list[Run]] = {}
    for run in sorted(own.keys() & reference.keys(), key=lambda run: (run[0] or 0, run[1])):
        parts.setdefault(run[0] if folds else run, []).append(run)
    pairs = [tuple(sum(side[run] for run in runs) / len(runs) for side in (own, reference)) for runs in parts.values()]
    return paired_difference([one for one, _ in pairs], [other for _, other in pairs], margin, overlap_of(folds))


def _finished(variant: str, metric: str, outcomes: Sequence[Outcome]) -> dict[Run, float]:
    """The metric of each run that has one."""
    found = {outcome.run: outcome.value(metric) for outcome in outcomes if outcome.variant == variant}
    return {run: value for run, value in found.items() if value is not None}


def _others(metric: str, outcomes: Sequence[Outcome]) -> list[str]:
    """Every metric that some run has, but for the study's own."""
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.result.metrics)
    return [name for name in names if name != metric and any(outcome.value(name) is not None for outcome in outcomes)]


def _other(variant: Variant, metric: str, outcomes: Sequence[Outcome], folds: int | None) -> Shift:
    values = {name: _finished(name, metric, outcomes) for name in (variant.name, variant.against)}
    difference = _compared(variant, values, None, folds)
    interval = list(difference.interval) if difference.interval else None
    return Shift(_mean(values[variant.name]), difference.mean, interval)


def _adjusted(p_values: Sequence[float | None], asked: Sequence[bool]) -> list[float | None]:
    """Holm over those that exist, the asked and the others each by themselves."""
    pairs = list(zip(p_values, asked, strict=True))
    adjusted = {own: iter(holm([p for p, of in pairs if p is not None and of == own])) for own in (True, False)}
    return [None if p is None else next(adjusted[own]) for p, own in pairs]


def _mean(values: Mapping[Run, float]) -> float | None:
    return sum(values.values()) / len(values) if values else None


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(map(str, names))
