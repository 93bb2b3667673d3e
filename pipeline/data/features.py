"""Features of a dataset and of its augmented copies, made once by a pretrained network that stays as it is.

They are a dataset of their own in `runs/data/`, under the digest of all that they depend on, and training takes them for one:
any number of runs, and studies, share them. Where making them is stopped it goes on from its last whole chunk, to the same
bytes.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import artifacts
from pipeline.backbones.folder import KEY, Backbone
from pipeline.backbones.named import fitted, opened
from pipeline.closure import code_digest
from pipeline.data.dataset import Dataset, Manifest, Stored, open_dataset
from pipeline.data.intact import digests
from pipeline.data.views import RECORD, Views, open_views
from pipeline.errors import ConfigError
from pipeline.kinds.kind import FEATURES
from pipeline.progress import Display
from pipeline.schema.augment import AugmentConfig
from pipeline.schema.model import ModelConfig

if TYPE_CHECKING:
    from pipeline.backbones.loading import Extractor

HEADER = 128
"""Bytes of numpy's before the values."""
TRAINED, TESTED = ("train", "val"), ("train", "val", "test")
"""Splits whose features training needs, and a study that reads the test split."""


@dataclass(frozen=True)
class Made:
    """Features of a dataset by a network, made or not yet: what they are called."""

    backbone: Backbone
    of: Manifest
    device: str

    @property
    def manifest(self) -> Manifest:
        """As far as it is known before they are made: not the mean and deviation of each."""
        return replace(
            self.of, kind=FEATURES, shape=[self.backbone.width], dtype="float32", fit={}, lengths=None, digest=self.digest,
            details={}, telling={}, files={}, features_of=self.of.digest,
        )  # fmt: skip

    @property
    def digest(self) -> str:
        """Of the dataset, the network, the code and the libraries that make them of it."""
        code = code_digest("pipeline/backbones/loading.py", self.of.kind)
        libraries = [version("torch"), *self.backbone.libraries]
        return artifacts.digest([FEATURES, self.of.digest, self.backbone.digest, code, libraries, self.device])

    def path(self, splits: Sequence[str] = TRAINED) -> Path:
        """Where they lie; with the test split elsewhere, since training has no business there."""
        return artifacts.runs_root() / "data" / (self.digest if tuple(splits) == TRAINED else f"{self.digest}-test")

    def views_path(self, views: str) -> Path:
        """Where those of stored copies of a digest lie."""
        return artifacts.runs_root() / "data" / artifacts.digest([self.digest, views])


def as_features(data: Manifest, width: int) -> Manifest:
    """What training would read of a dataset of whose rows a network makes so many features, for trials that read no values."""
    fit = {"mean": [0.0] * width, "std": [1.0] * width}
    return replace(data, kind=FEATURES, shape=[width], dtype="float32", fit=fit, lengths=None, details={}, telling={}, files={})


def made_by(model: ModelConfig, data: Manifest, device: str) -> Made | None:
    """What a configuration's pretrained network makes of a dataset; None where it has none that stays as it is.

    ConfigError where its folder can't be used, or not for these samples.
    """
    if not model.makes_features:
        return None
    return Made(backbone_of(model, data), data, device)


def backbone_of(model: ModelConfig, data: Manifest) -> Backbone:
    """A configuration's pretrained network for a dataset; ConfigError where it can't be used, or not for these samples."""
    assert model.backbone is not None, "the schema has refused it"
    return fitted(opened(model.backbone, Path(model.backbone_path), data.kind), data.fit, data.shape, data.lengths)


def check_views(model: ModelConfig, policy: AugmentConfig) -> None:
    """ConfigError where features are to be made once, and of copies that are drawn anew each time."""
    if model.makes_features and policy.active and not policy.views:
        raise ConfigError(
            f"augment.views = 0: copies are drawn anew in each epoch, and {KEY} makes its features once; store some with "
            "augment.views=4, or take none with augment.strength=0"
        )


def features_of(made: Made, dataset: Dataset, augment: Path, splits: Sequence[str] = TRAINED) -> tuple[Dataset, Views]:
    """The features of a dataset and of the copies in a folder, made where they are missing."""
    return dataset_features(made, dataset, splits), views_features(made, augment)


def dataset_features(made: Made, dataset: Dataset, splits: Sequence[str] = TRAINED) -> Dataset:
    """Of a dataset alone."""
    path = made.path(splits)
    if not (path / "dataset.json").exists():
        with artifacts.held(path.with_name(f".{path.name}.lock")):
            _make(made, dataset, path, splits)
    return open_dataset(path)


def views_features(made: Made, augment: Path) -> Views:
    """Of stored copies; no copies are as they are."""
    views = open_views(augment)
    if not views.arrays:
        return views
    place = made.views_path(views.digest)
    if not (place / RECORD).exists():
        with artifacts.held(place.with_name(f".{place.name}.lock")):
            _make_views(made, views, augment, place)
    return open_views(place)


