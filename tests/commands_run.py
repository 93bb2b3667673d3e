"""Commands run as processes of their own, in a copy of the project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

STUDY = "{question: Does it?, baseline: {}, variants: {none: {model.dropout: 0.0}}, seeds: 2}"


def environment() -> dict[str, str]:
    """With this interpreter's programs first, one thread each, and a name for commits."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    who = {f"GIT_{role}_{key}": f"test@{key.lower()}" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    return {**os.environ, **who, "PATH": path, "OMP_NUM_THREADS": "1"}


def run(folder: Path, *words: str, code: int = 0) -> str:
    """Run Python with these words in a folder; its output, once the exit code is as expected."""
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, check=False, env=environment())
    said = done.stdout + done.stderr
    assert done.returncode == code, f"exit code {done.returncode}:\n{said}"
    return said


def commit(folder: Path, message: str) -> None:
    """Commit all that Git does not ignore."""
    for words in (["add", "-A"], ["commit", "-q", "-m", message]):
        subprocess.run(["git", *words], cwd=folder, check=True, env=environment())
