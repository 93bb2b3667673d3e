"""`regatta runs`: what was trained here: on which data, which model, with which results, and in what the runs differ."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.artifacts import abandoned, kept_dir, read_json, runs_root, stage_dir, weights_digest
from pipeline.commands.compose import shortened
from pipeline.config import CONF, Values, differences, read_values
from pipeline.errors import ConfigError, StorageError
from pipeline.overrides import read_overrides
from pipeline.report.words import columns, number, percent, short
from pipeline.runs.find import all_runs
from pipeline.runs.folder import RunFolder
from pipeline.schema.reading import flat
from pipeline.study.wording import setting

ASIDE = ("study", "report", "cluster", "tracking")
"""Sections that decide nothing of a run."""
COLUMNS = ("run", "data", "model", "best", "val loss", "test", "state")
DATA, MODEL, NARROWEST = 1, 2, 8
"""Columns that are cut where the terminal has no room, and how far."""
NAMED = 15
"""As much of a run's name as says when it has begun."""
SHOWN_WORDS = 12


@dataclass(frozen=True)
class Run:
    """What is known of a run."""

    folder: RunFolder
    record: Mapping[str, Any]
    values: Values
    """Its params.yaml; empty where there is none."""
    words: tuple[str, ...]
    """What was overridden, as it would be said to `regatta run`."""


def runs(options: argparse.Namespace) -> int:
    """Print a table, oldest run first; * marks the one whose weights are in artifacts/."""
    listed = [_read(folder, record) for folder, record in all_runs()]
    if not listed:
        print(f"Nothing was trained here yet ({runs_root()}/ has no runs); say `regatta run`")
        return 0
    current = current_id()
    for line in shown(listed, current, shutil.get_terminal_size((100, 24)).columns):
        print(line)
    for line in (line for run in listed if run.folder.id == current for line in not_as_set(run)):
        print(line)
    return 0


def current_id() -> str | None:
    """The run whose weights are published."""
    path = stage_dir("train") / "run.json"
    return str(read_json(path)["id"]) if path.exists() else None


def shown(found: Sequence[Run], current: str | None, width: int) -> list[str]:
    """The table in lines of at most `width` columns: below each run what it has that not all of them have, and why it ended."""
    names, data = _short_names([run.folder.id for run in found]), _data_names(found)
    rows = [
        _row(run, name, data_name, run.folder.id == current) for run, name, data_name in zip(found, names, data, strict=True)
    ]
    common = set.intersection(*(set(run.words) for run in found)) if len(found) > 1 else set()
    head, *lines = table([[f"  {COLUMNS[0]}", *COLUMNS[1:]], *rows], width)
    told = [head]
    for run, line, unsaid in zip(found, lines, _unsaid(found), strict=True):
        words = [word for word in run.words if word not in common]
        told += [line, *_below([*words, *unsaid], width), *_wrapped(_fate(run), "    ", width)]
    every = [word for word in found[0].words if word in common]
    return [*told, *_wrapped(f"all of them: {' '.join(every)}", "  ", width)] if every else told


def table(rows: Sequence[Sequence[str]], width: int = 100) -> list[str]:
    """Lines with columns of one width each, cut in the middle of data and model where the whole is wider than `width`."""
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    for column in (DATA, MODEL):
        if column < len(widths):
            over = sum(widths) + 2 * (len(widths) - 1) - width
            widths[column] = min(widths[column], max(NARROWEST, widths[column] - max(0, over)))
    return ["  ".join(_padded(cell, each) for cell, each in zip(row, widths, strict=True)).rstrip() for row in rows]


def _padded(cell: str, width: int) -> str:
    text = short(cell, width)
    return text + " " * (width - columns(text))


def _read(folder: RunFolder, record: Mapping[str, Any]) -> Run:
    try:
        words = read_overrides(folder.path).words()
    except ConfigError as error:
        print(f"runs: {error}", flush=True)
        words = []
    overrides = tuple(word for word in words if word.partition("=")[0].split(".")[0] not in ASIDE)
    return Run(folder, record, read_values(folder.path / "params.yaml") or {}, overrides)


def _row(run: Run, name: str, data: str, current: bool) -> list[str]:
    record = run.record
    return [
        f"{'*' if current else ' '} {name}",
        data,
        _model(run.values),
        f"{record.get('best_epoch') or '-'}/{record.get('num_epochs') or '-'}",
        f"{loss:.4f}" if isinstance(loss := record.get("best_val_loss"), int | float) else "-",
        _in_words(_test_metrics(run.folder, current)),
        _state(run),
    ]


def _short_names(names: Sequence[str]) -> list[str]:
    """As much of each name as `regatta restore` needs to know it."""
    return [next((name[:n] for n in range(NAMED, len(name)) if _fits_one(name[:n], names)), name) for name in names]


def _fits_one(start: str, names: Sequence[str]) -> bool:
    return sum(name.startswith(start) for name in names) == 1