class Network:
    """Loaded when it is first needed: features that are there need neither it nor its library."""

    def __init__(self, made: Made) -> None:
        self.made = made

    @cached_property
    def extract(self) -> Extractor:
        from pipeline.backbones.loading import Extractor

        print(f"features: {self.made.backbone} makes {self.made.backbone.width} features of a sample, once", flush=True)
        return Extractor(self.made.backbone, tuple(self.made.of.shape), self.made.device)


def _make(made: Made, dataset: Dataset, path: Path, splits: Sequence[str]) -> None:
    if (path / "dataset.json").exists():  # by somebody else just now
        return
    work, network = path.with_name(f"{path.name}.unfinished"), Network(made)
    write_all({work / f"{name}.npy": dataset.split(name).stored for name in splits}, network)
    fit = _fitted(np.load(work / "train.npy", mmap_mode="r", allow_pickle=False))
    with artifacts.published_dir(path) as folder, artifacts.storage_errors(path):
        for name in splits:
            shutil.copytree(dataset.path / name, folder / name, ignore=shutil.ignore_patterns("inputs.npy", "offsets.npy"))
            (work / f"{name}.npy").rename(folder / name / "inputs.npy")
        manifest = replace(made.manifest, fit=fit, files=digests(folder))
        artifacts.write_json(folder / "dataset.json", asdict(manifest))
    shutil.rmtree(work)


def _make_views(made: Made, views: Views, augment: Path, place: Path) -> None:
    if (place / RECORD).exists():
        return
    work, network = place.with_name(f"{place.name}.unfinished"), Network(made)
    write_all({artifacts.view_path(work, v): rows for v, rows in enumerate(views.arrays)}, network)
    with artifacts.published_dir(place) as folder, artifacts.storage_errors(place):
        for file in sorted(work.iterdir()):
            file.rename(folder / file.name)
        record = artifacts.read_json(augment / RECORD) | {"files": digests(folder)}
        artifacts.write_json(folder / RECORD, record)
    shutil.rmtree(work)


def write_all(parts: Mapping[Path, Stored], network: Network) -> None:
    """Write the features of rows into files, with one display of how far all of it is."""
    unit = "window" if network.made.of.windows else "sample"
    done = sum(_done(file.stat().st_size - HEADER, len(rows), network) for file, rows in parts.items() if file.exists())
    with Display("features", unit, sum(map(len, parts.values())), done) as display:
        for file, rows in parts.items():
            write_features(rows, network, file, display.advance)


def write_features(rows: Stored, network: Network, file: Path, advance: Callable[[int], None]) -> None:
    """Write the features of all rows, from where an earlier writer was stopped on. advance: is told how many more are done."""
    import torch

    from pipeline.backbones.loading import CHUNK
    from pipeline.data.batches import Inputs

    artifacts.make_dir(file.parent)
    width = network.made.backbone.width
    with artifacts.storage_errors(file), file.open("a+b") as out:
        first = _begin(out, (len(rows), width))
        done = _done(out.tell() - first, len(rows), network)
        out.truncate(first + done * 4 * width)
        source = Inputs([rows], torch.device("cpu"), resident=False)
        for at in range(done, len(rows), CHUNK):
            end = min(at + CHUNK, len(rows))
            made = network.extract(source.take(np.arange(at, end)))
            out.write(made.numpy(force=True).data)
            out.flush()
            advance(end - at)


def _done(num_bytes: int, num: int, network: Network) -> int:
    """Rows in so many bytes: whole chunks, or all that there are."""
    from pipeline.backbones.loading import CHUNK

    row_bytes = 4 * network.made.backbone.width
    return num if num_bytes == num * row_bytes else max(0, num_bytes) // (CHUNK * row_bytes) * CHUNK


def _begin(out: Any, shape: tuple[int, int]) -> int:
    """The length of the file's header, written where there is none yet; the file is at its end then."""
    header = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, described)
    out.seek(0)
    if out.read(header.tell()) != header.getvalue():
        out.truncate(0)
        out.write(header.getvalue())
    out.seek(0, 2)
    return header.tell()


def _fitted(rows: NDArray[np.float32]) -> dict[str, list[float]]:
    """Mean and deviation of each feature over the training rows."""
    total, squares = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for at in range(0, len(rows), 4096):
        total += rows[at : at + 4096].sum(0, dtype=np.float64)
    mean = total / len(rows)
    for at in range(0, len(rows), 4096):
        squares += ((rows[at : at + 4096] - mean) ** 2).sum(0)
    return {"mean": mean.tolist(), "std": np.sqrt(squares / len(rows)).tolist()}
