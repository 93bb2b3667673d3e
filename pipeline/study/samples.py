"""On which samples a study's runs are judged: runs are compared only where these are the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pipeline.data.dataset import Data
from pipeline.kinds.keys import data_section

DECIDING = ("prepare.split_seed", "prepare.val_fraction", "prepare.test_fraction", "prepare.limit")
"""Keys that change which samples validate; where validation samples are given, `prepare.limit` alone does."""
WHY = "judged on other samples, so it can't be compared seed by seed"


class Compared(Protocol):
    """A variant, and the one that it is compared with ("" for none)."""

    @property
    def name(self) -> str: ...

    @property
    def against(self) -> str: ...


@dataclass(frozen=True)
class Judged:
    """The digests of the samples that a run is judged on."""

    val: str
    test: str | None
    """None: the test split is not read."""


def judged(data: Data, test: bool) -> Judged:
    """Of a dataset's runs."""
    return Judged(samples_digest(data, "val"), samples_digest(data, "test") if test else None)


def samples_digest(data: Data, name: str) -> str:
    """The identity of a split's samples with their labels: not of how they are shown."""
    split = data.split(name)
    order = np.argsort(split.ids, kind="stable")
    names = data.manifest.classes or data.manifest.targets
    hashed = hashlib.blake2b(json.dumps(names).encode(), digest_size=16)
    for array in (split.ids, split.labels):
        hashed.update(np.ascontiguousarray(array[order]).tobytes())
    return hashed.hexdigest()


def certain_problems(
    every: Sequence[Compared], configurations: Mapping[str, Mapping[str, Any]], folds: int | None = None
) -> Iterator[str]:
    """Variants whose keys alone say that they are judged on other samples than what they are compared with.

    Folds are cut from given validation samples, too.
    """
    for variant in every:
        own, other = configurations.get(variant.name), configurations.get(variant.against)
        if own is None or other is None:
            continue
        given = data_section(own).val_path is not None and folds is None
        for path in ("prepare.limit",) if given else DECIDING:
            section, key = path.split(".")
            if own[section][key] != other[section][key]:
                instead = "; for fewer training samples use train.limit" if key != "split_seed" else ""
                yield (
                    f"variant {variant.name}: {path} = {own[section][key]!r} ({variant.against}: {other[section][key]!r}): "
                    f"{WHY}{instead}"
                )


def other_samples(
    every: Sequence[Compared], found: Mapping[str, Iterable[Judged]], keys: Callable[[str], str]
) -> Iterator[str]:
    """Variants that are judged on other samples than what they are compared with, by what the datasets hold.

    found: by variant, of its runs. keys: what a variant changes in its data, in words.
    """
    sets = {name: set(runs) for name, runs in found.items()}
    for variant in every:
        both = sets[variant.name] | (sets[variant.against] if variant.against else set())
        wrong = [f"{part} samples" for part in ("validation", "test") if len({_part(one, part) for one in both}) > 1]
        if wrong:
            than = f"than {variant.against}" if variant.against else "from seed to seed"
            yield f"variant {variant.name}: its {' and '.join(wrong)} are others {than} ({keys(variant.name)}): {WHY}"


def _part(one: Judged, part: str) -> str | None:
    return one.val if part == "validation" else one.test
