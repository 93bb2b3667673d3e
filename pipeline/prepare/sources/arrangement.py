"""Which folders name classes, and which only arrange the data: given splits, wrappers of archives, folds.

What is certain is taken and noted; what can be meant in two ways is refused, with a command for each. Certain are

- one folder that holds everything, however often: archives unpack so, some repeat a name (seg_train/seg_train/CLASS);
- folders whose names say train and another split (train, test; training_set, test_set), with classes below;
- folders named by a split alone below every class (CLASS/train, CLASS/test).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from pipeline.data.dataset import SPLITS
from pipeline.errors import DataError
from pipeline.prepare.sources.layout import SPLIT_WORDS, is_of_split_alone, readable_name, split_and_frame, split_in_name
from pipeline.prepare.sources.remedies import Remedy, choice, given_splits, no_train
from pipeline.prepare.sources.tree import Folder
from pipeline.wording import some

_NO_CLASSES = {
    "images", "imgs", "img", "jpegimages", "audio", "wav", "wavs", "transcripts", "annotations",
    "annotation", "labels", "xmls", "bboxes", "trimaps",
    "groundtruth", "ground_truth", "segmentations",
}  # fmt: skip
"""Names of folders that datasets keep beside each other and that are hardly ever classes."""
Splits = Mapping[str, Folder]
Said = dict[Folder, tuple[str, str]]
"""What the names of folders say: a split, and the name without that word."""


@dataclass(frozen=True)
class ClassFolder:
    """A folder whose files, at any depth, are samples of one class."""

    folder: Folder
    label: str
    split: str | None


@dataclass(frozen=True)
class Arrangement:
    """What the folders mean."""

    classes: list[ClassFolder]
    above: list[Folder]
    """Folders on the way to the classes: their own files belong to no class."""
    notes: list[str]


@dataclass(frozen=True)
class Asked:
    """What the configuration says of the data's folder."""

    key: str
    """The key of its path, such as data.path."""
    level: int | None
    """The depth of the folders that name classes, below the data's own; None: to be recognised."""
    told: bool = True
    """Whether it says that a folder is read, so that a table needs another source."""

    def arranges(self, depth: int) -> bool:
        """Whether folders of this depth may be more than classes."""
        return self.level is None or depth < self.level


def arranged(root: Folder, asked: Asked) -> Arrangement:
    """What the folders below `root` mean; DataError where that is not certain."""
    top, passed = _unwrapped(root, asked)
    splits = _given_splits(top) if asked.arranges(top.depth + 1) else {}
    if splits and asked.key != "data.path":
        remedy = Remedy("takes them as the given splits", [f"data.path={root.path}", f"~{asked.key}"])
        _refuse(top, f"{asked.key} is one split, but {_names(splits.values())} look like several", [remedy])
    found = _in_splits(top, splits, asked) if splits else _classes(top, None, asked)
    notes = [f"all samples lie in {top.name}, so classes and splits are the folders in it"] if passed else []
    above = [*passed, *found.above]
    return Arrangement(found.classes, above, [*notes, *found.notes, *_not_classes(above, splits)])


def _unwrapped(folder: Folder, asked: Asked, classes: Sequence[str] = ()) -> tuple[Folder, list[Folder]]:
    """The innermost folder that holds all samples in folders, never one of the classes; and those around it."""
    passed: list[Folder] = []
    while asked.arranges(folder.depth + 1) and (inner := _only(folder, asked)) and inner.label not in classes:
        passed.append(folder)
        folder = inner
    return folder, passed


def _only(folder: Folder, asked: Asked) -> Folder | None:
    """The one folder inside that can be looked into instead.

    Beside an empty one that is not certain, nor if it is a test split alone.
    """
    if len(folder.filled) != 1 or not folder.filled[0].filled or any(inner.is_empty for inner in folder.folders):
        return None
    [inner] = folder.filled
    if asked.key in ("data.val_path", "data.test_path") and not (inner.label == folder.label or split_and_frame(inner.label)):
        return None  # it may be the only class of this split
    alone = SPLIT_WORDS.get(inner.label.lower()) in ("val", "test") and inner.label != folder.label
    return None if alone else inner


# --- Given splits above the classes


