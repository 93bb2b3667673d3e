"""Starts what mirrors a run or a study to W&B: `python -m pipeline.tracking`, in a process of its own.

Nothing of W&B is imported here, and no module that does: a stage that is watched does not depend on the code that
watches it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.artifacts import cells_root
from pipeline.processes import plain_text
from pipeline.schema.tracking import TrackingConfig

LIMIT_S = 60.0
"""After this long at its end a mirror is ended by force."""
CELL_LIMIT_S = 5.0
"""So much longer for each cell of a study: a server that is far away takes seconds to open and close a run."""
NOT_HANDED_ON = {
    "WANDB_CONFIG_PATHS", "WANDB_FORK_FROM", "WANDB_RESUME", "WANDB_RESUME_FROM", "WANDB_RUN_ID", "WANDB_SERVICE",
    "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH",
}  # fmt: skip
"""Of W&B's environment what would make a mirror a part of some other run, or write into its configuration."""
COMMAND = [sys.executable, "-m", "pipeline.tracking"]


class Mirror:
    """Holds the mirror of one run; without a process it mirrors nothing."""

    def __init__(self, process: subprocess.Popen[bytes] | None = None) -> None:
        self._process = process

    def log(self, epoch: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Mirror an epoch whose `rows` are in `metrics.jsonl` by now, where the mirror reads them; never waits."""
        if self._process and self._process.stdin:
            with contextlib.suppress(BlockingIOError, BrokenPipeError):  # busy: it will see the file; dead: finish tells
                os.write(self._process.stdin.fileno(), b"\n")

    def finish(self, summary: Mapping[str, Any], exit_code: int) -> None:
        """Close the mirror with the run's summary: within a second, or within `LIMIT_S` where W&B does not answer."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(json.dumps({"summary": dict(summary), "exit_code": exit_code}).encode(), timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        if process.returncode:
            say(f"W&B's part of the run ended early (exit code {process.returncode}); the run's own records are whole")


def open_tracker(config: TrackingConfig, run_id: str, folder: Path, params: Mapping[str, Any]) -> Mirror:
    """Start mirroring `folder`/metrics.jsonl as run `run_id`, whose configuration is `params`, to `folder`/wandb."""
    if config.mode == "disabled":
        return Mirror()
    process = subprocess.Popen(
        COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=_environment(),
        bufsize=0,
        start_new_session=True,  # Ctrl-C is for the training, which then finishes the mirror
    )
    start = {"config": config.model_dump(), "run_id": run_id, "folder": str(folder), "params": dict(params)}
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(start).encode() + b"\n")
    os.set_blocking(process.stdin.fileno(), False)
    return Mirror(process)


def mirror_study(config: TrackingConfig, study: str, cells: Sequence[Mapping[str, Any]]) -> None:
    """Mirror the cells of a study that have not been mirrored for it before: a group named `study`, a run for each cell.

    A cell is {"hash", "variant", "seed", "fold", "config", "metrics", "rows", "failure"}: `config` is its configuration under
    dotted keys, `rows` those of `metrics.jsonl`. One that another study has too is a run in both groups. Waits for the
    end; what W&B does wrong costs a line.
    """
    if config.mode == "disabled" or not cells:
        return
    limit_s = LIMIT_S + CELL_LIMIT_S * len(cells)
    start = {"config": config.model_dump(), "study": study, "folder": str(cells_root()), "limit_s": limit_s}
    content = json.dumps(start | {"cells": [dict(cell) for cell in cells]}).encode() + b"\n"
    try:
        subprocess.run(
            COMMAND,
            input=content,
            stdout=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
            timeout=limit_s,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        code = getattr(error, "returncode", None)
        reason = f"no end within {limit_s:.0f} s" if code is None else f"exit code {code}"
        say(f"W&B's part of the study ended early ({reason}); the study's own records are whole")


def say(message: str) -> None:
    """One line on standard error, of plain text: W&B's server and settings have their part in it."""
    print(plain_text(f"tracking: {' '.join(message.splitlines())}"), file=sys.stderr, flush=True)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in NOT_HANDED_ON}
    return kept | {"WANDB_ERROR_REPORTING": "false"}
