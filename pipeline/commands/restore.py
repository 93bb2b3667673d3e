"""`regatta restore ID`: the configuration and the artifacts of a run as they were, as far as they are still kept."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.artifacts import (
    CODE,
    DIGESTS,
    PARAMS,
    check_copy,
    check_free,
    copy_whole,
    held,
    kept_dir,
    read_json,
    stage_dir,
    write_bytes,
)
from pipeline.commands.checks import check
from pipeline.commands.compose import ask
from pipeline.commands.dvc_files import is_whole
from pipeline.commands.reproduce import REPORT
from pipeline.commands.run import LOCK, clear_old_studies
from pipeline.config import Values, composed, differences, edited, merged, read_values, write_params
from pipeline.errors import ConfigError, StorageError
from pipeline.kinds.keys import kind_named
from pipeline.overrides import FILE, Overrides, candidate, read_overrides, write_overrides
from pipeline.report.outdated import unmark
from pipeline.runs.find import run_named
from pipeline.runs.folder import RunFolder
from pipeline.runs.identity import training_code
from pipeline.schema.model import is_extended
from pipeline.stages.code import locked_digest

OVERRIDES = f"conf/{FILE}"
GO_ON = {
    "finished": "`regatta run` takes its weights as they are and computes the rest",
    "failed": "its training failed, and `regatta run` tries it again from the start",
}
"""What to do with a run that has left no artifacts; any other was stopped."""


def restore(options: argparse.Namespace) -> int:
    """Bring the run back, and say what could not be; StorageError where artifacts that it had are no longer kept."""
    check_free(LOCK)
    run = run_named(options.run)
    check_kept(run)
    values = read_values(kept_file(run, PARAMS))
    if values is None:
        raise StorageError(f"{kept_file(run, PARAMS)}: missing or torn, so the run's configuration can't be brought back")
    with held(LOCK):
        before = read_values() or {}
        if edited() and before != values and not options.force:
            ask(before, values)
        for line in [*_restore_configuration(run, values), *clear_old_studies(values)]:
            print(line, flush=True)
        missing = _restore_artifacts(run, options.force)
        for line in _code_note(run):
            print(line, flush=True)
    if missing:
        raise StorageError(
            f"{', '.join(missing)}: no longer in DVC's cache, so not brought back; `dvc pull` fetches what a remote has, "
            "`regatta run` computes the rest again"
        )
    return 0


def check_kept(run: RunFolder) -> None:
    """StorageError where a copy that the run is brought back from is torn or was changed."""
    kept = kept_dir(run.id)
    digests = read_json(kept / DIGESTS) if (kept / DIGESTS).exists() else {}
    for name, digest in digests.items():
        check_copy(kept / name, digest)
    for name, digest in run.read().get("files", {}).items():  # older runs have none
        check_copy(run.path / name, digest)


def kept_file(run: RunFolder, path: Path) -> Path:
    """A file as it was when `regatta run` ended with this run, else as it was when its training began."""
    kept = kept_dir(run.id) / path
    return kept if kept.exists() else run.path / path.name


def _restore_configuration(run: RunFolder, values: Values) -> list[str]:
    """`params.yaml` as it was, with overrides under which conf/ composes to it, so that `regatta run` goes on from there."""
    now, file = read_overrides(), kept_file(run, Path(OVERRIDES))
    kept = read_overrides(file.parent) if file.exists() else Overrides()
    overrides, made = fitting(kept, values)
    lines = [f"{PARAMS}: that of {run.id}"]
    if made is None:
        # Without the digest line, so that `regatta run` asks before it composes over these values.
        text = kept_file(run, PARAMS).read_text(encoding="utf-8")
        write_bytes(PARAMS, "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#")).encode())
        return [*lines, "conf/ and the code no longer take it; `regatta run --force` gives it up and composes conf/"]
    write_params(made)
    write_overrides(overrides)
    lines += [f"{OVERRIDES}: {' '.join(overrides.words()) or 'nothing'} (was: {' '.join(now.words()) or 'nothing'})"]
    if overrides != kept:
        lines.append("conf/ is another than the run's; the overrides keep what the run had")
    return lines + [f"  not in the run: {line}" for line in differences(values, made)]


def fitting(overrides: Overrides, values: Values) -> tuple[Overrides, Values | None]:
    """The overrides, and further ones where conf/ has changed, that make these values, and what they make.

    Keys that are new in conf/ are made beside them. None: conf/ or the schema no longer takes the values.
    """
    for start in (overrides, Overrides()):  # the second: a file that the first name is gone
        try:
            wanted = Overrides(start.files, merged(start.values, _otherwise(values, _composed_with(start))))
            made = _composed_with(wanted)
            check(made)
            return wanted, made
        except ConfigError:
            continue
    return overrides, None


def _otherwise(values: Mapping[str, Any], made: Mapping[str, Any]) -> Values:
    """What values have that was made otherwise, nested: the keys of a study's variants have dots in them."""
    nested = {}
    for key, value in values.items():
        other = made.get(key)
        if key not in made or other != value or type(other) is not type(value):
            nested[key] = _otherwise(value, other) if isinstance(value, Mapping) and isinstance(other, Mapping) else value
    return nested


