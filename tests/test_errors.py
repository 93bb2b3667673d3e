"""A stop, or a user's mistake, is not what code that expects a wrong value looks for."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from pipeline.artifacts import read_json
from pipeline.errors import BusyError, ConfigError, DataError, Interrupted, NumericsError, RegattaError, Stopped, StorageError


@pytest.mark.parametrize("kind", [ConfigError, DataError, NumericsError, StorageError, BusyError])
def test_no_error_is_taken_for_a_wrong_value(kind: type[RegattaError]) -> None:
    assert issubclass(kind, RegattaError)
    assert not issubclass(kind, ValueError | OSError | RuntimeError)


@pytest.mark.parametrize("kind", [Stopped, Interrupted])
def test_no_stop_is_taken_for_an_error(kind: type[Stopped]) -> None:
    assert not issubclass(kind, Exception)


def test_a_stop_while_a_file_is_read_is_a_stop(tmp_path: Path) -> None:
    def stop(*_: object) -> None:
        raise Stopped("asked for")

    os.mkfifo(tmp_path / "never")
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(Stopped):
            read_json(tmp_path / "never")
    finally:
        signal.signal(signal.SIGALRM, before)
