"""From a source to a dataset on disk: scan, decode, split, write. Reads from top to bottom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.artifacts import REJECTED, digest, file_digest, make_dir, rejected_beside, write_csv, write_json
from pipeline.data.dataset import FORMAT, SPLITS, Manifest, manifest_dict
from pipeline.data.intact import digests
from pipeline.kinds.kind import Fit, Layout
from pipeline.kinds.leaks import Leaks, leaks_of
from pipeline.kinds.reading import in_threads, reading_of
from pipeline.prepare import numbers
from pipeline.prepare.account import (
    COLUMNS,
    check_quarantine,
    conflicts_listed,
    listed,
    notes,
    table,
)
from pipeline.prepare.alike import without_alike
from pipeline.prepare.overview import (
    Division,
    Overview,
    Refusing,
    check_left,
    divided,
    laid,
    overview_of,
    selected,
)
from pipeline.prepare.parallel import beside, num_workers
from pipeline.prepare.raw import Column
from pipeline.prepare.scan import source_digest
from pipeline.prepare.selection import Taken
from pipeline.prepare.sources import open_source, source_of
from pipeline.prepare.splits import TRAIN
from pipeline.prepare.telling import Telling, note, telling_features
from pipeline.prepare.writing import Decoded, decoded, portions, spread, write_array, write_inputs, write_samples
from pipeline.schema.data import PATHS, DataConfig
from pipeline.schema.prepare import PrepareConfig

SCRATCH = "decoded.partial"


@dataclass(frozen=True)
class _Material:
    """What a dataset is made of: all samples known, those that are taken decoded and in their splits."""

    overview: Overview
    readable: Column
    chosen: Column
    layout: Layout
    told: list[str]
    """What is to know of the layout."""
    contents: Decoded
    division: Division

    @property
    def taken(self) -> Taken:
        """The samples of the dataset."""
        return self.division.taken

    @property
    def rejected(self) -> dict[int, str]:
        """Why samples are not among them."""
        return self.overview.samples.problems | self.taken.dropped

    def labels_of(self, index: Column) -> NDArray[Any]:
        """The class numbers, switches or numbers of some samples."""
        return self.division.labels[self.overview.samples.labels[index]]


@dataclass(frozen=True)
class _Learned:
    """What the samples teach."""

    fit: Fit
    notes: list[str]
    telling: Telling | None


def build_dataset(data: DataConfig, prepare: PrepareConfig, folder: Path, code: str, workers: int | None = None) -> Manifest:
    """Write the dataset that the two sections describe into an empty folder. `code`: digest of the code that does it.

    Where the data is refused, the samples that were not taken are listed beside the folder, which its owner removes.
    The same input gives the same bytes, whatever the order of the file system and the number of worker processes.
    """
    workers = workers or num_workers()
    rejected_beside(folder).unlink(missing_ok=True)
    material = _material(data, prepare, folder, workers)
    learned = _learned_while_writing(material, data, folder, workers)
    (folder / SCRATCH).unlink()
    samples, division = material.overview.samples, material.division
    listed_too = material.rejected | conflicts_listed(division.apart, material.taken)
    write_csv(folder / REJECTED, COLUMNS, table(samples, listed_too))
    manifest = _manifest(material, learned, data, prepare, code, digests(folder))
    write_json(folder / "dataset.json", manifest_dict(manifest))
    return manifest


def _material(data: DataConfig, prepare: PrepareConfig, folder: Path, workers: int) -> _Material:
    overview = overview_of(open_source(data), data, workers)
    refusing = partial(listed, overview.samples, place=rejected_beside(folder))
    _check_enough(overview, prepare, refusing)
    readable, chosen = selected(overview, prepare)
    layout, told = laid(overview.samples, readable, data)
    place, kind = folder / SCRATCH, reading_of(data.kind)
    contents = decoded(overview.source, overview.samples, chosen, kind, data, layout, place, workers)
    overview = overview.without(contents.problems)
    _check_enough(overview, prepare, refusing)
    readable, chosen = (index[~np.isin(index, list(contents.problems))] for index in (readable, chosen))
    division = divided(overview, readable, chosen, prepare, refusing)
    found = _Material(overview, readable, chosen, layout, told, contents, division)
    leaks = _leaks(found, data)
    if not leaks or prepare.alike == "off":
        return found
    leave_out = prepare.alike == "leave_out"
    taken = without_alike(leaks, contents, found.taken, overview.samples, layout, leave_out, folder, workers)
    check_left(taken, prepare, refusing(overview.samples.problems | taken.dropped))
    return replace(found, division=replace(division, taken=taken))


def _check_enough(overview: Overview, prepare: PrepareConfig, refusing: Refusing) -> None:
    """DataError where too many samples can't be taken."""
    samples = overview.samples
    refused = refusing(samples.problems)
    check_quarantine(samples, samples.problems, prepare.max_bad_fraction, refused, overview.source.hints)


