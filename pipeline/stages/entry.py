"""How a stage starts and ends: parameters checked, one at a time, dying with its parent, exit codes by kind of error."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pipeline.artifacts import PARAMS, held, stage_dir
from pipeline.errors import ENDS, ConfigError, Interrupted, Stopped
from pipeline.processes import STARTER, die_with_parent, full_disk_told, memory_limit_told, parent_process, quiet_when_unread
from pipeline.schema.base import S, validated
from pipeline.schema.reading import check_conf, read_parameters
from pipeline.train.stopping import Process, handle

OVERRIDES = Path("conf/overrides.yaml")


def read_params() -> dict[str, Any]:
    """`params.yaml` as it stands."""
    return read_parameters(PARAMS)


def read_sections(*names: str) -> dict[str, Any]:
    """`params.yaml`, which has these sections."""
    params = read_params()
    for name in names:
        if not isinstance(params.get(name), dict):
            raise ConfigError(f"{PARAMS}: section {name} is missing; compose it with `regatta compose`")
    return params


def section(params: dict[str, Any], name: str, schema: type[S]) -> S:
    """One checked section of the parameters."""
    if not isinstance(params.get(name), dict):
        raise ConfigError(f"{PARAMS}: section {name} is missing; compose it with `regatta compose`")
    return validated(schema, params[name], name)


def run_stage(stage: str, body: Callable[[], None]) -> None:
    """Run a stage as a program of its own, which says what is overridden."""

    def told() -> None:
        check_conf(OVERRIDES.parent, str(OVERRIDES.parent))  # DVC's own commands compose it, too
        if words := overridden():
            print(f"{stage}: overridden: {' '.join(words)}", flush=True)
        body()

    run_program(stage, told)


def run_program(stage: str, body: Callable[[], None]) -> None:
    """Run alone among those of its name, and exit with the code of what went wrong, if anything did."""
    die_with_parent(os.environ.get(STARTER) or parent_process())
    if _dvc_has_gone():
        sys.exit(Stopped.exit_code)
    handle(Process.end_unless_asked, (signal.SIGTERM, signal.SIGHUP))
    with quiet_when_unread():
        try:
            with memory_limit_told(), full_disk_told(), held(stage_dir(stage).parent / f".{stage}.lock"):
                body()
        except ENDS as error:
            print(f"regatta {stage}: {error}", file=sys.stderr, flush=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            words = "stopped by Ctrl-C; the same command starts this stage again"
            print(f"regatta {stage}: {words}", file=sys.stderr, flush=True)
            sys.exit(Interrupted.exit_code)


def _dvc_has_gone() -> bool:
    """Whether `dvc repro`, which hands nothing over, was killed before this stage could ask to end with it.

    DVC starts a stage in its own session; what takes the place of a parent that has died is of another.
    """
    return "DVC_ROOT" in os.environ and os.getsid(os.getppid()) != os.getsid(0)


def overridden() -> list[str]:
    """What `conf/overrides.yaml` sets, with the values that `params.yaml` has."""
    try:
        found = yaml.safe_load(OVERRIDES.read_text(encoding="utf-8")) if OVERRIDES.exists() else None
    except yaml.YAMLError:
        return [f"({OVERRIDES} can't be read)"]
    values = dict(found) if isinstance(found, dict) else {}
    entries = [entry for entry in values.pop("defaults", None) or [] if isinstance(entry, dict)]
    files = [f"{name.removeprefix('override /')}={file}" for entry in entries for name, file in entry.items()]
    leaves = [(key.split("."), value) for key, value in _leaves(values, read_params(), "") if key]
    # A whole study is one word of the line.
    return files + list(dict.fromkeys(".".join(key[:3]) + (f"={value}" if len(key) <= 3 else "=...") for key, value in leaves))


def _leaves(values: Any, params: Any, above: str) -> list[tuple[str, Any]]:
    """The dotted keys of nested values, with what `params` holds there."""
    if not isinstance(values, dict) or not isinstance(params, dict):
        return [(above, params)]
    found = [_leaves(inner, params.get(name), f"{above}.{name}" if above else name) for name, inner in values.items()]
    return [leaf for leaves in found for leaf in leaves]
