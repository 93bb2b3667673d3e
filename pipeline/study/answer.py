"""What a study's effects say to the person who asked: an answer in a sentence, and what follows from it, with commands."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.metrics import METRICS
from pipeline.schema.study import SCRATCH
from pipeline.study.found import Advice, Contrast, Effect, Effects
from pipeline.study.statistics import FEWEST_SEEDS
from pipeline.study.wording import contrast_words, label, numbers, setting, settings, shown, side_of, signed, tried
from pipeline.wording import first_of, so_many

MORE_SEEDS, MOST_SEEDS, MOST_FOLDS = 8, 32, 10
"""The least that is advised where seeds are too few; and beyond so many, more of them are no longer advised."""
ORDER = ("helps", "more", "less", "hurts", "failed", "equivalent", "no evidence", "too few seeds")
BUDGET = ("train.epochs", "train.limit", "train.per_class")
"""What a study may spare its runs: epochs, and training samples (None: all)."""


def answer(found: Effects) -> str:
    """The question's answer: of one variant with all its numbers, of several a summary by verdict, or by source.

    Where the runs had fewer epochs or samples than the project's, these come first: what holds for a short training
    may not hold for a long one.
    """
    words, asked = METRICS[found.metric].words, found.asked
    several = _by_source if any(variant.start for variant in asked) else _of_several
    text = _of_one(found, asked[0], words) if len(asked) == 1 else several(found, words)
    less = [f"{_much(key, v['variant'])} (yours: {shown(key, v['now'])})" for key, v in less_given(found).items()]
    return f"With {' and '.join(less)}, {text[0].lower()}{text[1:]}" if less else text


def less_given(found: Effects) -> Contrast:
    """The keys of `BUDGET`, none of them compared, of which all runs of the study have less than the project's."""
    return {
        key: values
        for key, values in _own(found).items()
        if key in BUDGET and (values["variant"] or math.inf) < (values["now"] or math.inf)
    }


def beside(base: Contrast, compared: Iterable[Contrast]) -> Contrast:
    """What all runs of a study have otherwise than the project's, beside what is compared."""
    keys = {key for contrast in compared for key in contrast}
    return {key: values for key, values in base.items() if key not in keys}


def _own(found: Effects) -> Contrast:
    return beside(found.baseline.contrast, (variant.contrast for variant in found.variants))


def _much(key: str, value: Any) -> str:
    """ "10 epochs"."""
    return f"{shown(key, value)} {label(key).removesuffix('s') if value == 1 else label(key)}"


def _of_several(found: Effects, words: str) -> str:
    parts = []
    for said in ORDER:
        named = [_in_summary(variant) for variant in found.variants if variant.verdict == said]
        parts += [f"{said}: {', '.join(named)}"] if named else []
    return f"By {words}, {tried(found)}: {'; '.join(parts)}"


def _by_source(found: Effects, words: str) -> str:
    """ "Against scratch, by validation loss, 5 seeds: low: no evidence with all (+0.0071), hurts with 5 (+0.142)"."""
    by_start: dict[str, list[str]] = {}
    for variant in found.asked:
        by_start.setdefault(variant.start or variant.name, []).append(_at_level(variant))
    parts = [f"{start}: {', '.join(said)}" for start, said in by_start.items()]
    return f"Against {SCRATCH}, by {words}, {tried(found)}: {'; '.join(parts)}"


def _at_level(variant: Effect) -> str:
    level = variant.name.removeprefix(f"{variant.start}-")
    where = "" if level == variant.name else f" with {level}"
    return f"{variant.verdict}{where}{_in_brackets(variant)}"


def advice(found: Effects) -> list[Advice]:
    """What to do next: texts, each with a command to paste where there is one."""
    return [*_choice(found), *_seeds(found)]


