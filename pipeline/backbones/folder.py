"""A published network's folder in the layout of Hugging Face: config.json, safetensors, and how inputs are made.

Looked at before anything is loaded: nothing in it may be executed, and what it lacks is named. Imports neither torch nor
transformers.
"""

from __future__ import annotations

import importlib.util
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipeline.artifacts import copy_whole, digest, file_digest, make_dir
from pipeline.errors import ConfigError, StorageError
from pipeline.kinds.pretrained import Recipe, kind_of_layout, part_of, pretrained_of

KEY = "model.backbone"
LAYOUT = "hf"
CONFIG, INDEX, WEIGHTS = "config.json", "model.safetensors.index.json", "model.safetensors"
SOURCE = "source.json"
"""Where it was fetched from, and what it was then (`hub`)."""
FOLDER = "backbone"
"""Beside a model.json, where its files went along."""
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".h5", ".msgpack", ".npz", ".npy")
OTHERS_CODE = ("auto_map", "custom_pipelines", "trust_remote_code")
"""Keys that name code to be loaded from the folder or from the network."""
UNREAD = ("quantization_config", "adapter_config", "transformers_weights")
"""Keys, or files of that name, for whose sake others than the network's own weights would be read."""
MOST_JSON, MOST_HEADER = 64 * 2**20, 100 * 2**20
INSTALL = "`pip install 'regatta[backbones]'`, in a clone `pip install -e '.[backbones]'`"


@dataclass(frozen=True)
class Backbone:
    """A network whose folder, or of one's own whose file, was found fit to be loaded."""

    path: Path
    """Its folder, or of one's own the file of its weights."""
    kind: str
    """Of the samples that it takes."""
    layout: str
    """Its `model_type`, or of one's own its name."""
    recipe: Recipe
    width: int
    """Features that it makes of a row; of one's own 0 until it is tried (`named.fitted`)."""
    weights: tuple[str, ...]
    files: Mapping[str, str]
    """SHA-256 of each file that is read, by name."""
    code: str | None = None
    """Of one's own the digest of `extensions.py`; None: it is a published one."""
    input: tuple[int, ...] = ()
    """Of one's own, the shape of a row as it takes it; likewise."""

    @property
    def is_own(self) -> bool:
        return self.code is not None

    @property
    def digest(self) -> str:
        """Of its files' contents, and of one's own code: where they lie and what else lies there is no part of it."""
        if self.code is not None:
            return digest({"layout": "own", "name": self.layout, "code": self.code, "files": dict(self.files)})
        return digest({"layout": LAYOUT, "files": dict(self.files)})

    @property
    def libraries(self) -> list[str]:
        """Versions of what builds it, beside torch; ConfigError where that is not there."""
        return [] if self.is_own else [library()]

    def file(self, name: str) -> Path:
        """Where one of its files lies."""
        return self.path if self.is_own else self.path / name

    def __str__(self) -> str:
        return f"{self.layout} in {self.path}"


def opened(path: Path, kind: str) -> Backbone:
    """The network in a folder, for samples of a kind; ConfigError names what of it can't be used, and what to do."""
    layout, recipe, width = check_described(path, kind)
    weights = _weights(path)
    names = [CONFIG, *part_of(kind).FILES, *weights, *([INDEX] if weights != (WEIGHTS,) else [])]
    files = {name: digest_of(path / name) for name in names}
    _check_source(path, files)
    return Backbone(path, kind, layout, recipe, width, weights, files)


def check_described(path: Path, kind: str) -> tuple[str, Recipe, int]:
    """Layout, recipe and width, by all that lies beside the weights; ConfigError names what can't be used."""
    config = json_of(there(path), CONFIG)
    layout, part = _layout(path, config, kind), part_of(kind)
    try:
        return layout, part.recipe(config, {name: _said_of(path, name) for name in part.FILES}), _width(config)
    except ValueError as error:
        raise refused(path, str(error)) from None


def _check_source(path: Path, files: Mapping[str, str]) -> None:
    """ConfigError where a file is no longer what was fetched."""
    known = json_of(path, SOURCE).get("files", {}) if (path / SOURCE).exists() else {}
    if other := [name for name, found in files.items() if known.get(name, found) != found]:
        raise refused(path, f"{other[0]} is no longer what {SOURCE} says was fetched; fetch it anew, or take {SOURCE} away")


def copy_backbone(backbone: Backbone, place: Path) -> None:
    """Its files elsewhere, byte for byte; StorageError where one is no longer what was trained with."""
    make_dir(place)
    for name, expected in backbone.files.items():
        if copy_whole(backbone.file(name), place / name) != expected:
            raise StorageError(f"{backbone.file(name)}: has changed while it was trained with; say the same command again")


def refused(path: Path, why: str, layout: str = LAYOUT) -> ConfigError:
    return ConfigError(f"{KEY} = {layout}:{path}: {why}")


def library() -> str:
    """The version of transformers; ConfigError where it is not there."""
    check_installed()
    return version("transformers")


