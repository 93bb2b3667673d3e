"""What the labels of a whole dataset are: one class a sample or several, written in one way; or numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.data.dataset import Task
from pipeline.errors import ConfigError
from pipeline.kinds.words import stands_for_missing
from pipeline.prepare.labels import class_order, whole_numbers
from pipeline.prepare.numbers import are_numbers, as_numbers, many_of_classes, plain_numbers, relabelled
from pipeline.prepare.raw import Column, Source
from pipeline.prepare.scan import Samples
from pipeline.wording import share, some


def settled(
    source: Source, samples: Samples, exclusive: bool | None, target: str, decimal: str | None = None
) -> tuple[Source, Samples, list[str]]:
    """The source with its final task, the samples with their final labels, and notes of what was done."""
    samples, plain = plain_numbers(source, samples, target, decimal)
    if are_numbers(source, samples, target):
        source, samples, told = as_numbers(source, samples, target)
        return source, samples, plain + told
    task, samples, told = _one_or_several(source, samples, exclusive)
    told = plain + told
    source = replace(source, task=task)
    if task == "single" and source.classes is None:
        samples, merged = _numbers_merged(samples)
        told += [*merged, *(many_of_classes(source, samples) if target == "auto" else [])]
    return source, samples, told + _missing_words(samples)


def class_names(source: Source, samples: Samples, index: Column) -> tuple[str, ...]:
    """Class names in the order of their numbers: as declared, else sorted; of several labels all that are declared."""
    if source.task == "number":
        return ()
    occurring = {name for code in np.unique(samples.labels[index]).tolist() for name in samples.label_sets[code]}
    if source.classes is None:
        return class_order(occurring)
    return source.classes if source.task == "multi" else tuple(name for name in source.classes if name in occurring)


def _one_or_several(source: Source, samples: Samples, exclusive: bool | None) -> tuple[Task, Samples, list[str]]:
    if source.task == "single":
        if exclusive is False:
            raise ConfigError(
                "data.exclusive = false, but each row has one label: list columns of 0 and 1 with data.label=[a,b], "
                'or set data.separator="|" for cells such as a|b; or leave data.exclusive at null'
            )
        return "single", samples, []
    if exclusive:
        return "single", _others_rejected(samples), []
    if exclusive is None and source.switches and _all_have_one(samples):
        told = (
            f"one class a sample: exactly one of {source.switches} labels is 1 in each of {len(samples.good())} rows; "
            "data.exclusive=false takes them as several labels that may occur together"
        )
        return "single", samples, [told]
    return "multi", samples, []


def _num_labels(samples: Samples) -> Column:
    return np.array([len(label_set) for label_set in samples.label_sets], np.int64)[samples.labels]


def _all_have_one(samples: Samples) -> bool:
    """Whether each sample whose labels can be read has exactly one."""
    nums = _num_labels(samples)
    nums[[i for i in samples.problems if not nums[i]]] = 1
    return len(samples.problems) < len(samples) and bool((nums == 1).all())


def _others_rejected(samples: Samples) -> Samples:
    nums = _num_labels(samples)
    found = {
        i: f"{nums[i] or 'no'} labels, and data.exclusive = true allows exactly one" for i in np.flatnonzero(nums != 1).tolist()
    }
    return replace(samples, problems=found | samples.problems)


def _numbers_merged(samples: Samples) -> tuple[Samples, list[str]]:
    """Samples whose labels "1" and "1.0" are one class, if all labels are numbers; source and copies are judged by it."""
    names = whole_numbers(name for label_set in samples.label_sets for name in label_set)
    changed = sorted(old for old, new in names.items() if old != new)
    if not changed:
        return samples, []
    merged = relabelled(samples, [tuple(names[name] for name in label_set) for label_set in samples.label_sets])
    told = (
        f"all labels are numbers, so {some(changed, 'name')} lost the fraction of zeros: "
        f'"{changed[0]}" and "{names[changed[0]]}" are one class'
    )
    return merged, [told]


def _missing_words(samples: Samples) -> list[str]:
    nums = np.bincount(samples.labels[samples.good()], minlength=len(samples.label_sets)).tolist()
    counts: dict[str, int] = {}
    for label_set, num in zip(samples.label_sets, nums, strict=True):
        counts.update({name: counts.get(name, 0) + num for name in label_set if num and stands_for_missing(name)})
    found = [f"{name!r}: {share(counts[name], len(samples))} samples" for name in sorted(counts)]
    if not found:
        return []
    told = (
        f"taken as a class, though it often stands for a missing label: {some(found, 'class')}; if it does, empty the label "
        "or remove the samples: rows without a label are rejected (prepare.max_bad_fraction says how many may be)"
    )
    return [told]
