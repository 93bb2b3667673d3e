"""Labels that are numbers to predict: whether they are, what they are, and what is refused."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.kinds.words import DECIMALS, stands_for_missing
from pipeline.prepare.account import Refused
from pipeline.prepare.raw import Column, Source
from pipeline.prepare.scan import Samples
from pipeline.prepare.sources.remedies import Remedy, choice
from pipeline.wording import counted, so_many, some

FEW_VALUES = 20
"""So many different values, or fewer, may be numbers of classes, stars, sizes: whoever means numbers says so."""
NEARLY = 0.9
"""So large a share of labels being numbers, the others are likely mistakes."""
NUM_STRATA = 5
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ID = re.compile(r"[+-]?0\d")
"""Zeros before a number make it a name: 007."""
_NOT_FINITE = re.compile(r"[+-]?(inf|infinity|nan)", re.IGNORECASE)


def number_in(text: str) -> float | None:
    """What a label's text says as a number, perhaps one that is not finite; None where it says none."""
    found = _NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text)
    return float(text) + 0.0 if found else None  # -0.0 becomes 0.0


def are_numbers(source: Source, samples: Samples, target: str) -> bool:
    """Whether labels are numbers to predict, as was said, or as they are themselves. DataError where it has to be said.

    By itself that is a column of more than FEW_VALUES different numbers, unless they may be numbers of classes: whole ones
    from 0 or 1 on, most of which occur.
    """
    if target != "auto" or source.task != "single" or source.classes is not None or not source.columns:
        return target == "number"
    column, values = source.columns[0], _values(samples)
    if not values:
        _check_nearly(column, samples)
        return False
    if any(not value.is_integer() for value in values) and len(values) <= FEW_VALUES:
        raise DataError(
            f"column {column!r} holds numbers with a fraction, of {len(values)} values ({_shown(sorted(values))}): say "
            "data.target=number to predict a number, or data.target=classes to take each value as a class"
        )
    return len(values) > FEW_VALUES and not _number_classes(values)


def _check_nearly(column: str, samples: Samples) -> None:
    """DataError where all labels but a few are different numbers: then these few are likely mistakes."""
    good = samples.good()
    num = np.bincount(samples.labels[good], minlength=len(samples.label_sets))
    texts = {code: samples.label_sets[code][0] for code in np.flatnonzero(num).tolist() if samples.label_sets[code]}
    texts = {code: text for code, text in texts.items() if not stands_for_missing(text)}
    found = {code: None if _ID.match(text) else number_in(text) for code, text in texts.items()}
    values = {value for value in found.values() if value is not None and math.isfinite(value)}
    others = [code for code, value in found.items() if value is None]
    total, bad = int(num[list(found)].sum()), int(num[others].sum())
    if len(values) <= FEW_VALUES or _number_classes(values) or bad > (1 - NEARLY) * total:
        return
    first = int(good[np.isin(samples.labels[good], others)][0])
    said = f"{texts[int(samples.labels[first])]!r} ({samples.name(first)})"
    either = [Remedy(f"predicts a number, and rejects {counted(bad, 'row')}", ["data.target=number"])]
    either.append(Remedy("takes each text as a class", ["data.target=classes"]))
    raise DataError(
        f"column {column!r} holds numbers in {total - bad:,} of {total:,} labels, and something else in {bad:,}, such as "
        f"{said}. Mend the table, or say {choice(either)}"
    )


def plain_numbers(source: Source, samples: Samples, target: str, decimal: str | None) -> tuple[Samples, list[str]]:
    """The samples with labels as programs write numbers, where they are numbers with commas, and a note. DataError where these
    can be read in two ways. decimal: the sign before decimals, if it was said.
    """
    if source.task == "multi" or source.classes is not None or not source.columns or target == "classes":
        return samples, []
    used = np.unique(samples.labels[samples.good()]).tolist()
    texts = [text for code in used for text in samples.label_sets[code] if not stands_for_missing(text)]
    nums = {sign: sum(bool(re.match(pattern, text)) for text in texts) for sign, (pattern, _) in DECIMALS.items()}
    signs = [sign for sign, num in nums.items() if num == max(nums.values()) and num >= NEARLY * len(texts)]
    signs = [sign for sign in signs if decimal in (None, sign)]
    example = next((text for text in texts if "," in text and signs and re.match(DECIMALS[signs[0]][0], text)), None)
    if example is None:
        return samples, []
    if len(signs) > 1:
        if len(texts) <= FEW_VALUES and target == "auto":
            return samples, []
        raise DataError(
            f"column {source.columns[0]!r}: the comma in {example!r} may be before decimals or between thousands. Say one of:\n"
            "  regatta run data.decimal=,   # before decimals\n  regatta run data.decimal=.   # between thousands"
        )
    found = relabelled(samples, [tuple(_plain(text, signs[0]) for text in label_set) for label_set in samples.label_sets])
    words, other = ("a comma before decimals", ".") if signs[0] == "," else ("commas between thousands", ",")
    read = f"{example!r} is {float(_plain(example, signs[0])):.15g}"
    return found, [f"column {source.columns[0]!r} has numbers with {words}: {read}; say data.decimal={other} if that is wrong"]


def _plain(text: str, sign: str) -> str:
    """A number as programs write it; other texts as they are."""
    pattern, between = DECIMALS[sign]
    return text.replace(between, "").replace(sign, ".") if re.match(pattern, text) else text


