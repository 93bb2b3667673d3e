"""The files of the MNIST family (MNIST, Fashion-MNIST, EMNIST, KMNIST, ...), compressed or not.

Format (http://yann.lecun.com/exdb/mnist): two zero bytes, the type (8: uint8), the number of dimensions, their sizes as
big-endian int32, the values.
"""

from __future__ import annotations

import gzip
import math
import re
import shlex
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, cast

import numpy as np

from pipeline.errors import DataError
from pipeline.prepare.raw import Raw, Source, portioned
from pipeline.prepare.sources.layout import readable_name
from pipeline.prepare.sources.tree import Folder
from pipeline.schema.data import DataConfig

IMAGES = re.compile(r"(?P<family>.*?)(?P<split>train|t10k|test|val)-images[-.]idx[34]-ubyte(\.gz)?")
_SPLITS = {"train": "train", "t10k": "test", "test": "test", "val": "val"}
_CHUNK_BYTES = 4 * 2**20


class _Pair(NamedTuple):
    images: Path
    labels: Path
    split: str | None
    shape: tuple[int, ...]


def open_idx(path: Path, data: DataConfig) -> Source:
    """The images and labels in a folder or in the one below it, or of one images file whose labels lie beside it.

    Test files (t10k) beside training files are the given test split.
    """
    place = path if path.is_file() else _place(path)
    pairs = [_pair(images, split) for images, split in _found(place)]

    def read() -> Iterator[Raw]:
        for pair in pairs:
            yield from _read_pair(pair)

    notes = () if place == path else (f"the files are those of {readable_name(place.relative_to(path))}",)
    return Source("single", portioned(read), sum(pair.shape[0] for pair in pairs), None, notes)


def _place(path: Path) -> Path:
    """The folder itself if the files lie in it, or the only one below it in which they do (MNIST/raw)."""
    places = [folder.path for folder in Folder(path).walk() if any(map(IMAGES.fullmatch, folder.files))]
    if path in places or not places:
        return path
    if len(places) > 1:
        commands = "".join(f"\n  regatta run data.path={shlex.quote(str(place))}" for place in places[:5])
        raise DataError(f"{path}: {len(places)} folders hold such files; choose one of them:{commands}")
    return places[0]


def _found(path: Path) -> list[tuple[Path, str | None]]:
    """Images files and their splits; one file alone is not a given split but what all splits are cut from."""
    if path.is_file():
        return [(path, None)]
    found: dict[str, Path] = {}
    families = set()
    for name in Folder(path).files:
        if match := IMAGES.fullmatch(name):
            families.add(match["family"] or "no prefix")
            # Sorted: of a file and its compressed copy the file comes first.
            found.setdefault(_SPLITS[match["split"]], path / name)
    if len(families) > 1:
        raise DataError(
            f"{path}: several datasets in one folder ({', '.join(sorted(families))}); give each a folder of its own"
        )
    if not found or (len(found) > 1 and "train" not in found):
        raise DataError(f"{path}: no train-images-idx3-ubyte, compressed (.gz) or not; check data.path and data.source")
    return [(file, split if len(found) > 1 else None) for split, file in sorted(found.items())]


def _pair(images: Path, split: str | None) -> _Pair:
    stem = re.sub(r"[-.]idx\d-ubyte(\.gz)?$", "", images.name.replace("images", "labels"))
    names = [f"{stem}{mark}idx1-ubyte{suffix}" for suffix in ("", ".gz") for mark in "-."]
    labels = next((file for file in map(images.with_name, names) if file.is_file()), None)
    if labels is None:
        raise DataError(f"{images}: its labels are missing; put {names[0]} beside it, compressed (.gz) or not")
    shape, (num_labels,) = _shape(images, (3, 4)), _shape(labels, (1,))
    if shape[0] != num_labels:
        raise DataError(f"{images}: {shape[0]} images, but {labels.name} has {num_labels} labels; get both files again")
    return _Pair(images, labels, split, shape)


def _shape(path: Path, dims: tuple[int, ...]) -> tuple[int, ...]:
    with _opened(path) as file:
        head = _exactly(file, 4, path)
        if head[:3] != b"\0\0\x08" or head[3] not in dims:
            raise DataError(f"{path}: not an IDX file of bytes in {' or '.join(map(str, dims))} dimensions; get it again")
        return tuple(int.from_bytes(_exactly(file, 4, path), "big") for _ in range(head[3]))


def _read_pair(pair: _Pair) -> Iterator[Raw]:
    """Images as arrays, in portions; a file whose length is not what its header says is refused at the latest at its end."""
    num, *shape = pair.shape
    size = math.prod(shape)
    if not 0 < size <= 2**29:
        raise DataError(f"{pair.images}: its header says images of {' x '.join(map(str, shape))}; get the file again")
    step = max(1, _CHUNK_BYTES // size)
    with _opened(pair.images) as images, _opened(pair.labels) as labels:
        _exactly(images, 4 + 4 * len(pair.shape), pair.images)
        _exactly(labels, 8, pair.labels)
        for at in range(0, num, step):
            count = min(step, num - at)
            values = np.frombuffer(_exactly(images, count * size, pair.images), np.uint8).reshape(count, *shape)
            names = _exactly(labels, count, pair.labels)
            for i in range(count):
                yield Raw(readable_name(pair.images.name), at + i, (str(names[i]),), values[i], size, split=pair.split)
        _exactly(images, 0, pair.images, last=True)
        _exactly(labels, 0, pair.labels, last=True)


def _opened(path: Path) -> IO[bytes]:
    """The file, decompressed if its first bytes say so."""
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        return cast(IO[bytes], gzip.open(path)) if compressed else path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from None


def _exactly(file: IO[bytes], num: int, path: Path, last: bool = False) -> bytes:
    """The next `num` bytes, after the `last` of which nothing may follow."""
    try:
        found = file.read(num)
        more = last and file.read(1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged ({error}); get it again") from None
    if len(found) < num or more:
        raise DataError(f"{path}: {'longer' if more else 'shorter'} than its header says; get it again")
    return found
