"""Which kind and source data are, by their contents: for `data.path=PATH` where nobody says `data=...`.

Nothing is guessed that would decide what is learned: the label is a column of the name `label`, or is asked for.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import ConfigError, DataError
from pipeline.kinds.keys import keys_of
from pipeline.kinds.words import num_words, quoted
from pipeline.prepare.sources.headless import TEXT_WORDS, Headless, refusal
from pipeline.prepare.sources.idx import IMAGES
from pipeline.prepare.sources.layout import beside_of, is_hidden
from pipeline.prepare.sources.parquet import first_cells
from pipeline.prepare.sources.row_files import first_headless, first_line, first_rows
from pipeline.prepare.sources.tree import Folder
from pipeline.processes import one_line
from pipeline.wording import some

MOST_FILES = 5000
"""Names that are looked at; beginnings of files are read of a few."""
TRIED = 20
PICTURES = {"png", "jpg", "jpeg", "jpe", "jfif", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm", "jp2", "avif"}
SOUNDS = {"wav", "flac", "mp3", "ogg", "opus", "m4a", "aac", "aif", "aiff", "wma", "amr", "au", "w64", "caf"}
TEXTS = {"txt", "md", "html", "htm", "xml", "json"}
ARCHIVES = {"zip", "tar", "tgz", "gz", "bz2", "xz", "7z", "rar", "zst"}
_BEGINNINGS = {
    b"\x89PNG": "picture", b"\xff\xd8\xff": "picture", b"GIF8": "picture", b"BM": "picture", b"II*\0": "picture",
    b"MM\0*": "picture", b"RIFF": "sound", b"fLaC": "sound", b"ID3": "sound", b"OggS": "sound", b"PK\3\4": "archive",
    b"\x1f\x8b": "archive",
}  # fmt: skip
_TABLES = ("csv", "tsv", "tab", "jsonl", "ndjson")
_TABLE = "a table of numbers and categories"
LABEL = "label"
_ALONE = {
    "picture": "one image; name the folder with all of them",
    "archive": "an archive; unpack it and name its folder",
    "sound": "one sound; name the folder with all of them",
    "text": "one text; name the folder with all of them, .txt files in a folder for each class",
}
_MANY_NUMBERS = 16
_NO_STEMS: set[str] = set()


@dataclass(frozen=True)
class Recognised:
    """What data are."""

    what: str
    """In words."""
    source: str
    """The file of conf/data."""
    also: tuple[str, ...] = ()
    """Others that can read the same."""
    keys: tuple[str, ...] = ()
    """Further overrides."""
    columns: tuple[str, ...] | None = None
    """Of a table: one of them is the label."""
    headless: Headless | None = None
    """Of a table whose first line may be a row."""


def recognised(path: Path, named: str, header: Sequence[str] = ()) -> Recognised:
    """What a file or folder holds; ConfigError where that can't be read, or not be told.

    named: the override, to tell. header: names of a table's columns that are said beside it.
    """
    found = _of_folder(path, named, header) if path.is_dir() else _of_file(path, named, header)
    if found is None:
        raise ConfigError(
            f"{named}: not recognised ({_what_is_there(path)}); say which it is: data=folder (a folder per class), data=csv or "
            "data=parquet (images named or held by a table), data=table (numbers and categories), data=audio (sounds), "
            "data=text (texts in a table, or a folder per class of .txt files), data=idx"
        )
    return found


def label_missing(found: Recognised, named: str) -> str | None:
    """Why a table's label is not known where nobody names it, with the command to do so; None where it is."""
    if found.columns is None or LABEL in found.columns:
        return None
    row, text = found.headless, "text" if found.source == "text" else None
    command = row.command(LABEL, text, f"{named} ") if row else ""
    if row and row.surely:
        return f"{named}: {found.what}; {refusal(row, command)}"
    listed = some(found.columns, "column", 40)
    return (
        f"{named}: {found.what}, and which column is the label is not said: it has {listed}. Name it:\n"
        f"  regatta run {named} data.label=COLUMN"
    ) + (f"\nIf the first line ({row.shown}) is a row like the others, name the columns:\n  {command}" if row else "")


# --- Folders


