"""The only file that knows paths and formats. A reader sees the old artifact or the new one, never a torn one.

Everything is written beside its place, synced and renamed; nothing goes through a temporary folder, which may lie on
another file system. All paths are relative to the current directory, which is the project's root.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import BusyError, StorageError

if TYPE_CHECKING:
    import pyarrow as pa

PARAMS = Path("params.yaml")
META = "regatta"
"""The metadata key of our safetensors files: a SHA-256 in hex and then JSON."""
DIGEST_LENGTH = 64
STAGES = ("prepare", "augment", "train", "evaluate", "study", "report")
CODE = "code"
"""What DVC runs before them: the digests of their code."""


def stage_dir(stage: str) -> Path:
    """The folder of a stage's artifacts."""
    return Path("artifacts") / stage


REJECTED = "rejected.csv"


def rejected_beside(dataset: Path) -> Path:
    """The list of what was not taken of data that was refused: beside the folder, which DVC empties and fills again."""
    return dataset.parent / REJECTED


def weights_digest(train: Path) -> str:
    """SHA-256 of the published weights' file, as model.json has it."""
    return str(read_json(train / "model.json")["weights_sha256"])


def view_path(folder: Path, view: int) -> Path:
    """The file of one view number in a folder of augmented copies."""
    return folder / f"views-{view:03d}.npy"


def offsets_path(folder: Path, view: int) -> Path:
    """Beside it, where rows are ragged: where each one's items begin."""
    return folder / f"views-{view:03d}-offsets.npy"


def runs_root() -> Path:
    """The folder of all records, which DVC never deletes; REGATTA_RUNS moves it, so that clones can share it.

    The temporary copy of a clone in which `dvc exp run --temp` works shares the clone's: DVC removes the copy.
    """
    return (copied_clone() or Path()) / os.environ.get("REGATTA_RUNS", "runs")


def copied_clone() -> Path | None:
    """The clone of which DVC has made the temporary copy that is the current directory; None where it is no such copy."""
    copies = (folder for folder in Path.cwd().parents if folder.parts[-3:] == (".dvc", "tmp", "exps"))
    return next((folder.parents[2] for folder in copies), None)


DIGESTS = "sha256.json"
"""In there: SHA-256 of the copies that only `regatta run` makes."""


def kept_dir(run: str) -> Path:
    """Where copies of what belongs to a run are kept beside it: `dvc.lock`, and files that Git keeps, under their own paths."""
    return runs_root() / run / "kept"


def cells_root() -> Path:
    """The folder of the results of studies' runs."""
    return runs_root() / "cells"


def digest(value: Any) -> str:
    """A 128-bit hex digest of JSON-like data, independent of the order of keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's error into one that names the file."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path}: can't be written or read ({error.strerror or error}); free space or check the rights, then repeat"
        ) from error


def copy_whole(source: Path, place: Path) -> str:
    """Copy a small file whole or not at all, with the folders above it; SHA-256 of its bytes."""
    with storage_errors(source):
        content = source.read_bytes()
    make_dir(place.parent)
    write_bytes(place, content)
    return hashlib.sha256(content).hexdigest()


def check_copy(path: Path, digest: str | None) -> None:
    """StorageError where a copy is no longer what was copied; None: it was not noted what it was."""
    if digest and path.exists() and file_digest(path) != digest:
        raise StorageError(f"{path}: torn or changed since it was kept; {remedy(path)}")


def make_dir(path: Path) -> None:
    """Make a folder, and those above it, where they are not there."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, in a folder that is there: one that has gone is not made again (see `make_dir`)."""
    with storage_errors(path), written_whole(path) as partial:
        partial.write_bytes(content)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A place beside a file to write to, little by little; it takes the file's place where all went well, else it goes."""
    partial = path.with_name(f"{path.name}.partial-{os.uname().nodename}-{os.getpid()}")
    try:
        yield partial
        with storage_errors(path):
            _sync(partial)
            partial.replace(path)
            _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def create_new(path: Path, content: bytes) -> bool:
    """Create a file that is not there; False where it is. Of all processes that try at once, on any host, one creates it."""
    with storage_errors(path):
        try:
            file = path.open("xb")
        except FileExistsError:
            return False
        try:
            with file:
                file.write(content)
        except OSError:
            path.unlink(missing_ok=True)
            raise
    return True


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all; a number that is not finite is an error."""
    write_bytes(path, (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read a record in JSON, or say which file is missing or torn."""
    try:
        with storage_errors(path):
            values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise StorageError(f"{path}: not whole JSON ({error}); {remedy(path)}") from None
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise StorageError(f"{path}: missing; run the stage that writes it (`dvc repro`)") from None
        raise
    if not isinstance(values, dict):
        raise StorageError(f"{path}: holds no record, but {values!r:.40}; {remedy(path)}")
    return values


