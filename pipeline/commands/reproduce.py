"""`dvc repro` within this process: stages in order, signals handed on, errors with the exit code of their cause."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.artifacts import CODE, make_dir, stage_dir, write_bytes
from pipeline.commands.dvc_files import holder, keep_lock_file
from pipeline.commands.signals import Asked, aside, noted
from pipeline.errors import BusyError, ConfigError, DataError, RegattaError, StorageError
from pipeline.processes import FULL, STARTER, UNREAD, this_process
from pipeline.report.outdated import mark

REPORT = stage_dir("report") / "index.html"


CACHE = ".dvc/cache"


@dataclass(frozen=True)
class Reproduced:
    """What DVC did."""

    stages: list[str]
    """That were not up to date, the digests of their code aside."""
    uncached: list[str]
    """Outputs that Git keeps, not DVC."""


def reproduce(
    targets: Sequence[str] | None = (),
    without: Container[str] = (),
    then: Sequence[str] = (),
    anew: Container[str] = (),
    ask: Callable[[str], None] = lambda stage: None,
) -> Reproduced:
    """`dvc repro` within this process, so that a stage's own exit code is known.

    targets: stages, with those that they depend on; all if there are none, None: only `then`. without: stages to leave
    alone. then: stages to come after them, without those that they depend on. anew: stages to run even where they are up to
    date. ask: is called with each stage before its turn, and may refuse it by an error of ours.
    Raises Stopped or KeyboardInterrupt where a signal asked for it; the stage at work has saved its state then.
    """
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    before: dict[Path, bytes] = {}

    def names(graph: Any) -> list[str]:
        return [*([] if targets is None else in_order(graph, targets, without)), *then]

    with noted() as asked:
        try:
            return aside(lambda: _reproduce(names, anew, asked, before, ask), asked)
        except RegattaError as error:
            if asked.signal:
                print(f"regatta: {error}", file=sys.stderr, flush=True)
                asked.obey()
            if error.exit_code in (ConfigError.exit_code, DataError.exit_code):
                aside(lambda: bring_back(before), asked)
            if error.exit_code != BusyError.exit_code:
                mark(REPORT, f"It ended with exit code {error.exit_code}")
            raise


def _reproduce(
    names: Callable[[Any], list[str]],
    anew: Container[str],
    asked: Asked,
    before: dict[Path, bytes],
    ask: Callable[[str], None],
) -> Reproduced:
    """names: of the stages to run, in order. before: takes what the small outputs hold that are in Git, not in DVC's cache."""
    from dvc.exceptions import DvcException

    from pipeline.commands.project import Project

    def run_one(stage: Any, **how: Any) -> Any:
        asked.obey()
        ask(stage.addressing)
        ran = repo.reproduce_stage(stage, **how | {"force": stage.addressing in anew})
        if ran:
            stage.dump(update_pipeline=False)
            keep_lock_file()
        return ran

    try:
        with Project() as repo:
            repo.scm_context.quiet = True  # no advice about core.autostage
            environment = {STARTER: this_process()}
            uncached = [Path(out.def_path) for out in repo.index.outs if not out.use_cache]
            before |= {path: path.read_bytes() for path in uncached if path.is_file()}
            stages = [
                one.addressing
                for one in repo.reproduce(names(repo.index.graph), single_item=True, repro_fn=run_one, run_env=environment)
            ]
            return Reproduced([name for name in stages if name != CODE], [str(path) for path in uncached])
    except (DvcException, OSError) as error:
        raise worded(error) from None


def bring_back(uncached: Mapping[Path, bytes]) -> None:
    """What DVC has removed for a stage that was then refused comes back from its cache, as `dvc.lock` still has it.

    uncached: what the small outputs held that are in Git and not in the cache.
    """
    from dvc.exceptions import DvcException

    from pipeline.commands.cache import obtainable
    from pipeline.commands.project import Project

    for path, content in uncached.items():
        if not path.exists():
            make_dir(path.parent)
            write_bytes(path, content)
    with Project() as repo:
        there = [out.def_path for out in obtainable(repo) if not out.exists]
        if not there:
            return
        try:
            repo.checkout(there)
        except (DvcException, OSError) as error:  # the refusal is what has to be told
            print(f"{', '.join(there)}: can't be brought back ({' '.join(str(error).split())}); `dvc checkout`", flush=True)
            return
        print(f"{', '.join(there)}: as before, since what was to take its place was refused", flush=True)


def in_order(graph: Any, targets: Sequence[str], without: Container[str]) -> list[str]:
    """The names of DVC's stages, each after those that it depends on."""
    import networkx

    starts = {stage.addressing: stage for stage in graph}
    if unknown := [name for name in targets if name not in starts]:
        raise ConfigError(f"{', '.join(unknown)}: no such stage in dvc.yaml")
    needed = {stage for name in targets or starts for stage in (starts[name], *networkx.descendants(graph, starts[name]))}
    every = [stage for stage in networkx.dfs_postorder_nodes(graph) if stage in needed]
    return [stage.addressing for stage in every if stage.addressing not in without]


def worded(error: Exception) -> RegattaError:
    """DVC's error with the exit code of its cause; a stage has already said what went wrong."""
    from dvc.lock import LockError
    from dvc.stage.exceptions import MissingDataSource, StageCmdFailedError

    causes = list(_causes(error))
    said = ": ".join(" ".join(str(cause).split()) for cause in causes)
    for cause in causes:
        if isinstance(cause, RegattaError):
            return cause
        if isinstance(cause, StageCmdFailedError):
            return _stage_error(str(error), str(cause))
        if isinstance(cause, LockError):
            return BusyError(f"{holder()} is at work in this project; wait for it or end it")
        if isinstance(cause, MissingDataSource | FileNotFoundError):
            return DataError(said)
        if isinstance(cause, BrokenPipeError):
            return _with_code(said, UNREAD)
        if isinstance(cause, OSError):
            return StorageError(_full(cause) if cause.errno in FULL else said)
    hint = "; say `git init`, or `dvc config core.no_scm true` to do without Git" if "not a git repo" in said else ""
    return ConfigError(f"DVC: {said}{hint}")


def _full(error: OSError) -> str:
    place = Path(error.filename2 or error.filename or CACHE)
    place = place.parent if place.suffix == ".tmp" else place  # under which DVC copies
    return (
        f"{os.path.relpath(place)}: {error.strerror}; free space on that disk (`dvc gc -w` removes from {CACHE} what the "
        "workspace does not need, or give DVC another place with `dvc cache dir PATH`), then say the same command again"
    )


def _stage_error(text: str, cause: str) -> RegattaError:
    code = re.search(r"exited with (-?\d+)", cause)
    status = int(code[1]) if code else 1
    words = f"{text} (exit code {status}, its message is above); DVC has kept nothing of it"
    return _with_code(words, status if status >= 0 else 128 - status)


def _with_code(words: str, code: int) -> RegattaError:
    error = RegattaError(words)
    error.exit_code = code
    return error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