def _given_splits(top: Folder) -> Splits:
    """The folders that are given splits, train first; none where their names do not say so."""
    said: Said = {folder: words for folder in top.folders if (words := split_and_frame(folder.label))}
    told = {split for split, _ in said.values()}
    if "train" not in told or len(told) == 1:
        _check_lone_train(top, said)
        return {}
    if len(said) > len(told):
        said = _of_one_frame(top, said)
    found = {split: folder for folder, (split, _) in said.items()}
    return {split: found[split] for split in SPLITS if split in found}


def _check_lone_train(top: Folder, said: Said) -> None:
    """DataError where train has folders as if they were the classes, and what lies beside it has none."""
    train = [folder for folder in said if len(folder.filled) > 1]
    others = [folder for folder in top.filled if folder not in train]
    if len(train) == 1 and others and not any(folder.filled for folder in others):
        inside, beside = _some(train[0].filled, "folder"), _some(others, "folder")
        remedies = [
            Remedy(f"takes the folders in {train[0].label} as classes", [f"data.path={train[0].path}"]),
            Remedy(f"takes {train[0].label} and the others as classes", [_level(top)]),
        ]
        _refuse(top, f"{train[0].label} has {inside} in it, but beside it are {beside} without any", remedies)


def _of_one_frame(top: Folder, said: Said) -> Said:
    """Those of one frame where a split has two folders: train and test beside train_masks; DataError if several are."""
    frames: defaultdict[str, Said] = defaultdict(dict)
    for folder, (split, frame) in said.items():
        frames[frame][folder] = split, frame
    whole = [group for group in frames.values() if _is_whole([split for split, _ in group.values()])]
    if len(whole) != 1:
        told = ", ".join(sorted({split for split, _ in said.values()}))
        first = {split: folder for folder, (split, _) in reversed(said.items())}
        remedies = [Remedy("names a folder for each", _paths(first)), Remedy("takes them as classes", [_level(top)])]
        _refuse(top, f"{_names(said)} mean {told}: one split has two folders", remedies)
    return whole[0]


def _is_whole(splits: Sequence[str]) -> bool:
    """Whether these are given splits, each once."""
    return "train" in splits and 1 < len(splits) == len(set(splits))


def _in_splits(top: Folder, splits: Splits, asked: Asked) -> Arrangement:
    """The classes in each given split; DataError where one has no labels."""
    classes: list[ClassFolder] = []
    above, notes = [top], []
    unlabelled: dict[str, Folder] = {}
    trained: list[str] = []
    for split, folder in splits.items():
        place, passed = _unwrapped(folder, asked, trained)
        if not folder.holds_samples:
            notes.append(f"{folder.name} is empty, so it is no given split")
        elif _is_flat(place, trained):
            unlabelled[split] = folder
        else:
            found = _classes(place, split, asked)
            classes += found.classes
            trained = [item.label for item in classes if item.split == "train"]
            above += [*passed, *found.above]
            renamed = place.name.lower() not in SPLIT_WORDS
            notes += [*([f"{place.name} is taken as the {split} split"] if renamed else []), *found.notes]
    if unlabelled:
        _refuse_unlabelled(top, splits, unlabelled, asked)
    others = [folder for folder in top.filled if folder not in splits.values()]
    flat = [folder for folder in others if _is_flat(_unwrapped(folder, asked, trained)[0], trained)]
    _check_others(top, splits, [folder for folder in others if folder not in flat])
    notes += [f"{_no_labels(folder.name, folder)} and were not read" for folder in flat]
    return Arrangement(classes, above, notes)


def _is_flat(place: Folder, trained: Sequence[str]) -> bool:
    """Whether a split has no folders that could name classes: none, or one that only repeats a wrapper's name."""
    labels = [folder.label for folder in place.filled]
    return not labels or (bool(trained) and len(labels) == 1 and labels[0] not in trained)


def _refuse_unlabelled(top: Folder, splits: Splits, unlabelled: Splits, asked: Asked) -> NoReturn:
    kept = {split: folder for split, folder in splits.items() if split not in unlabelled}
    remedies = [*_tables(top, asked), Remedy("takes the folders as classes", [_level(top)])]
    if "train" in kept:
        remedies = [Remedy(f"goes on without {_names(unlabelled.values())}", _paths(kept))]
    _refuse(top, "; ".join(_no_labels(folder.label, folder) for folder in unlabelled.values()), remedies)


