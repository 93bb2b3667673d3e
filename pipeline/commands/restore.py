"""`regatta restore ID`: the configuration and the artifacts of a run as they were, as far as they are still kept."""

from __future__ import annotations

import argparse
import shutil
import subprocess

from pipeline.artifacts import PARAMS, held, kept_dir, write_bytes
from pipeline.commands.compose import ask
from pipeline.commands.run import LOCK, clear_old_studies
from pipeline.commands.runs import current_id
from pipeline.config import Values, composed, differences, edited, read_values, write_params
from pipeline.errors import ConfigError, StorageError
from pipeline.overrides import FILE, Overrides, candidate, read_overrides, write_overrides
from pipeline.train.runs import RunFolder, all_runs

OVERRIDES = f"conf/{FILE}"


def restore(options: argparse.Namespace) -> int:
    """Bring the run back, and say what could not be."""
    run = find(options.run)
    values = read_values(run.path / PARAMS)
    if values is None:
        raise StorageError(f"{run.path / PARAMS}: missing or torn, so the run's configuration can't be brought back")
    with held(LOCK):
        before = read_values() or {}
        if edited() and before != values and not options.force:
            ask(before, values)
        lines = [*_restore_configuration(run, values), *clear_old_studies(values), *_restore_artifacts(run, options.force)]
        for line in lines:
            print(line, flush=True)
    return 0


def find(name: str) -> RunFolder:
    """The run of that name, or of the only name that begins so."""
    found = [folder for folder, _ in all_runs()]
    matching = [run for run in found if run.id == name] or [run for run in found if run.id.startswith(name)]
    if len(matching) != 1:
        what = f"fits {', '.join(run.id for run in matching)}" if matching else "is no run of this project"
        raise ConfigError(f"{name}: {what}; `regatta runs` shows them")
    return matching[0]


def _restore_configuration(run: RunFolder, values: Values) -> list[str]:
    """`params.yaml` as it was, and the overrides where conf/ still makes the same of them."""
    kept, now = kept_dir(run.id) / OVERRIDES, read_overrides()
    overrides = read_overrides(kept.parent) if kept.exists() else None
    lines = [f"{PARAMS}: that of {run.id}"]
    if overrides is not None:
        write_overrides(overrides)
        lines += [f"{OVERRIDES}: {' '.join(overrides.words()) or 'nothing'} (was: {' '.join(now.words()) or 'nothing'})"]
    made = _composed_with(overrides or now)
    if made == values:
        write_params(values)
    else:
        # Without the digest line, so that `regatta run` asks before it composes over these values.
        text = (run.path / PARAMS).read_text(encoding="utf-8")
        write_bytes(PARAMS, "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#")).encode())
        lines.append("conf/ no longer composes to it; `dvc repro` runs it as it stands, `regatta run` would change")
        lines += [f"  {line}" for line in differences(values, made or {})]
    return lines


def _composed_with(overrides: Overrides) -> Values | None:
    try:
        with candidate(overrides) as conf:
            return composed(conf)
    except ConfigError:
        return None


def _restore_artifacts(run: RunFolder, force: bool) -> list[str]:
    """`dvc.lock` as it was, and what DVC's cache still has of its outputs."""
    lock = kept_dir(run.id) / "dvc.lock"
    if not lock.exists():
        return [
            f"{run.id} has no dvc.lock (it did not end within `regatta run`); `dvc repro` fetches or computes its artifacts"
        ]
    shutil.copyfile(lock, "dvc.lock")
    missing = _checkout(force)
    for path in sorted((kept_dir(run.id) / "artifacts").rglob("*")):
        if path.is_file():
            place = path.relative_to(kept_dir(run.id))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    lines = [f"{path}: no longer in DVC's cache; `dvc pull` or `dvc repro` brings it back" for path in missing]
    if current_id() != run.id:
        lines.append("artifacts/train is not that run's")
    return [*lines, *_code_note(run)] or ["artifacts/: those of the run"]


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
    """Where the code is another than the run's, DVC will see its stages as stale."""
    then = str(run.read().get("commit") or "")
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    same = not then or done.returncode != 0 or then.rstrip("+") == done.stdout.strip()
    return [] if same else [f"the code is not that of the run (commit {then[:10]}); `dvc repro` may run stages again"]
