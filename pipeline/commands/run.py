"""`regatta run`: overrides kept, `params.yaml` composed, every stage that is not up to date run by DVC."""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from pipeline.artifacts import (
    DIGESTS,
    cells_root,
    check_free,
    copy_whole,
    held,
    kept_dir,
    read_json,
    rejected_beside,
    runs_root,
    stage_dir,
    write_json,
)
from pipeline.backbones.named import check_library, leading_to, opened
from pipeline.commands.compose import Change, apply, change, given_paths
from pipeline.commands.data import is_there
from pipeline.commands.fitting import check_network, once_prepared, studies_on_run
from pipeline.commands.reproduce import REPORT, reproduce
from pipeline.commands.root import ROOT, seen_from
from pipeline.commands.signals import noted
from pipeline.config import Values
from pipeline.errors import DataError
from pipeline.kinds.keys import check_installed, data_section, kind_named
from pipeline.prepare.sources.layout import readable_name
from pipeline.report.summary import summary_lines
from pipeline.stages.supervised import ACCEPT_CODE, FRESH
from pipeline.wording import counted

LOCK = Path("artifacts/.run.lock")
NO_LINKS: Mapping[Path, Path] = {}


def run(options: argparse.Namespace) -> int:
    """Compose, reproduce, say where the report is."""
    if not (options.dry_run or options.smoke):
        check_free(LOCK)
    new = change(options.overrides, options.reset)
    check_installed(data_section(new.values))
    with leading_to(new.targets):
        _run(options, new)
    return 0


def _run(options: argparse.Namespace, new: Change) -> None:
    if options.dry_run:
        from pipeline.commands.plan import show_plan

        check_data(new.values, to_come=new.targets)
        check_network(new.values, studies_on_run(new.values))
        show_plan(new)
    elif options.smoke:
        from pipeline.commands.smoke import smoke

        smoke(new, options.stood)
    else:
        with held(LOCK):
            check_data(new.values, to_come=new.targets)
            check_network(new.values, studies_on_run(new.values))
            for line in apply(new, options.force):
                print(line, flush=True)
            for line in [*unwatched(new.values), *clear_old_studies(new.values)]:
                print(line, flush=True)
            pass_on(options)
            rejected_beside(stage_dir("prepare")).unlink(missing_ok=True)  # of an earlier refusal
            done = reproduce(
                without=left_alone(new.values),
                anew=["train"] if options.fresh else [],
                ask=once_prepared(new.values, studies_on_run(new.values)),
            )
            with noted():
                keep_records(done.uncached)
        for line in summary(done.stages, options.stood):
            print(line, flush=True)


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
    with leading_to(to_come):
        check_backbone(values)


def check_backbone(values: Values) -> None:
    """ConfigError where a pretrained network can't be used as its folder is."""
    layout = values["model"].get("backbone")
    if layout is None:
        return
    opened(layout, Path(values["model"]["backbone_path"]), kind_named(values))
    check_library(layout)


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
    from pipeline.study.stored import keep_pulled_results

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
                f"{key} = {path}: {counted(len(links), 'link')} to folders in it ({readable_name(links[0])}, ...), behind "
                "which DVC sees no change; after one say `dvc repro -f prepare`"
            )
    return lines


def left_alone(values: Values) -> list[str]:
    """The stages of studies that are run only when they are asked for."""
    return [f"study@{name}" for name in values["study"]["definitions"] if name not in studies_on_run(values)]


def keep_records(uncached: list[str]) -> None:
    """Keep beside the run what brings it back: `dvc.lock`, parameters, overrides, and the outputs that DVC does not keep."""
    path = stage_dir("train") / "run.json"
    folder = runs_root() / read_json(path)["id"] if path.exists() else None
    if folder is None or not folder.is_dir():
        return
    kept = kept_dir(folder.name)
    names = [name for name in ("dvc.lock", "params.yaml", "conf/overrides.yaml", *uncached) if Path(name).is_file()]
    digests = {name: copy_whole(Path(name), kept / name) for name in names}
    write_json(kept / DIGESTS, {name: digest for name, digest in digests.items() if name not in uncached})


def summary(stages: list[str], stood: Path = ROOT) -> list[str]:
    """What a user who stands somewhere in the project wants to know at the end."""
    lines = [] if stages else ["Nothing had to be run again."]
    return (
        [*lines, *summary_lines(Path("artifacts")), f"The report is {seen_from(stood, REPORT)}"] if REPORT.exists() else lines
    )


def pass_on(options: argparse.Namespace) -> None:
    """What the train stage is told by its environment, since it changes no result."""
    if options.accept_code:
        os.environ[ACCEPT_CODE] = "1"
    if getattr(options, "fresh", False):
        os.environ[FRESH] = secrets.token_hex(8)
