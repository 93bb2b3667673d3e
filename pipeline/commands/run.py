"""`regatta run`: overrides kept, `params.yaml` composed, every stage that is not up to date run by DVC."""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shutil
import signal
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.artifacts import CODE, cells_root, held, read_json, runs_root, stage_dir
from pipeline.commands.compose import apply, change, given_paths
from pipeline.commands.data import is_there
from pipeline.commands.runs import KEPT
from pipeline.config import Values
from pipeline.data.sources.layout import readable_name
from pipeline.errors import BusyError, ConfigError, DataError, RegattaError, Stopped, StorageError
from pipeline.report.summary import summary_lines

LOCK = Path("artifacts/.run.lock")
REPORT = stage_dir("report") / "index.html"
NO_LINKS: Mapping[Path, Path] = {}


@dataclass(frozen=True)
class Reproduced:
    """What DVC did."""

    stages: list[str]
    """That were not up to date, the digests of their code aside."""
    uncached: list[str]
    """Outputs that Git keeps, not DVC."""


def run(options: argparse.Namespace) -> int:
    """Compose, reproduce, say where the report is."""
    new = change(options.overrides, options.reset)
    if options.dry_run:
        from pipeline.commands.plan import show_plan

        check_data(new.values, to_come={link.path: link.target for link in new.links})
        show_plan(new)
    elif options.smoke:
        from pipeline.commands.smoke import smoke

        smoke(new)
    else:
        with held(LOCK):
            for line in apply(new, options.force):
                print(line, flush=True)
            check_data(new.values)
            for line in [*unwatched(new.values), *clear_old_studies(new.values)]:
                print(line, flush=True)
            pass_on(options)
            done = reproduce(without=left_alone(new.values))
            keep_records(done.uncached)
        for line in summary(done.stages):
            print(line, flush=True)
    return 0


def check_data(values: Values, to_come: Mapping[Path, Path] = NO_LINKS) -> None:
    """DataError where the data is not on this machine, or DVC can't hash it. `to_come`: links to be made, and their targets."""
    from pipeline.commands.hashing import check_hashable

    for key, path in given_paths(values).items():
        place = to_come.get(path, path)
        if not is_there(place, f"{key} = {path}"):
            raise DataError(
                f"{key} = {path}: nothing there; make the link with `regatta data link {path.name} PATH`, or say `dvc pull`"
            )
        check_hashable(f"{key} = {readable_name(place)}", place)


def clear_old_studies(values: Values) -> list[str]:
    """Remove the artifacts of studies that are no longer defined: DVC leaves them, and the report depends on the folder.

    The results that their tables hold are kept: in a clone that has pulled them they are nowhere else.
    """
    old = [path for path in stage_dir("study").glob("*") if path.is_dir() and path.name not in values["study"]["definitions"]]
    lines = []
    for path in old:
        kept = _kept_results(path)
        shutil.rmtree(path)
        lines.append(f"{path}: removed, since this study is no longer defined{kept}")
    return lines


def _kept_results(tables: Path) -> str:
    """Keep the results of a study's tables in `runs/cells`; what to say of it."""
    if not (tables / "cells.parquet").exists():
        return ""
    from pipeline.study.run import keep_pulled_results

    return f"; its {keep_pulled_results(tables)} results are kept in {cells_root()}"


def unwatched(values: Values) -> list[str]:
    """What DVC does not see of the data: it follows a link to a file or to the data itself, not one to a folder inside it."""
    lines = []
    for key, path in given_paths(values).items():
        if path.is_file() and values["data"]["source"] == "csv":
            lines.append(f"{key} = {path}: DVC watches the table alone; give its folder, so that a changed image is seen too")
        links = [Path(folder, name) for folder, names, _ in os.walk(path) for name in names if Path(folder, name).is_symlink()]
        if links:
            lines.append(
                f"{key} = {path}: {len(links)} links to folders in it ({links[0]}, ...), behind which DVC sees no change; "
                "after one say `dvc repro -f prepare`"
            )
    return lines


def left_alone(values: Values) -> list[str]:
    """The stages of studies that are run only when they are asked for."""
    on_run = values["study"]["on_run"]
    return [] if on_run is None else [f"study@{name}" for name in values["study"]["definitions"] if name not in on_run]