def remedy(path: Path) -> str:
    """What brings a file back that is not whole, with a command to paste."""
    for folder in path.parents:
        if folder.parent == runs_root() / "data":
            return f"say `rm -r {folder}`, then the same command makes it anew"
        if folder.parent.name == "artifacts" and folder.name in STAGES[:4]:
            command = "regatta run"
            break
        if folder.parent.name == "study" and folder.parent.parent.name == "artifacts":
            command = f"regatta study {folder.name}"
            break
    else:
        return "take a whole copy of it, or delete it and say the same command again"
    return f"say `rm -r {folder}`, then `{command}`: it comes from DVC's cache or is made anew"


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a table with a header line. No cell is a formula to a spreadsheet; `read_csv` gives what was written."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    # The module leaves a carriage return as it is where lines end otherwise, and a reader then ends the row there.
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    for row in rows:
        cells = [*map(no_formula, row)]
        (quoting if any("\r" in str(cell) for cell in cells) else writer).writerow(cells)
    write_bytes(path, text.getvalue().encode())


def read_csv(path: Path, columns: Collection[str] = ()) -> list[dict[str, str]]:
    """Read a table with a header line as text; StorageError where it is torn or lacks one of the columns."""
    try:
        with storage_errors(path), path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            names, rows = reader.fieldnames or [], list(reader)
    except (ValueError, csv.Error) as error:
        raise StorageError(f"{path}: not a whole table ({error}); {remedy(path)}") from None
    if not set(columns) <= set(names) or any(None in row or None in row.values() for row in rows):
        raise StorageError(f"{path}: not a whole table with the columns {', '.join(columns or names)}; {remedy(path)}")
    return [{name: _as_written(cell) for name, cell in row.items()} for row in rows]


def read_parquet(path: Path, columns: Collection[str], perhaps: Collection[str] = ()) -> pa.Table:
    """Columns of a table, in their order, then those that it has `perhaps`.

    StorageError where it is missing, torn or lacks one of the columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if lacking := set(columns) - set(names):
                raise StorageError(f"{path}: lacks the columns {', '.join(sorted(lacking))}; {remedy(path)}")
            return file.read([*columns, *(name for name in perhaps if name in names)])
    except (OSError, pa.ArrowException) as error:
        said = " ".join(str(error).split())
        raise StorageError(f"{path}: missing or not a whole table ({said}); {remedy(path)}") from None


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table, into a folder that is being published."""
    import pyarrow.parquet as pq

    with storage_errors(path):
        pq.write_table(table, path, compression="zstd")


_FORMULA = re.compile("'*[=+@\\-\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a cell begins that a spreadsheet would compute (OWASP, CSV injection), or that looks like one kept from it."""


def no_formula(cell: Any) -> Any:
    """A cell with ' before it where it could be a formula; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) and not _is_number(cell) else cell


def _as_written(cell: str) -> str:
    return cell[1:] if isinstance(cell, str) and cell.startswith("'") and _FORMULA.match(cell) else cell


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell) is not None


def append_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append one line of JSON per row."""
    append_lines(path, [_line(row) for row in rows])


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one line of JSON per row, whole or not at all."""
    write_bytes(path, "".join(f"{_line(row)}\n" for row in rows).encode())


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, allow_nan=False, ensure_ascii=False)


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Append lines of text to a file in a folder that is there; a torn last line stays one by itself."""
    with storage_errors(path), path.open("ab+") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        torn = file.read(1) not in (b"", b"\n")
        file.write(("\n" * torn + "".join(f"{line}\n" for line in lines)).encode())


def read_jsonl(path: Path, most: int | None = None) -> list[dict[str, Any]]:
    """Read the whole lines of a file of JSON lines, or the first of them; a torn last line (a killed writer) is left out.

    StorageError where another line is none.
    """
    if not path.exists():
        return []
    with storage_errors(path):
        lines = path.read_bytes().split(b"\n")[:-1]
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line]
    return [_record_in(line, path, number) for number, line in numbered[:most]]