def _data_names(found: Sequence[Run]) -> list[str]:
    """Name and number of training samples; with the beginning of the digest where that is the same for several datasets."""
    names = [_data_name(run) for run in found]
    digests = [str(run.record.get("hashes", {}).get("dataset", "?")) for run in found]
    several = {name for name in names if len({d for n, d in zip(names, digests, strict=True) if n == name}) > 1}
    return [f"{name} {digest[:4]}" if name in several else name for name, digest in zip(names, digests, strict=True)]


def _data_name(run: Run) -> str:
    """The folder's or the file's name, or that of data that comes along, and the number of training samples."""
    data, num = run.values.get("data", {}), run.record.get("num_train")
    path = Path(str(data.get("path") or data.get("train_path") or "?"))
    name = str(data["source"]) if path.parts[0] == CONF.name else path.name
    return f"{name} {num:,}" if num else name


def _model(values: Values) -> str:
    """ "cnn 32-64/128": channels of the convolutions, widths of the dense layers; a module's name."""
    model = values.get("model", {})
    if model.get("name"):
        return str(model["name"])
    sizes = ["-".join(map(str, model[key])) for key in ("channels", "widths") if model.get(key)]
    return " ".join([model.get("arch", "?"), *(["/".join(sizes)] if sizes else [])])


def _state(run: Run) -> str:
    """How it ended, or that it did not."""
    state = str(run.record.get("state", "?"))
    if state == "running" and abandoned(run.folder.path / ".lock"):
        return "unfinished"
    return "failed" if state == "stopped" and run.record.get("stop_reason") == "error" else state


def _fate(run: Run) -> str:
    """How far a run came that has not finished, and the error that ended it."""
    record = run.record
    if record.get("state") == "finished":
        return ""
    error = f": {record['error']}" if record.get("error") and record.get("stop_reason") != "signal" else ""
    return f"after {record.get('num_epochs', 0)} of {record.get('max_epochs', '?')} epochs{error}"


def _in_words(metrics: Mapping[str, Any]) -> str:
    """Accuracy, or how far numbers are off."""
    accuracy, off = metrics.get("accuracy"), metrics.get("mae")
    if isinstance(accuracy, int | float):
        return percent(accuracy)
    return f"off {number(off)}" if isinstance(off, int | float) else "-"


def _test_metrics(folder: RunFolder, current: bool) -> Mapping[str, Any]:
    """Of the evaluation of a run; none where it was never evaluated, or its record, which is then named, is not whole."""
    try:
        return _recorded_metrics(folder, current)
    except StorageError as error:
        print(f"runs: {error}", flush=True)
        return {}


def _recorded_metrics(folder: RunFolder, current: bool) -> Mapping[str, Any]:
    name = stage_dir("evaluate") / "metrics.json"
    kept = kept_dir(folder.id) / name
    if kept.exists():
        return read_json(kept)
    metrics = read_json(name) if current and name.exists() else {}
    return metrics if of_published_weights(metrics) else {}


def of_published_weights(metrics: Mapping[str, Any]) -> bool:
    """Whether test results belong to the weights in artifacts/; older ones do not say it and are believed."""
    model = stage_dir("train") / "model.json"
    return "weights" not in metrics or (model.exists() and metrics["weights"] == weights_digest(stage_dir("train")))


def not_as_set(run: Run) -> list[str]:
    """What params.yaml has otherwise than the run whose weights are in artifacts/: its results are not those of params.yaml."""
    then, now = run.values, read_values() or {}
    pairs = [{name: part for name, part in values.items() if name not in ASIDE} for values in (then, now)]
    changed = shortened(differences(*pairs)) if then and now else []
    first = "params.yaml has other settings than the run marked *; `regatta run` brings its results up to them:"
    return [first, *(f"  {line}" for line in changed)] if changed else []


def _unsaid(found: Sequence[Run]) -> list[list[str]]:
    """In what runs of the same overrides differ: edits of params.yaml and conf/, `dvc exp run -S`, another code."""
    leaves, alike = [_leaves(run) for run in found], defaultdict(list)
    for run, values in zip(found, leaves, strict=True):
        alike[run.words].append(values)
    return [
        [
            f"{key}={setting(value)}"
            for key, value in values.items()
            if any(other.get(key) != value for other in alike[run.words])
        ]
        for run, values in zip(found, leaves, strict=True)
    ]


def _leaves(run: Run) -> Values:
    code = str(run.record.get("hashes", {}).get("code", "?"))[:8]
    return dict(flat({name: section for name, section in run.values.items() if name not in ASIDE})) | {"code": code}


def _below(words: Sequence[str], width: int) -> list[str]:
    """Words below a run's line."""
    more = [f"and {len(words) - SHOWN_WORDS} more"] if len(words) > SHOWN_WORDS else []
    return _wrapped(" ".join([*words[:SHOWN_WORDS], *more]), "    ", width)


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    each: Any = {"initial_indent": indent, "subsequent_indent": indent, "break_on_hyphens": False}
    return textwrap.wrap(text, max(width, 40), **each)
