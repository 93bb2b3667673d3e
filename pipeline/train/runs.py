"""The folder of a run: found again after an interruption, held by one process, never erased by a later run."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pipeline import artifacts
from pipeline.errors import ConfigError, StorageError
from pipeline.train.identity import Identity

ACCEPT_CODE = "REGATTA_ACCEPT_CODE"
FRESH = "REGATTA_FRESH"
"""A word that is kept with the runs that begin under it; only they are gone on with."""
RECORD = "record"
"""The key of a state's copy of run.json, beside those of its progress."""
LOST = "REGATTA_LOST"
"""Why the process before this one has gone, where a run is started again by itself."""


@dataclass(frozen=True)
class RunFolder:
    """`runs/ID/`."""

    id: str
    path: Path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run for this process; BusyError names another holder. A run that was refused leaves no empty folder."""
        lock = self.path / ".lock"
        with artifacts.held(lock):
            try:
                yield
            except BaseException:
                if self.path.exists() and list(self.path.iterdir()) == [lock]:
                    lock.unlink()
                    self.path.rmdir()
                raise

    @property
    def state(self) -> Path:
        """The newest resume state."""
        return self.path / "state.safetensors"

    @property
    def states(self) -> list[Path]:
        """The resume states that are there, newest first: one that is just taking its place, the newest, the one before."""
        return [path for path in (self._named("new"), self.state, self._named("before")) if path.exists()]

    def _named(self, word: str) -> Path:
        return self.path / f"state.{word}.safetensors"

    def save_state(self, tensors: Mapping[str, NDArray[Any]], progress: Mapping[str, Any]) -> None:
        """Keep a resume state and the one before it; killed at any moment, at least one of them is whole.

        It holds a copy of the record, from which a torn one is taken back.
        """
        artifacts.save_tensors(self._named("new"), tensors, {**progress, RECORD: self.read()})
        with artifacts.storage_errors(self.state):
            if self.state.exists():
                self.state.replace(self._named("before"))
            self._named("new").replace(self.state)

    def forget_older_state(self) -> None:
        """A finished run keeps one state, for a longer one to go on from."""
        self._named("before").unlink(missing_ok=True)

    def load_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The newest resume state that is whole; those that are not are named. StorageError where none is."""
        for path in self.states:
            try:
                return self.loaded(path)
            except StorageError as error:
                print(f"train: {error}; trying the state saved before it", flush=True)
        raise StorageError(
            f"{self.state}: neither it nor the state before it is whole; `regatta run --fresh` trains again from the start "
            "and keeps this folder"
        )

    @staticmethod
    def loaded(state: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """A resume state's tensors, and how far it is; StorageError where it is not whole."""
        tensors, progress = artifacts.load_tensors(state)
        return tensors, {name: value for name, value in progress.items() if name != RECORD}

    @property
    def record(self) -> Path:
        """What the run is, and its summary."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """The records, one line per epoch and split."""
        return self.path / "metrics.jsonl"

    def read(self) -> dict[str, Any]:
        """`run.json`; where it is torn, as the newest whole state has it. StorageError where none has."""
        try:
            return artifacts.read_json(self.record)
        except StorageError as error:
            kept = self._kept_record()
            if kept is None:
                raise
            said = str(error).partition("; ")[0]
            print(f"{said}; it is taken as the last save has it", flush=True)
            return kept

    def _kept_record(self) -> dict[str, Any] | None:
        for path in self.states:
            with contextlib.suppress(StorageError):
                return artifacts.load_tensors(path)[1].get(RECORD)  # none in a state of older code
        return None

    def write(self, **changes: Any) -> dict[str, Any]:
        """Take changes into `run.json`."""
        values = {**(self.read() if self.record.exists() or self.states else {}), **changes}
        artifacts.write_json(self.record, values)
        return values

    def is_whole(self) -> bool:
        """Whether all that a finished run publishes is as it was written; what is not is named."""
        try:
            artifacts.read_json(self.record)
            artifacts.load_tensors(self.path / "best.safetensors")
            if artifacts.read_jsonl(self.metrics) != self.load_state()[1]["rows"][0]:
                raise StorageError(f"{self.metrics}: not the records that the last save has")
        except StorageError as error:
            said = str(error).partition("; ")[0]
            print(f"train: {said}; it is made again from the last save", flush=True)
            return False
        return True


def all_runs() -> list[tuple[RunFolder, dict[str, Any]]]:
    """All runs with their `run.json`, oldest first; one that can't be read is named and left out."""
    found = []
    for folder in _folders():
        try:
            found.append((folder, folder.read()))
        except StorageError as error:
            print(f"runs: {error}", flush=True)
    return found


def _folders() -> list[RunFolder]:
    """Folders that hold a record or a state."""
    files = [path for name in ("run.json", "state*.safetensors") for path in artifacts.runs_root().glob(f"*/{name}")]
    return [RunFolder(path.name, path) for path in sorted({file.parent for file in files})]


def find_run(identity: Identity) -> tuple[RunFolder, str]:
    """The folder for a run and what to do in it: "new", "resume", or "done".

    A finished run of the same identity is done; an unfinished one goes on, from its beginning where nothing was saved. One
    that was interrupted under other code needs REGATTA_ACCEPT_CODE. REGATTA_FRESH asks for a new start.
    """
    runs = _eligible()
    for folder, run in reversed(runs):
        if run["hashes"]["run"] == identity.run and folder.states:
            if run["state"] == "finished":
                return folder, "done" if folder.is_whole() else "resume"
            if run["state"] != "failed":
                return folder, "resume"
    for folder, run in reversed(runs):
        if run["hashes"]["run"] == identity.run and run["state"] in ("running", "stopped"):
            return folder, "new"
    for folder, run in reversed(runs):
        same = run["hashes"]["without_code"] == identity.without_code and run["hashes"]["code"] != identity.code
        if same and run["state"] in ("running", "stopped") and folder.states:
            _ask_for_code(folder, run)
            return folder, "resume"
    _check_lost(identity, {folder.id for folder, _ in runs})
    started = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    names = (f"{started}-{identity.run[:8]}{suffix}" for suffix in ("", *(f"-{i}" for i in range(2, 100))))
    name = next(name for name in names if not (artifacts.runs_root() / name).exists())
    return RunFolder(name, artifacts.runs_root() / name), "new"


def _eligible() -> list[tuple[RunFolder, dict[str, Any]]]:
    """All runs that say what they are, or those of them that have begun under the same REGATTA_FRESH."""
    word = os.environ.get(FRESH)
    whole = [(folder, run) for folder, run in all_runs() if {"hashes", "state", "num_epochs"} <= run.keys()]
    return [(folder, run) for folder, run in whole if not word or run.get("fresh") == word]


def _check_lost(identity: Identity, known: Container[str]) -> None:
    """StorageError where a folder of this run has states, but neither record nor state says how far it is."""
    if os.environ.get(FRESH):
        return
    named = re.compile(rf"\d{{8}}-\d{{6}}-{identity.run[:8]}(-\d+)?")
    for folder in _folders():
        if named.fullmatch(folder.id) and folder.id not in known and folder.states:
            raise StorageError(
                f"{folder.path}: neither run.json nor a saved state is whole, so this run can't go on; `regatta run --fresh` "
                "trains again from the start and keeps this folder"
            )


def _ask_for_code(folder: RunFolder, run: dict[str, Any]) -> None:
    if not os.environ.get(ACCEPT_CODE):
        raise ConfigError(
            f"{folder.path}: this run was interrupted in epoch {run.get('num_epochs', 0) + 1}, and the code has changed since. "
            "`regatta run --accept-code` goes on with the new code; `regatta run --fresh` starts again and keeps the old folder"
        )


def shorter_run(identity: Identity, epochs: int) -> RunFolder | None:
    """The longest finished run that differs in fewer epochs alone; none where REGATTA_FRESH asks for a new start."""
    found = [
        (run["num_epochs"], folder.id, folder)
        for folder, run in _eligible()
        if run["hashes"]["without_epochs"] == identity.without_epochs and run["state"] == "finished"
        and run["max_epochs"] < epochs and folder.states
    ]  # fmt: skip
    return max(found)[2] if found else None