def _record_in(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise StorageError(
            f"{path}: line {number} is no whole record in JSON; take it out with `sed -i {number}d {path}`, or {remedy(path)}"
        )
    return values


@contextlib.contextmanager
def published_dir(path: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of `path` when the block ends well and vanishes when it does not.

    What a killed writer has left beside `path` is removed; the caller is the only writer (see `held`).
    """
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    old = path.with_name(f"{path.name}.partial-old-{os.getpid()}")
    with storage_errors(path):
        for left in path.parent.glob(f"{path.name}.partial-*"):
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir(parents=True)
    try:
        yield partial
        with storage_errors(path):
            for file in sorted(partial.rglob("*")):
                if file.is_file():
                    sync_file(file)
            for folder in [partial, *(f for f in partial.rglob("*") if f.is_dir())]:
                _sync(folder)
            if path.exists():
                path.rename(old)
            partial.rename(path)
            _sync(path.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def save_tensors(path: Path, tensors: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Save arrays and JSON-like `meta` as one safetensors file that carries its own digest."""
    from safetensors.numpy import save

    arrays = {name: np.ascontiguousarray(array) for name, array in sorted(tensors.items())}
    text = json.dumps(meta, sort_keys=True, allow_nan=False)
    # One key: safetensors writes several in an order that differs from process to process.
    write_bytes(path, save(arrays, metadata={META: _tensor_digest(arrays, text) + text}))


def load_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Arrays and `meta` of a file of `save_tensors`; StorageError where it is missing, torn or changed. Executes nothing."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise StorageError(f"{path}: missing; run the stage that writes it (`dvc repro`)")
    try:
        with safe_open(path, framework="numpy") as file:
            header = (file.metadata() or {}).get(META, "")
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, OSError) as error:
        raise StorageError(f"{path}: not a whole safetensors file ({error}); {remedy(path)}") from None
    expected, text = header[:DIGEST_LENGTH], header[DIGEST_LENGTH:]
    if expected != _tensor_digest(arrays, text):
        raise StorageError(
            f"{path}: its content does not match its own digest (a flipped bit or a foreign file); {remedy(path)}"
        )
    return arrays, json.loads(text)


def tensors_digest(path: Path) -> str:
    """The digest that a file of `save_tensors` carries, unchecked; empty where there is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return str((file.metadata() or {}).get(META, ""))[:DIGEST_LENGTH]
    except (SafetensorError, OSError):
        return ""


def _tensor_digest(arrays: Mapping[str, NDArray[Any]], text: str) -> str:
    hashed = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        hashed.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        hashed.update(array.data if array.ndim else array.tobytes())
    return hashed.hexdigest()


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock file for this process alone; BusyError names the holder. The lock ends with the process."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8", errors="replace")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise BusyError(f"{path}: held by {file.read().strip() or 'another process'}; wait for it or end it") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        file.flush()
        yield


def check_free(path: Path) -> None:
    """BusyError, at once, where another process holds a lock file: for a look before what takes long."""
    if path.exists():
        with held(path):
            pass


def abandoned(path: Path) -> bool:
    """Whether the process that was the last to hold a lock file was one of this machine and has ended. Locks nothing."""
    words = path.read_text(encoding="utf-8", errors="replace").split() if path.exists() else []
    here = words[3:] == [os.uname().nodename]
    return not words or (here and not Path("/proc", words[1]).exists())


def sync_file(path: Path) -> None:
    """Wait until what was written is on the disk."""
    with storage_errors(path):
        _sync(path)


def _sync(path: Path) -> None:
    """Of a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