def _composed_with(overrides: Overrides) -> Values:
    with candidate(overrides) as conf:
        return composed(conf)


def _restore_artifacts(run: RunFolder, force: bool) -> list[str]:
    """`dvc.lock` as it was, and what DVC's cache still has of its outputs; those that it has no longer."""
    lock = kept_dir(run.id) / "dvc.lock"
    if not lock.exists():
        stopped = "it was stopped, and `regatta run` goes on from its last save"
        print(f"artifacts/: {run.id} has left none; {GO_ON.get(run.read().get('state', ''), stopped)}", flush=True)
        return []
    if not is_whole(lock.read_bytes()):
        raise StorageError(f"{lock}: torn, so the run's artifacts can't be brought back; `regatta run` computes them again")
    copy_whole(lock, Path("dvc.lock"))
    unmark(REPORT)  # of a run that failed since: to DVC a change of the user's
    missing = _checkout(force)
    for path in sorted((kept_dir(run.id) / "artifacts").rglob("*")):
        if path.is_file():
            copy_whole(path, path.relative_to(kept_dir(run.id)))
    if not missing:
        print("artifacts/: those of the run", flush=True)
    return missing


def _checkout(force: bool) -> list[str]:
    """`dvc checkout`; the outputs that could not be brought back."""
    from dvc.exceptions import CheckoutError, DvcException

    from pipeline.commands.cache import obtainable
    from pipeline.commands.project import Project

    try:
        with Project() as repo:
            obtainable(repo)  # what is not whole goes, so that the checkout names it as missing
            repo.checkout(force=force)
    except CheckoutError as error:
        return sorted(str(target) for target in error.target_infos)
    except DvcException as error:
        what = " ".join(str(error).split())
        raise StorageError(f"dvc checkout: {what}; --force gives up artifacts that DVC does not keep") from None
    return []


def _code_note(run: RunFolder) -> list[str]:
    """Where the code of a stage is another than the run's, so that it will run again."""
    lock = kept_dir(run.id) / "dvc.lock"
    stages = (yaml.safe_load(lock.read_text(encoding="utf-8")) or {}).get("stages", {}) if lock.exists() else {}
    kind = kind_named(read_values(kept_file(run, PARAMS)) or {})
    digests = [(Path(dep["path"]), dep["md5"]) for stage in stages.values() for dep in stage.get("deps", [])]
    other = {path.name for path, then in digests if path.parent == stage_dir(CODE) and then != locked_digest(path.name, kind)}
    model = (read_values(run.path / PARAMS.name) or {}).get("model") or {}
    extended = is_extended(model.get("arch", ""), model.get("name"), model.get("backbone"))
    other |= {"train"} if run.read()["hashes"]["code"] != training_code(kind, extended=extended) else set()
    if not other:
        return []
    commit = run.read().get("commit")
    where = f"commit {commit[:10]}{' and changes' if commit.endswith('+') else ''}" if commit else "no commit is recorded"
    return [f"the code of {', '.join(sorted(other))} is not that of the run ({where}); `regatta run` runs it again"]
