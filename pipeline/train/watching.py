"""Who watches a training: a user's callbacks by name, what they log, and Lightning's profiler."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_utilities.core.rank_zero import rank_zero_only
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.profilers import AdvancedProfiler, Profiler, SimpleProfiler

from pipeline import extensions
from pipeline.errors import ConfigError
from pipeline.runs.state import Row
from pipeline.train.callbacks import check_watching

MOST_ROWS = 1000
"""Logged and not yet written."""
Write = Callable[[list[Row]], None]


class Log(Logger):
    """What callbacks log: a row for each call, with the step of the optimizer; of the first worker alone."""

    def __init__(self, write: Write, before: int = 0) -> None:
        """before: rows that were written before this training went on."""
        super().__init__()
        self.write, self.rows, self.written = write, list[Row](), before

    @property
    def name(self) -> str:
        return "logged"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep a row until it is written with others."""
        numbers = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        self.rows.append({"step": step} | {name: value if math.isfinite(value) else None for name, value in numbers.items()})
        if len(self.rows) >= MOST_ROWS:
            self.flush()

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Nothing: params.yaml of the run has them."""

    def flush(self) -> int:
        """Write what there is; how many rows there are now in all."""
        if self.rows:
            self.write(self.rows)
            self.written += len(self.rows)
            self.rows = []
        return self.written

    def finalize(self, status: str) -> None:
        """At the end, whatever it is."""
        self.flush()


@dataclass(frozen=True)
class Watching:
    """What looks on while a training runs, and changes nothing."""

    callbacks: Sequence[pl.Callback] = ()
    log: Log | None = None
    """Where there are callbacks."""
    profiler: Profiler | None = None
    names: Sequence[str] = ()
    """Of the callbacks."""

    def blamed(self, error: Exception) -> str | None:
        """The callback in which an error came up."""
        running = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
        pairs = zip(self.names, self.callbacks, strict=True)
        return next((name for name, own in pairs if any(own is one for one in running)), None)

    @contextmanager
    def told(self) -> Iterator[None]:
        """What a callback raises as a ConfigError that names it."""
        try:
            yield
        except Exception as error:
            name = None if extensions.has_words(error) else self.blamed(error)
            if name is None:
                raise
            said = extensions.raised(error, f"train.callbacks: {name!r}")
            left = ",".join(other for other in self.names if other != name)
            raise ConfigError(f"{said}; mend it, or leave it out: regatta run 'train.callbacks=[{left}]'") from error


NOBODY = Watching()


def _made(name: str, function: Callable[[], object]) -> object:
    with extensions.told(f"train.callbacks: making {name!r}"):
        return function()


def tell_unwatched(names: Sequence[str], watched: Sequence[str], run: str) -> None:
    """Say it where a run that is finished is taken as it is although it was not watched by all of these callbacks."""
    new = [name for name in names if name not in watched]
    if new:
        print(
            f"train: run {run} is finished and taken as it is, so train.callbacks has nothing to watch ({', '.join(new)}); "
            "regatta run --fresh trains it anew",
            flush=True,
        )


def watching(
    names: Sequence[str], write: Write, before: int = 0, profiler: str | None = None, folder: Path | None = None
) -> Watching:
    """The callbacks of these names in `extensions.py`, made anew; ConfigError where one would do more than watch.

    write: takes rows that they log; before: how many it has taken. profiler: simple or advanced, whose table is written
    to `folder` at the end.
    """
    registered = extensions.registered(extensions.CALLBACKS) if names else {}
    callbacks = [check_watching(name, _made(name, registered[name])) for name in names]
    kinds = {"simple": SimpleProfiler, "advanced": AdvancedProfiler}
    return Watching(
        callbacks,
        Log(write, before) if callbacks else None,
        kinds[profiler](dirpath=folder, filename="profile") if profiler else None,
        names,
    )