def reproduce(targets: Sequence[str] = (), without: Container[str] = (), then: Sequence[str] = ()) -> Reproduced:
    """`dvc repro` within this process, so that a stage's own exit code is known.

    targets: stages, with those that they depend on; all if there are none. without: stages to leave alone. then: stages
    to come after them, without those that they depend on.
    """
    from dvc.exceptions import DvcException

    from pipeline.commands.hashing import Project

    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    try:
        with sigterm_passed_on(), Project() as repo:
            repo.scm_context.quiet = True  # no advice about core.autostage
            names = [*in_order(repo.index.graph, targets, without), *then]
            stages = [stage.addressing for stage in repo.reproduce(names, single_item=True)]
            return Reproduced(
                [name for name in stages if name != CODE], [out.def_path for out in repo.index.outs if not out.use_cache]
            )
    except (DvcException, OSError) as error:
        told = worded(error)
        if told.exit_code in (ConfigError.exit_code, DataError.exit_code):
            bring_back()
        raise told from None


def bring_back() -> None:
    """What DVC has removed for a stage that was then refused comes back from its cache, as `dvc.lock` still has it."""
    from dvc.exceptions import DvcException

    from pipeline.commands.hashing import Project

    with Project() as repo:
        gone = [out for out in repo.index.outs if out.use_cache and out.hash_info and not out.exists]
        there = [out.def_path for out in gone if repo.cache.local.exists(out.hash_info.value)]
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


@contextmanager
def sigterm_passed_on() -> Iterator[None]:
    """Hand SIGTERM to the stage, which saves its state and ends; without one, stop here."""

    def hand_on(*_: Any) -> None:
        children = [int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]
        for pid in children:
            os.kill(pid, signal.SIGTERM)
        if not children:
            raise Stopped("stopped between two stages; the same command goes on from here")

    before = signal.signal(signal.SIGTERM, hand_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def keep_records(uncached: list[str]) -> None:
    """Keep beside the run what brings its artifacts back: `dvc.lock`, the overrides, the outputs that DVC does not keep."""
    path = stage_dir("train") / "run.json"
    folder = runs_root() / read_json(path)["id"] if path.exists() else None
    if folder is None or not folder.is_dir():
        return
    for name in ("dvc.lock", "conf/overrides.yaml", *uncached):
        if Path(name).is_file():
            kept = folder / KEPT / name
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(name, kept)


def summary(stages: list[str]) -> list[str]:
    """What a user wants to know at the end."""
    lines = [] if stages else ["Nothing had to be run again."]
    return [*lines, *summary_lines(Path("artifacts")), f"The report is {REPORT}"] if REPORT.exists() else lines


def pass_on(options: argparse.Namespace) -> None:
    """What the train stage is told by its environment, since it changes no result."""
    if options.accept_code:
        os.environ["REGATTA_ACCEPT_CODE"] = "1"
    if getattr(options, "fresh", False):
        os.environ["REGATTA_FRESH"] = secrets.token_hex(8)


def worded(error: Exception) -> RegattaError:
    """DVC's error with the exit code of its cause; a stage has already said what went wrong."""
    from dvc.lock import LockError
    from dvc.stage.exceptions import MissingDataSource, StageCmdFailedError

    causes = list(_causes(error))
    said = ": ".join(" ".join(str(cause).split()) for cause in causes)
    for cause in causes:
        if isinstance(cause, StageCmdFailedError):
            return _stage_error(str(error), str(cause))
        if isinstance(cause, LockError):
            return BusyError("another DVC command is at work in this project; wait for it or end it")
        if isinstance(cause, MissingDataSource | FileNotFoundError):
            return DataError(said)
        if isinstance(cause, OSError):
            return StorageError(said)
    hint = "; say `git init`, or `dvc config core.no_scm true` to do without Git" if "not a git repo" in said else ""
    return ConfigError(f"DVC: {said}{hint}")


def _stage_error(text: str, cause: str) -> RegattaError:
    found = re.search(r"exited with (-?\d+)", cause)
    status = int(found[1]) if found else 1
    error = RegattaError(f"{text} (exit code {status}, its message is above); DVC has kept nothing of it")
    error.exit_code = status if status >= 0 else 128 - status
    return error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