def _of_folder(path: Path, named: str, header: Sequence[str]) -> Recognised | None:
    folders = list(itertools.islice(Folder(path, beside=lambda name: False).walk(), MOST_FILES))
    files = list(itertools.islice((folder.path / name for folder in folders for name in folder.files), MOST_FILES))
    kinds = _counted(files)
    kinds["IDX file"] = sum(bool(IMAGES.fullmatch(file.name)) for file in files)
    several = [f"{kinds[kind]} {kind}s" for kind in ("picture", "sound", "Parquet file", "IDX file") if kinds[kind]]
    if len(several) > 1:
        raise ConfigError(f"{named}: {', '.join(several)} in one folder; name the folder or file of one of them")
    if kinds["IDX file"]:
        return Recognised("files of the MNIST family", "idx")
    if kinds["Parquet file"]:
        return _of_parquet([file for file in files if _suffix(file) == "parquet"], named)
    tables = [file for file in files if _suffix(file) in _TABLES]
    for kind in ("picture", "sound"):
        if kinds[kind] > (0 if kind == "picture" else kinds["text"]):
            stems = {file.stem for file in files if _kind_of_name(file) == kind}
            listed = next((found for table in tables if (found := _of_csv(table, named, header, stems))), None)
            return listed if listed and len(_class_folders(path, kind)) < 2 else _in_folders(kind, bool(tables))
    if tables and not [folder for folder in folders if folder.path != path and folder.files]:
        return _of_csv(tables[0], named, header)
    if kinds["text"]:
        return _of_texts(files, named, path)
    return None


def _class_folders(path: Path, kind: str) -> list[Folder]:
    return Folder(path, beside_of(keys_of("audio").DATA) if kind == "sound" else None).filled


def _in_folders(kind: str, tables: bool) -> Recognised:
    if kind == "sound":
        return Recognised("sounds in class folders", "audio")
    return Recognised("images in class folders", "folder", also=("csv",) if tables else ())


def _of_texts(files: Sequence[Path], named: str, path: Path) -> Recognised:
    if not any(_suffix(file) == "txt" for file in files):
        raise ConfigError(f"{named}: texts ({_what_is_there(path)}), of which .txt files are read: turn them into such")
    return Recognised("texts in class folders", "text")


def _counted(files: Sequence[Path]) -> Counter[str]:
    """Files by what they are: by their names, and where these say nothing by how the first ones begin."""
    kinds = Counter[str]()
    unsaid = []
    for file in files:
        kind = _kind_of_name(file)
        kinds.update([kind] if kind else [])
        unsaid += [] if kind else [file]
    for file in unsaid[:TRIED]:
        kinds.update(filter(None, [_kind_of_beginning(_beginning(file))]))
    return kinds


def _kind_of_name(file: Path) -> str | None:
    suffix = _suffix(file)
    groups = {"picture": PICTURES, "sound": SOUNDS, "text": TEXTS, "archive": ARCHIVES, "Parquet file": {"parquet"}}
    groups["table"] = {*_TABLES}
    return next((kind for kind, suffixes in groups.items() if suffix in suffixes), None)


def _suffix(file: Path) -> str:
    """The last one; of a packed table the one before."""
    stem, _, last = file.name.lower().rpartition(".")
    inner = stem.rpartition(".")[2]
    return inner if last == "gz" and inner in _TABLES else last if stem else ""


