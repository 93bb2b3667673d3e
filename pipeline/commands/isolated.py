"""`regatta run --isolated`: the same in a worktree of its own, so that two runs of one clone do not disturb each other.

The worktree shares DVC's cache, `runs/` and the links below `data/` with the clone. It starts from the clone's files as they
are, uncommitted changes of tracked files included.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.artifacts import copy_whole, held, runs_root
from pipeline.commands.signals import aside, noted
from pipeline.errors import BusyError, ConfigError
from pipeline.processes import STARTER, this_process

TREES = "worktrees"
PASSED_ON = ("dvc.lock",)
"""Files that tell what is up to date; Git may not have them yet."""


def isolated(words: Sequence[str]) -> int:
    """Run `regatta run WORDS` in a new worktree; its exit code."""
    root, clone = runs_root().absolute(), Path.cwd()
    place = root / TREES / f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    make_worktree(clone, place)
    environment = {**os.environ, "REGATTA_RUNS": str(root), "PYTHONPATH": str(place), STARTER: this_process()}
    print(f"isolated: runs in {place}", flush=True)
    command = [sys.executable, "-m", "pipeline.cli", "run", *words]
    with own_gpu(root, num_gpus()) as gpu, noted() as asked:
        done = aside(lambda: subprocess.run(command, cwd=place, env=environment | gpu, check=False), asked)
        if done.returncode == 0:
            print(f"isolated: done; its report is {place}/artifacts/report/index.html, the run is in `regatta runs`")
            print(f"isolated: `git worktree remove --force {place}` when it is no longer needed")
        else:
            print(f"isolated: ended with exit code {done.returncode}; go on in {place} with `regatta run`", flush=True)
    return done.returncode


def make_worktree(clone: Path, place: Path) -> None:
    """A worktree of the clone's files as they are, with its cache, its links to data and what says what is up to date."""
    commit = git(clone, "stash", "create") or git(clone, "rev-parse", "HEAD")  # a commit of the changes, which stay as they are
    place.parent.mkdir(parents=True, exist_ok=True)
    git(clone, "worktree", "add", "--detach", str(place), commit)
    cache = (clone / ".dvc" / "cache").absolute()
    (place / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {cache}\n", encoding="utf-8")
    for path in (clone / "data").iterdir():
        if path.is_symlink() and not (place / "data" / path.name).exists():
            (place / "data" / path.name).symlink_to(path.resolve())
    for name in PASSED_ON:
        if (clone / name).exists():
            copy_whole(clone / name, place / name)


def git(clone: Path, *words: str) -> str:
    """Git's answer; ConfigError where it refuses."""
    done = subprocess.run(["git", *words], cwd=clone, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(
            f"--isolated: `git {' '.join(words)}` says: {done.stderr.strip()}; it needs a Git repository with a commit"
        )
    return done.stdout.strip()


@contextmanager
def own_gpu(root: Path, num: int) -> Iterator[dict[str, str]]:
    """CUDA_VISIBLE_DEVICES for the first of `num` GPUs that no other isolated run holds; nothing where there is no choice."""
    if num < 2 or "CUDA_VISIBLE_DEVICES" in os.environ:
        yield {}
        return
    with contextlib.ExitStack() as stack:
        for gpu in range(num):
            with contextlib.suppress(BusyError):
                stack.enter_context(held(root / TREES / f".gpu-{gpu}.lock"))
                yield {"CUDA_VISIBLE_DEVICES": str(gpu)}
                return
        raise BusyError(f"--isolated: each of the {num} GPUs is held by another isolated run; wait for one, or say which with "
                        "CUDA_VISIBLE_DEVICES")  # fmt: skip


def num_gpus() -> int:
    """On this machine, by the driver's word."""
    if not shutil.which("nvidia-smi"):
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return len(listed.stdout.splitlines()) if listed.returncode == 0 else 0