def _leaks(material: _Material, data: DataConfig) -> Leaks | None:
    return None if material.layout.windows else leaks_of(data.kind)


def _learned_while_writing(material: _Material, data: DataConfig, folder: Path, workers: int) -> _Learned:
    """Learn from the samples and write each split: side by side where the kind's work is not the interpreter's."""
    taken, contents, layout = material.taken, material.contents, material.layout
    leaks, kind = _leaks(material, data), reading_of(data.kind)

    def learn() -> tuple[Fit, list[str]]:
        return kind.fit(portions(contents, taken.index[taken.splits == TRAIN], layout), layout)

    def look() -> Telling | None:
        return telling_features(leaks, contents, taken, material.labels_of(taken.index), layout, data) if leaks else None

    def write() -> None:
        _write_splits(folder, material)

    (fit, said), telling, _ = beside([learn, look, write], workers if in_threads(kind) else 1)
    return _Learned(fit, said, telling)


def _manifest(
    material: _Material, learned: _Learned, data: DataConfig, prepare: PrepareConfig, code: str, files: dict[str, str]
) -> Manifest:
    layout, contents, taken, division = material.layout, material.contents, material.taken, material.division
    samples, source, classes, fit = material.overview.samples, material.overview.source, division.classes, learned.fit
    contents_digest = source_digest(samples)
    per_split = {name: material.labels_of(taken.index[taken.splits == i]) for i, name in enumerate(SPLITS)}
    return Manifest(
        format=FORMAT,
        kind=data.kind,
        task=source.task,
        classes=list(classes),
        shape=list(layout.shape),
        dtype=layout.dtype.name,
        lengths=spread(contents.lengths_of(taken.index)) if layout.ragged else None,
        windows=spread(contents.num_rows_of(taken.index)) if layout.windows else None,
        fit=fit,
        counts={name: len(of_split) for name, of_split in per_split.items()},
        class_counts={name: _class_counts(of_split, classes) for name, of_split in per_split.items()},
        source=source_of(data),
        source_digest=contents_digest,
        digest=dataset_digest(data, prepare, contents_digest, code),
        num_read=len(samples),
        num_rejected=len(material.rejected),
        notes=_notes(material, learned, per_split),
        targets=division.targets,
        target_fit=division.target_fit,
        telling=learned.telling._asdict() if learned.telling else {},
        data=data.model_dump(exclude={*PATHS}),
        details={key: value for key, value in layout.details.items() if key not in fit or fit[key] != value},
        files=files,
    )


def _notes(material: _Material, learned: _Learned, per_split: dict[str, NDArray[Any]]) -> list[str]:
    """What who reads the dataset should know, in the order in which it was found."""
    division, overview = material.division, material.overview
    samples = division.apart, material.readable, material.chosen, division.taken
    return [
        *overview.source.notes,
        *overview.notes,
        *material.told,
        *([note(learned.telling)] if learned.telling else []),
        *notes(*samples, division.classes, learned.notes),
        *numbers.notes(per_split, division.targets),
    ]


def dataset_digest(data: DataConfig, prepare: PrepareConfig, contents: str, code: str) -> str:
    """Identity of a dataset: keys, contents of the source, code. Where the source lies is no part of it."""
    found = {"prepare": prepare.identity, "data": data.model_dump(exclude={*PATHS}), "source": contents, "code": code}
    beside = {"synonyms": file_digest(Path(data.synonyms))} if data.synonyms else {}
    return digest(found | beside)


def _write_splits(folder: Path, material: _Material) -> None:
    """Write each split in its stored order."""
    taken, samples = material.taken, material.overview.samples
    ids = keyed.sample_ids(samples.contents[taken.index])
    for i, name in enumerate(SPLITS):
        part = np.flatnonzero(taken.splits == i)
        part = part[keyed.storage_order(ids[part])]
        index, place = taken.index[part], folder / name
        make_dir(place)
        write_inputs(place, material.contents, index, material.layout)
        write_array(place / "labels.npy", material.labels_of(index))
        write_array(place / "ids.npy", ids[part])
        write_samples(place / "samples.parquet", ids[part], samples, index)


def _class_counts(labels: NDArray[Any], classes: tuple[str, ...]) -> list[int]:
    if not classes:
        return []
    counts = np.bincount(labels, minlength=len(classes)) if labels.ndim == 1 else labels.sum(0, dtype=np.int64)
    return [int(count) for count in counts]
