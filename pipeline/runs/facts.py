"""What is recorded of the machine, the project and the time beside a run."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def versions() -> dict[str, str]:
    """Versions that a result may depend on."""
    names = ("torch", "pytorch-lightning", "kornia", "numpy", "dvc", "wandb")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def commit() -> str | None:
    """The commit of the project, with + for uncommitted changes; None outside of Git."""
    head = _git("rev-parse", "HEAD")
    return head and head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"LC_ALL": "C"},  # its words are looked at
        )
    except FileNotFoundError:
        return None
    if "dubious ownership" in done.stderr:
        print(
            "Git refuses this folder, since it belongs to another user, so no commit is recorded; "
            f"mend it with: git config --global --add safe.directory {Path.cwd()}",
            flush=True,
        )
    return done.stdout.strip() if done.returncode == 0 else None


def now() -> str:
    """The time, with its zone, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