def _beginning(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(16)
    except OSError:
        return b""  # told by who reads the data


def _kind_of_beginning(content: bytes) -> str | None:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "picture"
    return next((kind for start, kind in _BEGINNINGS.items() if content.startswith(start)), None)


def _what_is_there(path: Path) -> str:
    """Such as "12 .wav files"."""
    if path.is_file():
        return f"a {path.suffix} file" if path.suffix else "a file without a suffix"
    files = (file for file in path.rglob("*") if not is_hidden(file.name) and file.is_file())
    num = Counter(file.suffix.lower() or "no suffix" for file in itertools.islice(files, MOST_FILES))
    return ", ".join(f"{count} of {one_line(suffix)}" for suffix, count in num.most_common(3)) or "no files"


# --- Tables


def _of_file(path: Path, named: str, header: Sequence[str]) -> Recognised | None:
    if IMAGES.fullmatch(path.name):
        return Recognised("files of the MNIST family", "idx")
    if _suffix(path) in _TABLES:
        return _of_csv(path, named, header)
    if _suffix(path) == "parquet":
        return _of_parquet([path], named)
    kind = _kind_of_beginning(_beginning(path)) or _kind_of_name(path)
    if kind in _ALONE:
        raise ConfigError(f"{named}: {_ALONE[kind]}")
    return None


def _of_csv(table: Path, named: str, header: Sequence[str], stems: set[str] | None = None) -> Recognised | None:
    """A table of images, of texts, or of numbers and categories.

    stems: names of images beside it, so that only the first is meant.
    """
    rows = first_rows(table, header)
    if not rows and stems is None:
        raise DataError(f"{named}: a table without a row (it has {some(first_line(table), 'column', 40)}); give one with rows")
    columns = tuple(rows[0]) if rows else ()
    cells = {name: [row[name] for row in rows if row[name].strip()] for name in columns}
    if image := _names_files("picture", cells, table.parent, stems or set()):
        return _images("a table of image files", "csv", image, columns, ("table", "folder"))
    if sound := _names_files("sound", cells, table.parent, stems or set()):
        return _sounds("a table of sound files", sound, columns)
    if stems is not None:
        return None
    found = _of_texts_in(cells, columns) or Recognised(_TABLE, "table", ("csv", "text"), columns=columns)
    return found if header else replace(found, headless=first_headless(table))


def _images(what: str, source: str, column: str, columns: Sequence[str], also: tuple[str, ...] = ()) -> Recognised:
    keys = () if column == "image" else (f"data.image={quoted(column)}",)
    return Recognised(f"{what} (column {one_line(column)})", source, also, keys, tuple(columns))


def _sounds(what: str, column: str, columns: Sequence[str]) -> Recognised:
    keys = () if column == "audio" else (f"data.audio={quoted(column)}",)
    return Recognised(f"{what} (column {one_line(column)})", "audio", (), keys, tuple(columns))


def _names_files(kind: str, cells: Mapping[str, Sequence[str]], folder: Path, stems: set[str] = _NO_STEMS) -> str | None:
    """The column whose cells are names of files of a kind, or ids that are; the one that is called so where several are."""

    def are_names(texts: Sequence[str]) -> bool:
        return bool(texts) and all(text.strip() in stems or _names_one(kind, text, folder) for text in texts[:TRIED])

    found = [name for name, texts in cells.items() if are_names(texts)]
    return next((name for name in found if name in ("image", "audio")), next(iter(found), None))


def _names_one(kind: str, text: str, folder: Path) -> bool:
    """By its suffix, or as a file that begins like one."""
    name = text.strip().replace("\\", "/")
    if name.rpartition(".")[2].lower() in (PICTURES if kind == "picture" else SOUNDS):
        return True
    return "\0" not in name and _kind_of_beginning(_beginning(folder / name)) == kind


def _of_texts_in(cells: Mapping[str, Sequence[str]], columns: Sequence[str]) -> Recognised | None:
    """A table in which texts are all that could be learned from, the longest ones."""
    words = {name: sum(map(num_words, own)) / len(own) for name, own in cells.items() if own}
    texts = [name for name in words if words[name] >= TEXT_WORDS and name != LABEL]
    others = [name for name in cells if name not in texts and name != LABEL]
    if not texts or len(others) > 1:
        return None
    name = max(texts, key=lambda name: words[name])
    keys = () if name == "text" else (f"data.text={quoted(name)}",)
    return Recognised(f"a table of texts (column {one_line(name)})", "text", ("table",), keys, tuple(columns))


def _are_arrays(values: Sequence[object]) -> bool:
    """Whether cells may hold pixels: lists in a list, or as many numbers in each."""
    lists = [value for value in values if isinstance(value, list) and value]
    nested = any(isinstance(value[0], list) for value in lists)
    return nested or (bool(lists) and len({*map(len, lists)}) == 1 and len(lists[0]) >= _MANY_NUMBERS)


def _check_no_series(cells: Mapping[str, Sequence[object]], named: str) -> None:
    """ConfigError where cells hold lists of numbers, as many as it happens."""
    for name, values in cells.items():
        lengths = sorted({len(value) for value in values if isinstance(value, list) and value})
        numbers = [value for value in values if isinstance(value, list) and value and isinstance(value[0], float | int)]
        if name != LABEL and numbers and (len(lengths) > 1 or isinstance(numbers[0][0], float)):
            raise ConfigError(
                f"{named}: lists of {lengths[0]} to {lengths[-1]} numbers (column {one_line(name)}), which are series: no kind "
                "that comes along reads them, a kind of your own does (docs/kinds.md); data=table reads a number in a column"
            )


def _of_parquet(files: Sequence[Path], named: str) -> Recognised:
    """Images in cells, or named by them, or texts, or numbers and categories."""
    cells = first_cells(files[0])
    columns = tuple(cells)
    for name, values in cells.items():
        kinds = {_kind_of_beginning(value) for value in values if isinstance(value, bytes)}
        if "sound" in kinds:
            return _sounds("sounds in Parquet", name, columns)
        if kinds == {"picture"} or (name != LABEL and _are_arrays(values)):
            return _images("images in Parquet", "parquet", name, columns)
    _check_no_series(cells, named)
    texts = {name: [str(value) for value in values if value is not None] for name, values in cells.items()}
    if image := _names_files("picture", texts, files[0].parent):
        return _images("a table of image files", "parquet", image, columns, ("table",))
    if sound := _names_files("sound", texts, files[0].parent):
        return _sounds("a table of sound files", sound, columns)
    return _of_texts_in(texts, columns) or Recognised(_TABLE, "table", ("parquet", "text"), columns=columns)