def _tables(top: Folder, asked: Asked) -> list[Remedy]:
    """The labels may be in a table beside the folders."""
    tables = [name for name in top.beside if name.lower().endswith((".csv", ".tsv"))]
    chosen = [name for name in tables if split_in_name(name) == "train"] or tables
    source = ["data=csv"] if asked.told else []
    words = [[*source, f"data.path={top.path / name}"] for name in chosen[:1]]
    return [Remedy("reads the labels from the table", each) for each in words]


def _no_labels(name: str, folder: Folder) -> str:
    num = sum(len(below.files) for below in folder.walk())
    return f"{name} has no class folders, so its {num} file{'s have' if num != 1 else ' has'} no labels"


def _check_others(top: Folder, splits: Splits, others: Sequence[Folder]) -> None:
    """DataError where class folders lie beside given splits: they might be more samples."""
    if others:
        remedies = [
            Remedy("leaves the others out", _paths(splits)),
            Remedy("takes all these folders as classes", [_level(top)]),
        ]
        given, beside = _names(splits.values()), _some(others, "other folder")
        _refuse(top, f"{given} look like given splits, with {beside} beside them", remedies)


# --- The classes


def _classes(place: Folder, split: str | None, asked: Asked) -> Arrangement:
    """The classes whose folders lie in `place`, or at the level that is asked for."""
    if asked.level is not None:
        return _at_level(place, split, asked.level)
    folders = place.filled
    _check_not_test(place)
    if not folders or (len(folders) == 1 and split is None and split_and_frame(folders[0].label)):
        raise DataError(
            f"{readable_name(place.path)}: no class folders with files in them; put the files of each class into a "
            "folder of its name"
        )
    _check_alone(place, asked)
    _check_words(place, asked)
    if split is None and (below := _splits_below(place)):
        words = " and ".join(sorted({item.folder.label for item in below}))
        return Arrangement(below, [place, *folders], [f"{words} below each class are taken as given splits"])
    _check_same(place, split, asked)
    found = [ClassFolder(folder, folder.label, split) for folder in folders]
    return Arrangement(found, [place], _deeper(folders))


def _at_level(place: Folder, split: str | None, level: int) -> Arrangement:
    """The folders of a depth, those of one name joined to one class."""
    above, here = [place], place.folders
    for _ in range(place.depth + 1, level):
        above += here
        here = [inner for folder in here for inner in folder.folders]
    found = [ClassFolder(folder, folder.label, split) for folder in here if folder.holds_samples]
    if not found:
        raise DataError(
            f"data.class_level = {level}: {readable_name(place.path)} has no folders with files so deep; "
            "say `regatta run '~data.class_level'` to have the classes recognised"
        )
    return Arrangement(found, above, [])


def _check_not_test(place: Folder) -> None:
    """DataError where test or val would be a class: alone, or beside classes."""
    said = [(folder, words) for folder in place.filled if (words := split_and_frame(folder.label))]
    tests = [folder for folder, (split, frame) in said if split != "train" and is_of_split_alone(frame)]
    others = [folder for folder in place.filled if folder not in tests]
    if tests and others:
        remedy = Remedy(f"takes {_names(place.filled)} as classes", [_level(place)])
        _refuse(place, f"{_names(tests)} beside {_some(others, 'folder')} may be a split or a class", [remedy])
    if tests:
        given = {split: folder.path for folder, (split, _) in said}
        _refuse(place, f"only {' and '.join(folder.label for folder in tests)} and no train", no_train(given))


def _check_alone(place: Folder, asked: Asked) -> None:
    """DataError where all samples lie in one folder, and what is beside it is empty."""
    empty = [folder for folder in place.folders if folder.is_empty]
    if len(place.filled) == 1 and place.filled[0].filled and empty:
        [only] = place.filled
        problem = f"all samples lie in {only.label}, beside {_some(empty, 'empty folder')}; two classes are needed"
        remedy = Remedy(f"takes the folders in {only.label} as classes", [f"{asked.key}={only.path}"])
        _refuse(place, problem, [remedy])