def check_installed() -> None:
    """ConfigError where the library is not there that builds published networks."""
    if importlib.util.find_spec("transformers") is None:
        raise ConfigError(f"{KEY} needs transformers, which is not installed: {INSTALL}")


def there(path: Path) -> Path:
    """The folder; ConfigError where it is none."""
    if not path.is_dir():
        what = "is a file" if path.is_file() else "is not there"
        link = f"make the link with `regatta data link {path.name} FOLDER`, or say {KEY}={LAYOUT}:FOLDER"
        raise refused(path, f"the folder {what}; {link}")
    return path


def _layout(path: Path, config: Mapping[str, Any], kind: str) -> str:
    """Its model_type; ConfigError where it brings code of its own, or is not for samples of the kind."""
    named = [key for key in OTHERS_CODE if key in config]
    if named:
        raise refused(path, f"{CONFIG} has {named[0]}, which names code to be run; take a network that transformers has itself")
    if unread := [key for key in UNREAD if key in config or (path / f"{key}.json").exists()]:
        raise refused(path, f"it has {unread[0]}; only whole networks in float32, float16 or bfloat16 are taken")
    layout, part = config.get("model_type"), pretrained_of(kind)
    if part is None:
        raise refused(path, f"there is no backbone for data of kind {kind}; choose another model, such as model={kind}")
    if layout not in part.LAYOUTS:
        other = kind_of_layout(layout) if isinstance(layout, str) else None
        what = f"it takes data of kind {other}, and these are of kind {kind}" if other else f"model_type = {layout!r}"
        raise refused(path, f"{what}; for {kind} these are taken: {', '.join(part.LAYOUTS)}")
    return str(layout)


def _weights(path: Path) -> tuple[str, ...]:
    """The names of the files of its weights, each of which has a whole header and the length that this says."""
    several = (path / INDEX).exists() and not (path / WEIGHTS).exists()  # the order in which transformers looks
    names = shards_of(path) if several else (WEIGHTS,)
    for name in names:
        _check_whole(path, name)
    return names


def shards_of(path: Path) -> tuple[str, ...]:
    """The files of weights that an index names; ConfigError where it names none, or others."""
    shards = json_of(path, INDEX).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(_is_name(name) for name in shards.values()):
        raise refused(path, f"{INDEX} names no files of weights; take the folder from its source again")
    return tuple(sorted(set(shards.values())))


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and "/" not in name and not name.startswith(".")


def _check_whole(path: Path, name: str) -> None:
    if not (path / name).is_file():
        pickled = sorted(file.name for file in path.iterdir() if file.suffix in PICKLED)
        if pickled:
            raise refused(
                path,
                f"no {name}, only {pickled[0]}, which is not read, since such files can run code; take the folder with "
                "safetensors, or have who has it write it so (`model.save_pretrained(FOLDER)` with transformers)",
            )
        raise refused(path, f"no {name}; take the folder from its source again")
    if why := torn(path / name):
        raise refused(path, f"{name}: {why}; take the file from its source again")


def torn(file: Path) -> str | None:
    """Why this is no whole safetensors file, by its header; None: it is one."""
    size = file.stat().st_size
    with file.open("rb") as content:
        start = content.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(MOST_HEADER, size - 8):
            return "no safetensors file, or a torn one"
        try:
            header = json.loads(content.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            most = max(ends)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return "its header can't be read"
    if size != 8 + length + most:
        return f"has {size:,} bytes where its header says {8 + length + most:,}"
    return None


def _width(config: Mapping[str, Any]) -> int:
    sizes = config.get("hidden_sizes")
    width = sizes[-1] if isinstance(sizes, list) and sizes else config.get("hidden_size", config.get("dim"))
    if config.get("model_type") == "swin" and isinstance(config.get("embed_dim"), int):
        width = config["embed_dim"] * 2 ** (len(config.get("depths", [1])) - 1)
    if not isinstance(width, int) or not 1 <= width <= 65536:
        raise ValueError(f"{CONFIG}: hidden_size = {width!r}: how many features it makes is needed")
    return width


def _said_of(path: Path, name: str) -> Any:
    said = json_of(path, name)
    if named := [key for key in OTHERS_CODE if key in said]:
        raise refused(path, f"{name} has {named[0]}, which names code to be run; take the plain file")
    return said


def json_of(path: Path, name: str) -> dict[str, Any]:
    """A file's content; ConfigError where it is missing or no JSON object."""
    file = path / name
    if not file.is_file():
        raise refused(path, f"no {name}; it belongs to the network, take it from the same source")
    try:
        found = json.loads(file.read_bytes()) if file.stat().st_size <= MOST_JSON else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise refused(path, f"{name}: no JSON object of at most {MOST_JSON >> 20} MB; take the file from its source again")
    return found


def digest_of(file: Path) -> str:
    """SHA-256 of a file's content, computed once for each state of it in a process."""
    found = file.stat()
    return _digest_at(file.absolute(), found.st_size, found.st_mtime_ns, found.st_ino)


@cache
def _digest_at(file: Path, size: int, changed: int, number: int) -> str:
    return file_digest(file)