def _of_one(found: Effects, variant: Effect, words: str) -> str:
    what, said = contrast_words(variant), variant.verdict
    head = {
        "helps": f"{what} helps",
        "hurts": f"{what} hurts",
        "equivalent": f"{what} is equivalent within {found.margin or 0:g}",
        "failed": f"{what} failed on {variant.num_failed} of {tried(found)}",
        "no evidence": f"No evidence that {what} makes a difference",
        "too few seeds": f"{_too_few(variant)} that a verdict needs: {what}",
    }.get(said, f"{what} means {said}")
    return f"{head[0].upper()}{head[1:]}{_means(found, variant, words)}"


def _too_few(variant: Effect) -> str:
    num, unit = (variant.num_seeds, "seeds") if variant.num_folds is None else (variant.num_folds, "folds")
    return f"{num} of the {FEWEST_SEEDS} {unit}"


def _means(found: Effects, variant: Effect, words: str) -> str:
    """ ": validation loss 0.142 against 0.163, a difference of -0.021 [...], 8 seeds, p = 0.0003 (Holm)"."""
    if variant.difference is None:
        return ""
    whole = not variant.num_failed and not found.baseline.num_failed
    means = f" {variant.mean:.4g} against {found.baseline.mean:.4g}" if whole else ""
    return f": {words}{means}, a difference of {numbers(variant)}"


def _in_summary(variant: Effect) -> str:
    return f"{variant.name}{_in_brackets(variant)}"


def _in_brackets(variant: Effect) -> str:
    return f" ({signed(variant)})" if variant.difference is not None else ""


def _choice(found: Effects) -> list[Advice]:
    """Which values to take."""
    if any(variant.start for variant in found.asked):
        return _start(found)
    helping = [variant for variant in found.variants if variant.verdict == "helps"]
    harmful = [variant for variant in found.variants if variant.verdict in ("hurts", "failed")]
    # What was asked as the baseline has the rest, and does not help there, is nothing to take for helping elsewhere.
    direct = [variant for variant in found.variants if variant.against == "baseline"]
    apart = [v for v in helping if v.against != "baseline" and any(v.contrast == other.contrast for other in direct)]
    if apart and len(apart) == len(helping):
        names = _listed(variant.name for variant in apart)
        return [Advice(f"Nothing to take for your own settings: only {names} {so_many(len(apart), 'helps', 'help')}")]
    if helping:
        candidates = [variant for variant in helping if variant in direct] or [v for v in helping if v not in apart]
        best = _best(candidates)
        many = f" (of those that help, {best.name} helps most)" if len(helping) > 1 else ""
        return _taken(found, best.contrast, "variant", many)
    if harmful:
        many = " (none of the variants helps)" if len(found.variants) > 1 else ""
        return _taken(found, _agreed(variant.contrast for variant in harmful), "reference", many)
    if found.variants and all(variant.verdict == "equivalent" for variant in found.variants):
        return [Advice(f"Within {found.margin:g} all are the same: take what is cheapest")]
    return []


def _start(found: Effects) -> list[Advice]:
    """Which weights to start from with the project's own settings, those of the baseline."""
    own = [variant for variant in found.asked if variant.against == "baseline"]
    decided = [variant for variant in own if variant.verdict in ("helps", "hurts", "failed", "equivalent", "no evidence")]
    if not decided or METRICS[found.metric].better == "neither":
        return []
    if helping := [variant for variant in own if variant.verdict == "helps"]:
        best = _best(helping)
        many = f" (of those that help, {best.name} helps most)" if len(helping) > 1 else ""
        return _taken(found, best.contrast, "variant", many, f"Start from {best.start or best.name}")
    far = [variant.name for variant in found.asked if variant.verdict == "helps"]
    only = f"; {_listed(far)} {so_many(len(far), 'helps', 'help')}" if far else ""
    more = f" (no source is shown to help with your own settings{only})"
    return _taken(found, _agreed(variant.contrast for variant in decided), "reference", more, f"Start from {SCRATCH}")


def _best(helping: Iterable[Effect]) -> Effect:
    return max(helping, key=lambda variant: abs(variant.difference or 0.0))