def relabelled(samples: Samples, sets: Sequence[tuple[str, ...]]) -> Samples:
    """The samples with other labels in place of each set of labels; equal ones are one."""
    codes = {label_set: code for code, label_set in enumerate(dict.fromkeys(sets))}
    labels = np.array([codes[label_set] for label_set in sets], np.int64)[samples.labels]
    return replace(samples, labels=labels, label_sets=list(codes))


def _values(samples: Samples) -> set[float]:
    """The different numbers that good samples have as labels, words for missing ones aside; none where one is no number."""
    used = np.unique(samples.labels[samples.good()]).tolist()
    texts = {name for code in used for name in samples.label_sets[code] if not stands_for_missing(name)}
    found = {None if _ID.match(text) else number_in(text) for text in texts}
    return set() if None in found else {value for value in found if value is not None and math.isfinite(value)}


def _number_classes(values: set[float]) -> bool:
    low, high = min(values), max(values)
    return all(value.is_integer() for value in values) and low in (0, 1) and high - low < 2 * len(values)


def _shown(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values[:3]) + (", ..." if len(values) > 3 else "")


def many_of_classes(source: Source, samples: Samples) -> list[str]:
    """What to say where a column of many numbers was taken as classes."""
    values = _values(samples) if source.task == "single" and source.columns and source.classes is None else set()
    if len(values) <= FEW_VALUES:
        return []
    return [
        f"the {len(values)} different numbers of column {source.columns[0]!r} are taken as classes; data.target=number "
        "predicts them as a number"
    ]


def as_numbers(source: Source, samples: Samples, target: str) -> tuple[Source, Samples, list[str]]:
    """The samples with one text for each number; those without a number, or with too many, become problems."""
    nums = Counter(len(samples.label_sets[code]) for code in samples.labels[samples.good()].tolist())
    num = len(source.columns) if len(source.columns) > 1 else max(nums, key=lambda n: (nums[n], n), default=1)
    read = [_read(label_set, num) for label_set in samples.label_sets]
    sets = [found if isinstance(found, tuple) else () for found in read]
    problems = {i: said for i, code in enumerate(samples.labels.tolist()) if isinstance(said := read[code], str)}
    names = _names(source.columns, num)
    told = []
    if target == "auto":
        told = [
            f"column {names[0]!r} holds {len(set(sets) - {()})} different numbers and is predicted as a number; "
            "data.target=classes takes each value as a class"
        ]
    source = replace(source, task="number", columns=names, classes=None)
    return source, replace(relabelled(samples, sets), problems=problems | samples.problems), told


def _read(label_set: tuple[str, ...], num: int) -> tuple[str, ...] | str:
    """The numbers, each as its one text, or what is wrong with them."""
    if len(label_set) != num:
        return f"{len(label_set)} numbers as the label, and others have {num}"
    values = []
    for text in label_set:
        value = number_in(text)
        if value is None:
            return f"label {text!r} is not a number"
        if not math.isfinite(value):
            return f"label {text!r} is not a finite number"
        values.append(repr(value))
    return tuple(values)


def _names(columns: tuple[str, ...], num: int) -> tuple[str, ...]:
    name = columns[0] if columns else "label"
    return columns if len(columns) == num else (name,) if num == 1 else tuple(f"{name}[{i}]" for i in range(num))


def target_fit(numbers: NDArray[np.float64], names: Sequence[str], refused: Refused) -> dict[str, list[float]]:
    """Mean and deviation of each number of the training samples (N,) or (N, T); DataError where nothing is to be learned."""
    columns = numbers.reshape(len(numbers), len(names))
    constant = [name for name, column in zip(names, columns.T, strict=True) if column.min() == column.max()]
    if constant:
        raise refused(
            f"all {len(columns)} training samples have the same number in {some(constant, 'column')}: there is nothing to "
            "predict; check data.label"
        )
    with np.errstate(over="ignore"):
        mean, std = columns.mean(axis=0), columns.std(axis=0)
    wide = [name for name, one in zip(names, std, strict=True) if not 0 < one < math.inf]
    if wide:
        raise refused(f"the numbers in {some(wide, 'column')} are too large, or too close together, for float64; rescale them")
    return {"mean": mean.tolist(), "std": std.tolist()}


def strata(numbers: NDArray[np.float64], used: Column) -> Column:
    """Of numbers (S,) or (S, T) which of NUM_STRATA each is in: the first number's fifth of those that are `used`.

    Large and small numbers then reach every split, even where few samples are there.
    """
    first = numbers if numbers.ndim == 1 else numbers[:, 0]
    edges = np.quantile(first[used], np.arange(1, NUM_STRATA) / NUM_STRATA)
    return np.searchsorted(np.unique(edges), first, side="right").astype(np.int64)


def notes(per_split: Mapping[str, NDArray[np.float64]], names: Sequence[str]) -> Iterator[str]:
    """What a reader should know of the numbers (N,) or (N, T) of the splits."""
    for i, name in enumerate(names):
        train, *held_out = (own.reshape(len(own), len(names))[:, i] for own in per_split.values())
        other = np.concatenate(held_out)
        beyond = int(((other < train.min()) | (other > train.max())).sum())
        yield f"{name} in training: from {train.min():g} to {train.max():g}, mean {train.mean():g}, deviation {train.std():g}"
        if beyond:
            lie = so_many(beyond, "1 sample of val and test lies", "{} samples of val and test lie")
            yield f"{name}: {lie} beyond the range of the training samples"
