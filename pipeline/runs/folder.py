"""The folder of a run: held by one process, whole after any kill, never erased by a later run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pipeline import artifacts
from pipeline.errors import StorageError
from pipeline.runs.state import Row

RECORD, ROWS = "record", "records"
"""The keys of a state's copies of run.json and, once the run has ended, of metrics.jsonl, beside those of its progress."""


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

    def save_state(self, tensors: Mapping[str, NDArray[Any]], progress: Mapping[str, Any], ended: bool = False) -> None:
        """Keep a resume state and the one before it; killed at any moment, at least one of them is whole.

        It counts the records, which are on the disk before it. It holds a copy of run.json and, of a run that has ended, of
        the records, from which a torn file is taken back.
        """
        if self.metrics.exists():
            artifacts.sync_file(self.metrics)
        copies = {RECORD: self.read(), **({ROWS: artifacts.read_jsonl(self.metrics)} if ended else {})}
        artifacts.save_tensors(self._named("new"), tensors, {**progress, **copies})
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
        return tensors, {name: value for name, value in progress.items() if name not in (RECORD, ROWS)}

    @property
    def record(self) -> Path:
        """What the run is, and its summary."""
        return self.path / "run.json"

    @property
    def metrics(self) -> Path:
        """The records, one line per epoch and split."""
        return self.path / "metrics.jsonl"

    @property
    def logged(self) -> Path:
        """What the user's callbacks have logged, a line each."""
        return self.path / "logged.jsonl"

    def log(self, rows: list[Row]) -> None:
        """Append what callbacks have logged."""
        artifacts.append_jsonl(self.logged, rows)

    def cut_log(self, num: int) -> None:
        """Leave the first rows that were logged: a training that goes on from there logs the others again."""
        if self.logged.exists():
            artifacts.write_jsonl(self.logged, artifacts.read_jsonl(self.logged, num))

    def read(self) -> dict[str, Any]:
        """`run.json`; where it is torn, as the newest whole state has it. StorageError where none has."""
        try:
            return artifacts.read_json(self.record)
        except StorageError as error:
            kept: dict[str, Any] | None = self._kept(RECORD)
            if kept is None:
                raise
            said = str(error).partition("; ")[0]
            print(f"{said}; it is taken as the last save has it", flush=True)
            return kept

    def _kept(self, name: str) -> Any:
        """A copy that the newest whole state holds; None where it holds none."""
        for path in self.states:
            with contextlib.suppress(StorageError):
                return artifacts.load_tensors(path)[1].get(name)
        return None

    def cut_records(self, num: int) -> None:
        """Leave the first `num` records: what was written after the last save happens again.

        Where they are not whole they are taken from the state of a run that has ended; StorageError where there is none.
        """
        try:
            rows, why = artifacts.read_jsonl(self.metrics, num), ""
        except StorageError as error:
            rows, why = [], f" ({error})"
        if len(rows) < num and len(rows := self._kept(ROWS) or rows) < num:
            raise StorageError(
                f"{self.metrics}: holds {len(rows)} whole records, and the last save counts {num}{why}; "
                "`regatta run --fresh` trains again from the start and keeps this folder"
            )
        artifacts.write_jsonl(self.metrics, rows)

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
            if artifacts.read_jsonl(self.metrics) != self._kept(ROWS):
                raise StorageError(f"{self.metrics}: not the records that the last save has")
        except StorageError as error:
            said = str(error).partition("; ")[0]
            print(f"train: {said}; it is made again from the last save", flush=True)
            return False
        return True
