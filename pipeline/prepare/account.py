"""The account of what was not taken: what is refused as a whole, what is listed, and what a reader should know."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipeline.artifacts import write_csv
from pipeline.data.dataset import SPLITS
from pipeline.errors import DataError
from pipeline.kinds.words import shell_word
from pipeline.prepare.raw import Column
from pipeline.prepare.scan import Samples
from pipeline.prepare.selection import Taken
from pipeline.prepare.splits import NONE, TRAIN, conflicts, num_repeats
from pipeline.prepare.times import Times
from pipeline.processes import one_line
from pipeline.wording import share, so_many, some

COLUMNS = ("source", "row", "reason")
Refused = Callable[[str], DataError]
"""From what is said of a refusal its error, in which is said where the samples that were not taken are listed."""


def listed(samples: Samples, reasons: dict[int, str], place: Path) -> Refused:
    """What is refused after these samples were not taken: a table of them is written, since the dataset's own never will."""

    def refused(said: str) -> DataError:
        if not reasons:
            return DataError(said)
        write_csv(place, COLUMNS, table(samples, reasons))
        what = "the sample that was not taken" if len(reasons) == 1 else f"each of the {len(reasons)} samples not taken"
        return DataError(f"{said}\n{place} lists {what}, with its reason.")

    return refused


def check_quarantine(
    samples: Samples,
    problems: dict[int, str],
    max_bad_fraction: float,
    refused: Refused,
    hints: Sequence[str],
    listed: bool = True,
) -> None:
    """DataError where there are no samples, or too many that can't be taken. `hints`: what the source says of that; listed:
    with the reasons.
    """
    if not len(samples):
        raise DataError("the data holds no samples; check data.path and data.source")
    if len(problems) == len(samples) or len(problems) > max_bad_fraction * len(samples):
        reasons = [f"  {line}" for line in by_reason(samples, problems)] if listed else []
        raise refused(
            f"{share(len(problems), len(samples))} samples can't be taken; prepare.max_bad_fraction = {max_bad_fraction} "
            f"allows {int(max_bad_fraction * len(samples)):,}{':' if listed else ''}\n"
            + "\n".join([*reasons, *hints, _to_go_on(len(problems), len(samples))])
        )


def _to_go_on(num: int, of: int) -> str:
    if num == of:
        return "Mend them, or check the keys of data.* that say what they are."
    least = math.ceil(1000 * num / of) / 1000
    return f"Mend or remove them, or go on without them: regatta run prepare.max_bad_fraction={least:g}"


def check_classes(samples: Samples, index: Column, classes: tuple[str, ...], refused: Refused) -> None:
    """DataError where there is nothing to tell apart, or where a given split has classes that training never sees."""
    if len(classes) < 2:
        only = f"all {len(index)} samples have the class {classes[0]!r}" if classes else "no sample has a label"
        raise refused(f"{only}; a classifier needs at least two classes: check data.label, or add samples of another class")
    given = samples.splits[index]
    trained = tally(samples, index[(given == NONE) | (given == TRAIN)])
    judged = tally(samples, index[given > TRAIN])
    unseen = [f"{name!r}: {judged[name]}" for name in sorted(judged) if name not in trained]
    if unseen:
        raise refused(
            f"the given val and test splits have {some(unseen, 'class')} that train lacks; train has "
            f"{some(sorted(trained), 'class')}. {_alike_but_for_ends(sorted(judged), trained)}"
            "Use the same names in all splits, or remove these samples."
        )


def check_times(samples: Samples, index: Column, times: Times, fractions: dict[int, float], refused: Refused) -> None:
    """DataError where times can't cut these samples: splits are given, or there are fewer moments than splits."""
    without = "cut them by content: regatta run '~data.time'"
    given = [f"{name}: {num}" for i, name in enumerate(SPLITS) if (num := int((samples.splits[index] == i).sum()))]
    if given:
        raise refused(
            f"data.time = {times.column}, but the data has given splits already ({', '.join(given)}). Take these: "
            "regatta run '~data.time'; or name the file or folder of one split alone with data.path"
        )
    found, needed = np.unique(times.moments[index]), [SPLITS[i] for i, fraction in fractions.items() if fraction > 0]
    if len(found) < len(needed):
        moments = ", ".join(times.text(int(index[(times.moments[index] == moment).argmax()])) for moment in found.tolist())
        raise refused(
            f"data.time = {times.column}: the times of all {len(index)} samples are {len(found)} ({moments}), and "
            f"{', '.join(needed)} need one each. Name another column, or {without}"
        )


