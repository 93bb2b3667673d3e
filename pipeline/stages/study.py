"""Run one study: a baseline and its variants over shared seeds, and what their differences say."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from pipeline.artifacts import published_dir, stage_dir, write_json, write_parquet
from pipeline.errors import ConfigError
from pipeline.mirror import mirror_study
from pipeline.runs.find import NOTHING, Asked
from pipeline.schema.cluster import ClusterConfig
from pipeline.schema.study import StudyConfig, StudyDefinition
from pipeline.schema.tracking import TrackingConfig
from pipeline.stages.entry import read_params, run_stage, section
from pipeline.stages.supervised import supervise
from pipeline.study.effects import Outcome, effects, told
from pipeline.study.plan import contrasts, variants
from pipeline.study.processes import Processes
from pipeline.study.run import CapacityOf, capacity_here, compute, cores, open_materials, plan
from pipeline.study.schedule import Workers
from pipeline.study.tables import cells_table, curves_table
from pipeline.wording import counted


def run(name: str, asked: Asked = NOTHING) -> None:
    """Read artifacts/prepare and artifacts/augment, write artifacts/study/NAME."""
    params = read_params()
    definitions = section(params, "study", StudyConfig).definitions
    if name not in definitions:
        raise ConfigError(f"study {name!r}: not defined; defined are {', '.join(definitions) or 'none'}")
    definition, place, materials = definitions[name], stage_dir("study") / name, open_materials(params)
    with pool_of(section(params, "cluster", ClusterConfig), asked.lost is not None) as (connect, workers):
        todo = plan(name, definition, params, materials, place, connect=connect, accept_code=asked.accept_code)
        print(
            f"study {name}: {counted(len(todo.cells), 'run')}, {len(todo.cells) - todo.num_missing} of them known already, "
            f"{counted(len(todo.jobs), 'group')} side by side",
            flush=True,
        )
        outcomes = compute(todo, workers)
    found = effects(name, definition, variants(definition), outcomes, contrasts(definition, params))
    basis = {part: params[part] for part in ("prepare", "augment", "model", "train")}
    basis |= {"study": params["study"]["definitions"][name], "dataset": materials.manifest.digest}
    with published_dir(place) as folder:
        write_parquet(folder / "cells.parquet", cells_table(outcomes))
        write_parquet(folder / "curves.parquet", curves_table(outcomes))
        write_json(folder / "effects.json", {**found, "basis": basis})
    for line in told(found):
        print(f"study {name}: {line}", flush=True)
    changes: dict[str, Any] = {variant.name: dict(variant.changes) for variant in variants(definition)}
    mirror_study(
        section(params, "tracking", TrackingConfig),
        name,
        [
            {
                "hash": outcome.result.hash,
                "variant": outcome.variant,
                "seed": outcome.seed,
                "fold": outcome.fold,
                "config": {**definition.baseline, **changes[outcome.variant], **_of_cell(outcome, definition)},
                **{part: getattr(outcome.result, part) for part in ("metrics", "rows", "failure")},
            }
            for outcome in outcomes
        ],
    )


def _of_cell(outcome: Outcome, definition: StudyDefinition) -> dict[str, Any]:
    """What makes a run of a variant this one."""
    fold = {} if outcome.fold is None else {"prepare.fold": [outcome.fold, definition.folds]}
    return {"train.seed": outcome.seed, **fold}


@contextmanager
def pool_of(config: ClusterConfig, again: bool) -> Iterator[tuple[Callable[[], CapacityOf], Workers]]:
    """How to connect to the workers, which tells what they can take, and the workers: processes here, or actors on Ray."""
    if config.kind == "local":
        yield lambda: capacity_here, Processes(cores())
        return
    from pipeline.distributed.connection import connected
    from pipeline.distributed.study import actors, capacity_there

    with ExitStack() as connection:

        def connect() -> CapacityOf:
            connection.enter_context(connected(config, cores(), again))
            return capacity_there

        yield connect, actors()


if __name__ == "__main__":
    name = sys.argv[1]
    run_stage(f"study-{name}", lambda: supervise(f"study {name}", partial(run, name)))