def _agreed(contrasts: Iterable[Contrast]) -> dict[str, Mapping[str, Any]]:
    """The keys that all comparisons have with one value of the reference: the same question, asked at several places."""
    every = list(contrasts)
    first = every[0]
    return {
        key: values
        for key, values in first.items()
        if all(key in other and other[key]["reference"] == values["reference"] for other in every)
    }


def _taken(found: Effects, contrast: Contrast, side: str, more: str, told: str = "") -> list[Advice]:
    """To keep or to take the values of one side of a comparison, as the project's configuration has them or not.

    told: what to do, where it takes other words.
    """
    if not contrast:
        return []
    wanted = side_of(contrast, side)
    other = {key: value for key, value in wanted.items() if contrast[key]["now"] != value}
    if not other:
        return [Advice(f"{told or f'Keep {settings(wanted)}'}, as your configuration has it{more}")]
    if less_given(found):
        return [_asked_again(found, f"{settings(wanted)}{more}")]
    more += f", found with {found.otherwise}" if found.otherwise else ""
    return [Advice(f"{told or f'Take {settings(wanted)}'}{more}", _command("run", other.items()))]


def _asked_again(found: Effects, wanted: str) -> Advice:
    """To ask with the project's own epochs and samples, before a value is taken that was found with fewer."""
    budget = {key: _own(found)[key]["now"] for key in (*BUDGET, "train.warmup_epochs") if key in _own(found)}
    less = less_given(found)
    what = " and ".join(label(key) for key in less)
    holds, not_for = (" and ".join(shown(key, v[side]) for key, v in less.items()) for side in ("variant", "now"))
    command = _study(found, [(f"study.baseline.{key}", value) for key, value in budget.items()])
    text = f"Before you take {wanted}, ask with {what} of your own, since what holds for {holds} may not for {not_for}"
    return Advice(text, command)


def _study(found: Effects, pairs: Iterable[tuple[str, Any]]) -> str:
    return _command(f"study {shlex.quote(found.name)}", pairs)


def _seeds(found: Effects) -> list[Advice]:
    """More seeds where these decide nothing."""
    num, verdicts = len(found.seeds), {variant.verdict for variant in found.asked}
    wanted = max(MORE_SEEDS, 2 * num)
    command = _study(found, [("study.seeds", wanted)])
    if found.baseline.num_failed == found.num_cells // (len(found.variants) + 1):
        return [Advice("The baseline failed on every seed, so nothing can be compared with it")]
    if "too few seeds" in verdicts and found.folds:
        return [Advice(f"A verdict needs {FEWEST_SEEDS} folds in which both runs have finished: see which failed, and why")]
    if "too few seeds" in verdicts:
        return [Advice(f"A verdict needs {FEWEST_SEEDS} seeds, and {wanted} say more", command)]
    if "no evidence" not in verdicts:
        return []
    open_ones = _listed(variant.name for variant in found.asked if variant.verdict == "no evidence")
    if num >= MOST_SEEDS:
        text = "say with study.margin which difference would matter: the runs may then show that it is smaller"
        return [Advice(f"{tried(found)} leave open {open_ones}; {text}")]
    if found.folds and found.folds < MOST_FOLDS:
        command = _study(found, [("study.folds", min(MOST_FOLDS, 2 * found.folds))])
        return [Advice(f"{tried(found)} leave open {open_ones}; more folds may tell", command)]
    return [Advice(f"{tried(found)} leave open {open_ones}; more seeds may tell", command)]


def _command(name: str, pairs: Iterable[tuple[str, Any]]) -> str:
    """Another kind of network by its file, which takes back what was set for the one before."""
    said = [("model" if key == "model.arch" else key, value) for key, value in pairs]
    return " ".join([f"regatta {name}", *(shlex.quote(f"{key}={setting(value)}") for key, value in said)])


def _listed(names: Iterable[str]) -> str:
    return first_of(list(names), 4)
