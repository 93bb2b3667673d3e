"""From a source to a dataset on disk: scan, decode, split, write. Reads from top to bottom."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.artifacts import REJECTED, digest, file_digest, make_dir, rejected_beside, write_csv, write_json
from pipeline.data.dataset import FORMAT, SPLITS, Manifest, manifest_dict
from pipeline.data.intact import digests
from pipeline.kinds.kind import Layout
from pipeline.kinds.leaks import leaks_of
from pipeline.kinds.reading import reading_of
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
from pipeline.prepare.overview import check_left, divided, laid, overview_of, selected
from pipeline.prepare.parallel import num_workers
from pipeline.prepare.scan import Samples, source_digest
from pipeline.prepare.selection import Taken
from pipeline.prepare.sources import open_source, source_of
from pipeline.prepare.splits import TRAIN
from pipeline.prepare.telling import note, telling_features
from pipeline.prepare.writing import Decoded, decoded, portions, spread, write_array, write_inputs, write_samples
from pipeline.schema.data import PATHS, DataConfig
from pipeline.schema.prepare import PrepareConfig


def build_dataset(data: DataConfig, prepare: PrepareConfig, folder: Path, code: str, workers: int | None = None) -> Manifest:
    """Write the dataset that the two sections describe into an empty folder. `code`: digest of the code that does it.

    Where the data is refused, the samples that were not taken are listed beside the folder, which its owner removes.
    The same input gives the same bytes, whatever the order of the file system and the number of worker processes.
    """
    workers = workers or num_workers()
    elsewhere = rejected_beside(folder)
    elsewhere.unlink(missing_ok=True)
    kind, bad = reading_of(data.kind), prepare.max_bad_fraction
    overview = overview_of(open_source(data), data, workers)
    refusing = partial(listed, overview.samples, place=elsewhere)
    check_quarantine(
        overview.samples, overview.samples.problems, bad, refusing(overview.samples.problems), overview.source.hints
    )

    readable, chosen = selected(overview, prepare)
    layout, told = laid(overview.samples, readable, data)
    scratch = folder / "decoded.partial"
    contents = decoded(overview.source, overview.samples, chosen, kind, data, layout, scratch, workers)
    overview = overview.without(contents.problems)
    source, samples = overview.source, overview.samples
    check_quarantine(samples, samples.problems, bad, refusing(samples.problems), source.hints)

    readable, chosen = (index[~np.isin(index, list(contents.problems))] for index in (readable, chosen))
    division = divided(overview, readable, chosen, prepare, refusing)
    classes, labels, taken = division.classes, division.labels, division.taken
    leaks = None if layout.windows else leaks_of(data.kind)
    if leaks and prepare.alike != "off":
        taken = without_alike(leaks, contents, taken, samples, layout, prepare.alike == "leave_out", folder)
        check_left(taken, prepare, refusing(samples.problems | taken.dropped))
    own_labels = labels[samples.labels[taken.index]]
    telling = telling_features(leaks, contents, taken, own_labels, layout, data) if leaks else None
    told += [note(telling)] if telling else []
    rejected = samples.problems | taken.dropped

    fit, fitted = kind.fit(portions(contents, taken.index[taken.splits == TRAIN], layout), layout)
    _write_splits(folder, samples, taken, labels, contents, layout)
    scratch.unlink()
    write_csv(folder / REJECTED, COLUMNS, table(samples, rejected | conflicts_listed(division.apart, taken)))
    contents_digest = source_digest(samples)
    per_split = {name: labels[samples.labels[taken.index[taken.splits == i]]] for i, name in enumerate(SPLITS)}
    manifest = Manifest(
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
        num_rejected=len(rejected),
        notes=[
            *source.notes,
            *overview.notes,
            *told,
            *notes(division.apart, readable, chosen, taken, classes, fitted),
            *numbers.notes(per_split, division.targets),
        ],
        targets=division.targets,
        target_fit=division.target_fit,
        telling=telling._asdict() if telling else {},
        data=data.model_dump(exclude={*PATHS}),
        details={key: value for key, value in layout.details.items() if key not in fit or fit[key] != value},
        files=digests(folder),
    )
    write_json(folder / "dataset.json", manifest_dict(manifest))
    return manifest


def dataset_digest(data: DataConfig, prepare: PrepareConfig, contents: str, code: str) -> str:
    """Identity of a dataset: keys, contents of the source, code. Where the source lies is no part of it."""
    found = {"prepare": prepare.identity, "data": data.model_dump(exclude={*PATHS}), "source": contents, "code": code}
    beside = {"synonyms": file_digest(Path(data.synonyms))} if data.synonyms else {}
    return digest(found | beside)


def _write_splits(
    folder: Path, samples: Samples, taken: Taken, labels: NDArray[Any], contents: Decoded, layout: Layout
) -> None:
    """Write each split in its stored order."""
    ids = keyed.sample_ids(samples.contents[taken.index])
    for i, name in enumerate(SPLITS):
        part = np.flatnonzero(taken.splits == i)
        part = part[keyed.storage_order(ids[part])]
        index, place = taken.index[part], folder / name
        make_dir(place)
        write_inputs(place, contents, index, layout)
        write_array(place / "labels.npy", labels[samples.labels[index]])
        write_array(place / "ids.npy", ids[part])
        write_samples(place / "samples.parquet", ids[part], samples, index)


def _class_counts(labels: NDArray[Any], classes: tuple[str, ...]) -> list[int]:
    if not classes:
        return []
    counts = np.bincount(labels, minlength=len(classes)) if labels.ndim == 1 else labels.sum(0, dtype=np.int64)
    return [int(count) for count in counts]