def _alike_but_for_ends(judged: Sequence[str], trained: Counter[str]) -> str:
    """What to say where names differ by a sign at the end alone."""
    ends = {name[-1] for name in judged if name not in trained}
    if len(ends) == 1 and (end := ends.pop()) in ".;,*" and {name.strip(end) for name in judged} <= {*trained}:
        return f"They differ by {end!r} at the end, which `regatta run {shell_word(f'data.label_strip={end}')}` takes away. "
    return ""


def check_reach(taken: Taken, fractions: dict[int, float], refused: Refused) -> None:
    """DataError where a split stays empty that should not."""
    counts = np.bincount(taken.splits, minlength=len(SPLITS)).tolist()
    empty = [name for i, name in enumerate(SPLITS) if not counts[i] and fractions[i] > 0]
    if empty:
        left = so_many(len(taken.index), "1 sample is left", "{} samples are left")
        raise refused(
            f"{left}, and none for {' and '.join(empty)}; add samples (at least three of a "
            "class, or three groups, are needed to reach all splits), check data.label and data.group, or raise prepare.limit"
        )


def table(samples: Samples, reasons: dict[int, str]) -> list[tuple[str, str, str]]:
    """The rows of rejected.csv: source, row, reason."""
    order = sorted(reasons, key=lambda i: (samples.sources[i], samples.rows[i], reasons[i]))
    return [(samples.sources[i], "" if samples.rows[i] == NONE else str(samples.rows[i]), one_line(reasons[i])) for i in order]


def conflicts_listed(samples: Samples, taken: Taken) -> dict[int, str]:
    """The samples that stay although the same content has another label elsewhere."""
    index = taken.index[conflicts(samples.contents[taken.index], samples.labels[taken.index])]
    labels: defaultdict[int, set[str]] = defaultdict(set)
    for i in index.tolist():
        labels[int(samples.contents[i])].add(" + ".join(samples.label_sets[samples.labels[i]]) or "none")
    return {
        i: f"taken, but the same content has the labels {', '.join(sorted(labels[int(samples.contents[i])]))}"
        for i in index.tolist()
    }


def notes(
    samples: Samples, readable: Column, chosen: Column, taken: Taken, classes: tuple[str, ...], fitted: list[str]
) -> list[str]:
    """What a reader of the dataset should know. fitted: what the kind says of the training rows."""
    contents = samples.contents[taken.index]
    repeated = num_repeats(contents)
    disputed = len(conflicts_listed(samples, taken))
    lost = sorted(set(tally(samples, np.arange(len(samples)))) - set(tally(samples, readable)) - {""})
    found = taken.notes.copy()
    if repeated:
        one = "1 sample is an exact copy of another in its split"
        found.append(so_many(repeated, one, "{} samples are exact copies of others in their split"))
    if disputed:
        one = "1 sample shares its content with a sample of another label (see rejected.csv)"
        many = "{} samples share their content with a sample of another label (see rejected.csv)"
        found.append(so_many(disputed, one, many))
    if lost:
        found.append(f"not one sample can be read of {some(lost, 'class')}")
    for i, split in enumerate(SPLITS):
        present = tally(samples, taken.index[taken.splits == i])
        missing = [name for name in classes if name not in present]
        if missing and (taken.splits == i).any():
            found.append(f"{split} has no sample of {some(missing, 'class')}")
    found += fitted
    if len(chosen) < len(readable):
        found.append(f"prepare.limit took {share(len(chosen), len(readable))} samples")
    return found


def tally(samples: Samples, index: Column) -> Counter[str]:
    """Samples per label."""
    found: Counter[str] = Counter()
    for code, num in zip(*np.unique(samples.labels[index], return_counts=True), strict=True):
        found.update({name: int(num) for name in samples.label_sets[code]})
    return found


def by_reason(samples: Samples, problems: dict[int, str]) -> list[str]:
    """The reasons, the most frequent first, each with examples."""
    examples: defaultdict[str, list[str]] = defaultdict(list)
    for i in sorted(problems):
        examples[one_line(problems[i])].append(samples.name(i))
    ranked = sorted(examples.items(), key=lambda item: (-len(item[1]), item[0]))
    lines = [
        f"{len(names)} x {reason}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}" for reason, names in ranked[:10]
    ]
    return lines + ([f"and {len(ranked) - 10} other reasons"] if len(ranked) > 10 else [])
