"""A cluster of this machine alone: on loopback, in a folder that nobody else can enter, and gone when its starter is."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ray._private import ray_constants

from pipeline.artifacts import storage_errors
from pipeline.distributed import guard

PREFIX = "regatta-ray-"
LOOPBACK = "127.0.0.1"
TEMP = "ray"
MOST_BYTES = 107 - len(f"/{PREFIX}12345678/{TEMP}/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")
"""Of the path above the folder: that of a Unix socket has 107 at most."""
NO_METRICS = {"AUTOSCALER_METRIC_PORT": "-1", "DASHBOARD_METRIC_PORT": "-1"}
"""Neither asks for a token. Ray has no switch for them; with a port that can't be they note it and go on without."""


@contextmanager
def guarded_folder() -> Iterator[Path]:
    """A folder for a cluster that is started within the block; at its end both are gone, whatever there was of them.

    So it is when this process is killed, at whatever moment: another one watches it. Where that was killed as well, the
    next cluster clears up.
    """
    for left in _abandoned():
        guard.end_cluster(str(left))
    folder, lock = _locked_folder()
    command = [sys.executable, "-P", guard.__file__, str(folder)]
    watching = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield folder
    finally:
        guard.end_cluster(str(folder))
        watching.communicate(b"\n")
        os.close(lock)


@contextmanager
def start_options(folder: Path, cores: int) -> Iterator[dict[str, Any]]:
    """Those of `ray.init` that start a cluster in a guarded folder, to be called within the block."""
    with _environment({guard.MARK: str(folder)} | NO_METRICS), _loopback():
        yield {
            "num_cpus": cores,
            "include_dashboard": False,
            "_node_ip_address": LOOPBACK,
            "_temp_dir": str(folder / TEMP),  # Ray opens it to all users, but not the one above
            "_system_config": {"enable_metrics_collection": False},
        }


def _abandoned() -> Iterator[Path]:
    """The folders of clusters whose starters have ended without removing them."""
    for folder in (place for base in _bases() for place in base.glob(f"{PREFIX}*")):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another user's, or gone meanwhile
            continue
        try:
            if os.fstat(lock).st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield folder
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def _locked_folder() -> tuple[Path, int]:
    """A new folder that only this user can enter, and its lock, which ends with this process."""
    base = next(base for base in _bases() if len(os.fsencode(base)) <= MOST_BYTES)
    with storage_errors(base):
        while True:
            folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
            with suppress(FileNotFoundError):
                lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                fcntl.flock(lock, fcntl.LOCK_EX)
                if folder.is_dir():  # and not taken for abandoned before it was locked
                    return folder, lock
                os.close(lock)


def _bases() -> list[Path]:
    """Where temporary files go; the last one is short enough for sockets."""
    named = os.environ.get("RAY_TMPDIR")
    places = [*([named] if named else []), tempfile.gettempdir(), "/tmp"]
    return list(dict.fromkeys(map(Path, places)))


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Of what is started within the block alone: not of what this process starts later."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _loopback() -> Iterator[None]:
    """Ray takes another address where loopback is asked for, so that others can join; off Linux it has this switch for it."""
    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
