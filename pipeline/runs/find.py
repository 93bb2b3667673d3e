"""How a run is found: by what it is, after an interruption or with more epochs, and by its name."""

from __future__ import annotations

import datetime
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline import artifacts
from pipeline.errors import ConfigError, StorageError
from pipeline.runs.folder import RunFolder

if TYPE_CHECKING:
    from pipeline.runs.identity import Identity


@dataclass(frozen=True)
class Asked:
    """What is said of the runs that may be there already."""

    accept_code: bool = False
    """Whether to go on with a run that was interrupted under other code."""
    fresh: str | None = None
    """A word that is kept with the runs that begin under it; only they are gone on with."""
    lost: str | None = None
    """Why the process before this one has gone, where a run is started again by itself."""


NOTHING = Asked()


def all_runs() -> list[tuple[RunFolder, dict[str, Any]]]:
    """All runs with their `run.json`, oldest first; one that can't be read is named and left out."""
    readable = []
    for folder in _folders():
        try:
            readable.append((folder, folder.read()))
        except StorageError as error:
            print(f"runs: {error}", flush=True)
    return readable


def run_named(name: str) -> RunFolder:
    """The run of this name, else the only one whose name begins so; ConfigError where there is none or several."""
    beginning = [folder for folder in _folders() if folder.id.startswith(name)]
    fitting = [folder for folder in beginning if folder.id == name] or beginning
    if len(fitting) != 1:
        what = f"fits {', '.join(folder.id for folder in fitting)}" if fitting else "is no run of this project"
        raise ConfigError(f"{name}: {what}; `regatta runs` shows them")
    return fitting[0]


def _folders() -> list[RunFolder]:
    """Folders that hold a record or a state."""
    files = [path for name in ("run.json", "state*.safetensors") for path in artifacts.runs_root().glob(f"*/{name}")]
    return [RunFolder(path.name, path) for path in sorted({file.parent for file in files})]


def find_run(identity: Identity, asked: Asked = NOTHING) -> tuple[RunFolder, str]:
    """The folder for a run and what to do in it: "new", "resume", or "done".

    A finished run of the same identity is done; an unfinished one goes on, from its beginning where nothing was saved. One
    that was interrupted under other code goes on where that is accepted.
    """
    runs = _eligible(asked)
    for folder, run in reversed(runs):
        if run["hashes"]["run"] == identity.run and folder.states:
            if run["state"] == "finished":
                return folder, _say_done(folder, run) if folder.is_whole() else "resume"
            if run["state"] != "failed":
                return folder, "resume"
    for folder, run in reversed(runs):
        if run["hashes"]["run"] == identity.run and run["state"] in ("running", "stopped"):
            return folder, "new"
    for folder, run in reversed(runs):
        same = run["hashes"]["without_code"] == identity.without_code and run["hashes"]["code"] != identity.code
        if same and run["state"] in ("running", "stopped") and folder.states:
            if not asked.accept_code:
                raise _other_code(folder, run)
            return folder, "resume"
    if not asked.fresh:
        _check_lost(identity, {folder.id for folder, _ in runs})
    started = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    names = (f"{started}-{identity.run[:8]}{suffix}" for suffix in ("", *(f"-{i}" for i in range(2, 100))))
    name = next(name for name in names if not (artifacts.runs_root() / name).exists())
    return RunFolder(name, artifacts.runs_root() / name), "new"


def _say_done(folder: RunFolder, run: dict[str, Any]) -> str:
    mixed = ", though it was begun under other code" if run.get("accepted_code") else ""
    print(f"train: this run is finished already ({folder.path}){mixed}; its results are taken as they are", flush=True)
    return "done"


def _eligible(asked: Asked) -> list[tuple[RunFolder, dict[str, Any]]]:
    """All runs that say what they are, or those of them that have begun under the same word."""
    whole = [(folder, run) for folder, run in all_runs() if {"hashes", "state", "num_epochs"} <= run.keys()]
    return [(folder, run) for folder, run in whole if not asked.fresh or run.get("fresh") == asked.fresh]


def _check_lost(identity: Identity, known: Container[str]) -> None:
    """StorageError where a folder of this run has states, but neither record nor state says how far it is."""
    named = re.compile(rf"\d{{8}}-\d{{6}}-{identity.run[:8]}(-\d+)?")
    for folder in _folders():
        if named.fullmatch(folder.id) and folder.id not in known and folder.states:
            raise StorageError(
                f"{folder.path}: neither run.json nor a saved state is whole, so this run can't go on; `regatta run --fresh` "
                "trains again from the start and keeps this folder"
            )


def _other_code(folder: RunFolder, run: dict[str, Any]) -> ConfigError:
    return ConfigError(
        f"{folder.path}: this run was interrupted in epoch {run.get('num_epochs', 0) + 1}, and the code has changed since. "
        "`regatta run --accept-code` goes on with the new code; `regatta run --fresh` starts again and keeps the old folder"
    )


def shorter_run(identity: Identity, epochs: int, asked: Asked = NOTHING) -> RunFolder | None:
    """The longest finished run that differs in fewer epochs alone; of a new start none."""
    shorter = [
        (run["num_epochs"], folder.id, folder)
        for folder, run in _eligible(asked)
        if run["hashes"]["without_epochs"] == identity.without_epochs and run["state"] == "finished"
        and run["max_epochs"] < epochs and folder.states
    ]  # fmt: skip
    return max(shorter)[2] if shorter else None