def _check_words(place: Folder, asked: Asked) -> None:
    """DataError where folders have names that are hardly ever classes."""
    named = [folder for folder in place.filled if folder.label.lower() in _NO_CLASSES]
    if named and len(place.filled) > 1:
        remedies = [
            Remedy(f"takes the folders in {folder.label} as classes", [f"{asked.key}={folder.path}"])
            for folder in named
            if len(folder.filled) > 1
        ]
        remedies.append(Remedy(f"takes {_names(place.filled)} as classes", [_level(place)]))
        _refuse(place, f"{_names(named)}: named like a part of a dataset, not like a class", remedies)


def _splits_below(place: Folder) -> list[ClassFolder]:
    """train, test, ... in every class folder, as given splits; none where no class has them; DataError if some have."""
    said = {folder: [SPLIT_WORDS.get(inner.label.lower()) for inner in folder.filled] for folder in place.filled}
    having = [folder for folder, words in said.items() if "train" in words and len({*words} - {None}) > 1]
    if not having:
        return []
    odd = [f for f, words in said.items() if f.files or not words or None in words or len({*words}) < len(words)]
    if odd:
        within, differing = " and ".join(inner.name for inner in having[0].filled), _some(odd, "class")
        remedy = Remedy("takes no given splits, but all files of each class", [_level(place)])
        _refuse(place, f"{within} look like given splits below the class, but not so in {differing}", [remedy])
    return [
        ClassFolder(inner, folder.label, split)
        for folder, words in said.items()
        for inner, split in zip(folder.filled, words, strict=True)
    ]


def _check_same(place: Folder, split: str | None, asked: Asked) -> None:
    """DataError where folders hold folders of the same names: either may be the classes."""
    inside = {folder: _core(folder).filled for folder in place.filled}
    counts = Counter(label for folders in inside.values() for label in {folder.label for folder in folders})
    same = sorted(label for label, num in counts.items() if num > 1)
    if len(same) < 2:
        return
    holders = [folder for folder in place.filled if any(inner.label in same for inner in inside[folder])]
    inner = next(inner for inner in inside[holders[0]])
    remedies = [
        Remedy(f"takes {_few(same)} as classes, whatever folder they are in", [f"data.class_level={inner.depth}"]),
        Remedy(f"takes {_names(place.filled)} as classes", [_level(place)]),
    ]
    if split is None and asked.key == "data.path":
        remedies.append(Remedy("takes two of them as given splits", _paths({"train": holders[0], "test": holders[-1]})))
    problem = f"{_some(holders, 'folder')} hold the same {some(same, 'folder')}, so either may be the classes"
    _refuse(place, problem, remedies)


def _core(folder: Folder) -> Folder:
    """The folder itself, or the innermost one in it that holds all its files."""
    while len(folder.filled) == 1 and not folder.files:
        folder = folder.filled[0]
    return folder


def _not_classes(above: Sequence[Folder], splits: Splits) -> list[str]:
    """Notes on folders that are no class, splits aside."""
    inside = [folder for place in above for folder in place.folders if folder not in splits.values()]
    hollow = [folder for folder in inside if not folder.holds_samples]
    empty = [folder.name for folder in hollow if folder.is_empty]
    others = [folder.name for folder in hollow if not folder.is_empty]
    notes = [f"empty folders, so not a class: {some(empty, 'folder')}"] if empty else []
    return [*notes, f"only files of other kinds inside, so not a class: {some(others, 'folder')}"] if others else notes


def _deeper(folders: Sequence[Folder]) -> list[str]:
    """A note on folders below the classes which might have been meant."""
    inside = [inner for folder in folders if not folder.files and len(folder.filled) > 1 for inner in folder.filled]
    if not inside:
        return []
    names = some([inner.name for inner in inside], "folder")
    return [f"folders below the classes name none ({names}); data.class_level={inside[0].depth} takes these"]


# --- Words


def _refuse(place: Folder, problem: str, remedies: Sequence[Remedy]) -> NoReturn:
    """DataError with a command for each thing that may be meant."""
    raise DataError(f"{readable_name(place.path)}: {problem}. Move folders, or say {choice(remedies)}")


def _level(place: Folder) -> str:
    return f"data.class_level={place.depth + 1}"


def _paths(splits: Splits) -> list[str]:
    return given_splits({split: folder.path for split, folder in splits.items()})


def _names(folders: Iterable[Folder]) -> str:
    return _few([folder.label for folder in folders])


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _some(folders: Iterable[Folder], what: str) -> str:
    return some([folder.label for folder in folders], what)
