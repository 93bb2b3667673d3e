"""Whether the network is worth it: against the better of its kind's simple methods, on the same test samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.report.run.records import Records
from pipeline.report.run.rules import remedies
from pipeline.report.run.rules.finding import Finding
from pipeline.report.run.rules.training import from_nothing
from pipeline.report.words import number, percent, plural, points


def against_baseline(records: Records) -> list[Finding]:
    """Who is right more often on the same samples; nothing where no baseline was fitted."""
    found = records.test.baseline
    if found is None or found["name"] is None:
        return []
    detail = _detail(found)
    if records.test.threshold:
        detail += (
            f" The network answers as evaluate.threshold = {records.test.threshold} asks, which costs accuracy; the simple "
            "method by what is likelier."
        )
    if found["better"] == "network":
        return [Finding("baseline", "good", "Better than a simple method", detail)]
    if found["better"] == "neither":
        detail += " That is no proof that they are equally good."
        return [Finding("baseline", "note", "A simple method does as well", detail, (remedies.by_studies(),))]
    if records.test.threshold:
        return [Finding("baseline", "note", "A simple method is right more often", detail, (remedies.by_studies(),))]
    steps = remedies.chosen(records, from_nothing(records))
    return [Finding("baseline", "warn", "A simple method does better", detail, steps)]


def _detail(found: Mapping[str, Any]) -> str:
    """Both scores, their difference with its interval, and by what the baseline was chosen."""
    shown, apart, scale = (percent, points, "accuracy") if found["measure"] == "accuracy" else (number, number, "mean error")
    part = "" if found["whole"] else f", fitted on {plural(found['num_rows'], 'training sample')},"
    p = "" if found["p"] is None else f", p = {found['p']:.2g} by McNemar's exact test"
    ends = " to ".join(_signed(found[name], apart) for name in ("difference_low", "difference_high"))
    best = "better" if len(found["tried"]) == 2 else "best"
    tried = ", ".join(f"{name} {shown(value)}" for name, value in found["tried"].items())
    return (
        f"{_capital(found['words'])}{part} has {scale} {shown(found['score'])} on the test samples, the network "
        f"{shown(found['network_score'])}: a difference of {_signed(found['difference'], apart)} (95% interval over the same "
        f"samples {ends}{p}). It is the {best} of what was tried, by validation: {tried}. {_capital(found['trivial'])}, has "
        f"{shown(found['trivial_score'])}."
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _signed(value: float, shown: Any) -> str:
    return f"{'-' if value < 0 else '+'}{shown(abs(value))}"
