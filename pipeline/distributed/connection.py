"""A connection to a Ray cluster: the one that the configuration names, or one of this machine's cores that is started here."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

import pipeline
from pipeline.distributed.local import guarded_folder, start_options
from pipeline.errors import ConfigError, RegattaError, Stopped
from pipeline.schema.cluster import ClusterConfig

ANSWER_S = 10.0
"""So long a cluster's head may take to take a call."""
ASK_HEAD_S, HEAD_GONE_S = 2.0, 30.0
"""So often a head is called; and so long it may be away: Ray waits for 60 s."""
BACK_S, TELL_S = 600.0, 10.0
"""So long a cluster that has gone is waited for, and so often it is said."""


@contextmanager
def connected(config: ClusterConfig, cores: int, again: bool = False) -> Iterator[None]:
    """Connected to the cluster that the configuration names, or to one of this machine's cores that ends with the block.

    Where this process is connected already, it stays so.
    """
    if ray.is_initialized():
        yield
        return
    _authenticate(config)
    with guarded_folder() if config.address is None else nullcontext() as folder:
        try:
            _take_part(config, cores, folder, again)
            with _head_watched():
                yield
        finally:
            ray.shutdown()


def _take_part(config: ClusterConfig, cores: int, folder: Path | None, again: bool) -> None:
    """Connect; where the cluster has gone while this was at work, wait for it to come back."""
    if config.address is None or not again:
        _connect(config, cores, folder)
        return
    until = time.monotonic() + BACK_S
    while True:
        try:
            _connect(config, cores, folder)
            return
        except ConfigError as error:
            if time.monotonic() > until:
                raise RegattaError(f"the cluster has not come back within {BACK_S:.0f} s: {error}") from None
            print(f"regatta: waiting {until - time.monotonic():.0f} s more for the cluster to come back: {error}", flush=True)
            time.sleep(TELL_S)


def _connect(config: ClusterConfig, cores: int, folder: Path | None) -> None:
    """folder: of the cluster that is started here, where the configuration names none."""
    if config.address not in (None, "auto"):
        _check_address(config.address)
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": False}
    options |= {"runtime_env": {"py_modules": [str(Path(pipeline.__file__).parent)]}}  # every worker has this code
    starting: AbstractContextManager[dict[str, Any]] = start_options(folder, cores) if folder else nullcontext({})
    try:
        with _sigterm_left_alone(), starting as local:
            ray.init(address=config.address or "local", **options, **local)
    except (OSError, RayError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        if config.address is None:
            raise ConfigError(f"cluster.address = null: Ray can't be started here ({reason}); use cluster=local") from None
        raise ConfigError(
            f"cluster.address = {config.address!r}: this machine can't take part in the cluster ({reason}); it must be one of "
            "its nodes (`ray start --address=HOST:PORT`), and its token the cluster's (cluster.token_path)"
        ) from None


@contextmanager
def _sigterm_left_alone() -> Iterator[None]:
    """Ray's own handler would end this process with an exit code of Ray's, and ends what it was set for while it starts."""
    before = signal.getsignal(signal.SIGTERM)
    asked = False
    try:
        yield
    except SystemExit as end:
        if end.code != signal.SIGTERM:
            raise
        asked = True
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
    if asked:
        signal.raise_signal(signal.SIGTERM)
        raise Stopped("stopped by SIGTERM; the same command goes on from the last save")


def nodes_alive() -> list[dict[str, float]]:
    """The resources of each node that is alive."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def host_and_port(address: str) -> tuple[str, int]:
    """Of HOST:PORT, with an IPv6 address in brackets."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"cluster.address = {address!r}: must be HOST:PORT, such as head:6379, or auto")
    return host.strip("[]"), int(port)


def _check_address(address: str) -> None:
    """ConfigError where nothing listens, which Ray would try for minutes."""
    host, port = host_and_port(address)
    try:
        socket.create_connection((host, port), timeout=ANSWER_S).close()
    except OSError as error:
        raise ConfigError(
            f"cluster.address = {address!r}: no Ray cluster answers there ({error}); start one with `ray start --head`, "
            "or use cluster=local"
        ) from None


def _authenticate(config: ClusterConfig) -> None:
    """Say which token: the cluster's own, or for one that is started here one that only it knows."""
    if config.token_path is not None:
        if not Path(config.token_path).is_file():
            raise ConfigError(f"cluster.token_path = {config.token_path!r}: there is no such file; copy the head's token to it")
        os.environ["RAY_AUTH_TOKEN_PATH"] = config.token_path
    elif config.address is None:  # never the file in the home folder, which Ray makes readable to all
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextmanager
def _head_watched() -> Iterator[None]:
    """Should the cluster's head be gone, end this process and say so: Ray would, after a minute, from within any call."""
    address: str = ray.get_runtime_context().gcs_address
    host, port = host_and_port(address)
    over = threading.Event()

    def watch() -> None:
        heard = time.monotonic()
        while not over.wait(ASK_HEAD_S):
            try:
                socket.create_connection((host, port), timeout=ANSWER_S).close()
                heard = time.monotonic()
            except OSError as error:
                if not over.is_set() and time.monotonic() - heard > HEAD_GONE_S:
                    said = f"regatta: the Ray cluster at {address} has gone ({error}); what was saved is kept"
                    with contextlib.suppress(OSError):  # of a terminal that has gone as well
                        print(said, file=sys.stderr, flush=True)
                    os._exit(RegattaError.exit_code)  # no other thread can be stopped within a call of Ray's

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
