"""What `extensions.py` at the root of the project registers, by name: the only code of the user's that runs."""

from __future__ import annotations

import atexit
import importlib.util
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline import closure
from pipeline.errors import ConfigError, RegattaError

FILE = "extensions.py"
MODELS, BACKBONES, CALLBACKS, KINDS = "MODELS", "BACKBONES", "CALLBACKS", "KINDS"
BESIDE = "code"
"""The folder beside a trained network's weights that holds the file it was trained with, and what that imports."""
_unpacked: list[Path] = []
"""Where a worker elsewhere has what it was sent; or where the code lies that a trained network brings along."""


def folder() -> Path:
    """Where the file lies: what was sent here or came with a network, else the project that one stands in, else the root of
    this code."""
    stood = Path.cwd()
    return _unpacked[-1] if _unpacked else stood if (stood / FILE).is_file() else closure.ROOT


def digest() -> str:
    """Of all that the file says and imports of the user's own, comments and docstrings aside."""
    return closure.code_digest(FILE, root=folder())


def files() -> list[str]:
    """The file and what it imports of the user's own, relative to its folder."""
    return closure.import_closure(FILE, root=folder())


def packed() -> dict[str, bytes]:
    """What a worker elsewhere needs to have the same names."""
    return {name: (folder() / name).read_bytes() for name in files()}


def unpack(sent: Mapping[str, bytes]) -> None:
    """Take what was sent in place of what may lie here, until this process ends."""
    from pipeline.artifacts import make_dir, write_bytes

    place = Path(tempfile.mkdtemp(prefix="regatta-extensions-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    for name, content in sent.items():
        make_dir((place / name).parent)
        write_bytes(place / name, content)
    _unpacked.append(place)


def take_trained(trained: str, model: Path) -> bool:
    """Make the code of this digest what runs in this process; whether it is there.

    It is that of the project that one stands in, or lies beside the network in the folder `model`, as a file or in BESIDE,
    or above it, in its own project.
    """
    if _has(folder(), trained):
        return True
    at = model.absolute()
    found = next((place for place in (at, at / BESIDE, *at.parents) if _has(place, trained)), None)
    if found and _loaded.cache_info().currsize:
        raise ConfigError(
            f"{model}: its {FILE} is another one than that which this process runs; take it into a process of its own"
        )
    _unpacked.extend([found] if found else [])
    return found is not None


def take_from(place: Path) -> None:
    """Make the code in a folder what runs in this process, as its starter does."""
    _unpacked.append(place)


def came_along() -> Path | None:
    """Where the code that runs lies, if it is not that of the project."""
    return _unpacked[-1] if _unpacked else None


def _has(place: Path, trained: str) -> bool:
    """Whether the code there has this digest; what is no Python has none."""
    try:
        return (place / FILE).is_file() and closure.code_digest(FILE, root=place) == trained
    except (SyntaxError, ValueError):
        return False


def copy_to(place: Path) -> dict[str, str]:
    """Copy the file, and what it imports of the user's own, into a folder's BESIDE; their SHA-256 by their places there."""
    from pipeline.artifacts import copy_whole

    return {f"{BESIDE}/{name}": copy_whole(folder() / name, place / BESIDE / name) for name in files()}


def registered(kind: str) -> Mapping[str, Callable[..., Any]]:
    """The functions of a kind (MODELS, BACKBONES, CALLBACKS) by name; ConfigError where the file can't be read as that."""
    found = getattr(_loaded(folder()), kind, {})
    if not isinstance(found, Mapping) or not all(callable(each) for each in found.values()):
        raise ConfigError(
            f'{FILE}: {kind} = {found!r}: must be a dict of functions by name, such as {kind} = {{"my_model": my_model}}'
        )
    return found


def registered_objects(kind: str) -> Mapping[str, Any]:
    """The objects of a kind (KINDS) by name; ConfigError where the file can't be read as that."""
    found = getattr(_loaded(folder()), kind, {})
    if not isinstance(found, Mapping):
        raise ConfigError(f'{FILE}: {kind} = {found!r}: must be a dict by name, such as {kind} = {{"series": Series()}}')
    return found


def place_of(error: BaseException) -> str:
    """Where in the user's own files an error came up, such as "extensions.py, line 7"."""
    own = folder()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(own)]
    inside = [frame for frame in frames if "pipeline" not in Path(frame.filename).relative_to(own).parts[:1]]
    inside = [frame for frame in inside if ".venv" not in Path(frame.filename).parts]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}, line {error.lineno}"
    if not inside:
        last = traceback.extract_tb(error.__traceback__)[-1:]
        return f"{Path(last[0].filename).name}, line {last[0].lineno}" if last else FILE
    return f"{Path(inside[-1].filename).relative_to(own)}, line {inside[-1].lineno}"


def raised(error: Exception, what: str) -> ConfigError:
    """An error of the user's own code in words: what was done there, and where it came up."""
    said = " ".join(str(error).split())[:300]
    return ConfigError(f"{what} raised {type(error).__name__}: {said} ({place_of(error)})")


@contextmanager
def told(what: str, *apart: type[BaseException]) -> Iterator[None]:
    """Whatever the user's code raises as a ConfigError that says where; errors that are `apart` stay what they are."""
    try:
        yield
    except Exception as error:
        if isinstance(error, apart) or has_words(error):
            raise
        raise raised(error, what) from error


def has_words(error: Exception) -> bool:
    """Whether an error is told elsewhere: one of ours, or lack of memory, which is no fault of the code that met it."""
    lacking = any(words in str(error).lower() for words in ("out of memory", "allocate memory"))
    return lacking or isinstance(error, RegattaError | MemoryError)


@cache
def _loaded(place: Path) -> ModuleType:
    """Imported as `extensions`, with its folder first on the path so that it finds what lies beside it."""
    file = place / FILE
    if not file.is_file():
        raise ConfigError(f"{FILE}: there is none in {place}; take it back with `git checkout {FILE}`")
    sys.path.insert(0, str(place))
    spec = importlib.util.spec_from_file_location(Path(FILE).stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    # A network's folder, which DVC may keep or nobody may write to, stays as it is.
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, sys.dont_write_bytecode or place == came_along()
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{place_of(error)}: {type(error).__name__}: {error}; mend it, or `git checkout {FILE}`") from error
    finally:
        sys.dont_write_bytecode = before
    return module
