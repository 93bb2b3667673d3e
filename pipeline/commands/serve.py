"""`regatta serve MODEL`: what a trained network says, over HTTP, until it is asked to stop."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NoReturn

from pipeline.commands.predict import folder_of, tell_code
from pipeline.errors import ConfigError
from pipeline.train.stopping import StopRequest


def serve(options: argparse.Namespace) -> NoReturn:
    """Ends by Stopped, once every request that was accepted has its answer."""
    folder, file = folder_of(options), options.token_file
    # Threads that wait by looking again and again take the cores that other programs keep them waiting for: beside such,
    # a photo took 100 ms of processors, and 7 so (2 cores, a load of 17). Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import asyncio
    from dataclasses import replace

    from pipeline.prediction.model import Model
    from pipeline.prediction.serving import app
    from pipeline.prediction.serving.guard import guard_of
    from pipeline.prediction.serving.refused import Limits

    limits = Limits(_whole("--max-mb", options.max_mb) * 2**20, _whole("--max-items", options.max_items),
                    _whole("--queue", options.queue))  # fmt: skip
    token_file = options.stood / Path(file).expanduser() if file else None
    guard = guard_of(options.host, options.name, token_file, os.environ, options.model)
    server = app.Server(replace(Model.load(folder), workers=1), guard, limits)
    tell_code()
    stop = StopRequest()
    with app.listening(options.host, options.port) as place, stop.listening():
        address = f"http://{_shown(options.host)}:{place.getsockname()[1]}/"
        said = f"{options.model} answers at {address}; Ctrl-C stops it"
        asyncio.run(app.serve(server, place, lambda: stop.signal is not None, lambda: print(said, flush=True)))
    raise stop.error(f"once every request had its answer: {server.asked:,}, of which {server.accepted:,} to /predict")


def _whole(option: str, value: int) -> int:
    if value < 1:
        raise ConfigError(f"{option} {value}: one or more is allowed")
    return value


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
