"""A study from its definition to every run's result: those known already are taken, the others computed and stored at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import artifacts
from pipeline.closure import code_digest
from pipeline.data.dataset import Manifest, open_dataset
from pipeline.data.memory import SHARE_OF_MEMORY, free_bytes
from pipeline.errors import ConfigError, StorageError
from pipeline.schema.study import StudyDefinition
from pipeline.study.effects import Outcome
from pipeline.study.job import Job, JobCell, grouped, state_path
from pipeline.study.materials import Material, Materials
from pipeline.study.plan import Cell, Configuration, cells, configuration, problems
from pipeline.study.schedule import Result, Workers, carried_out, clear_state
from pipeline.study.tables import results_of
from pipeline.train.identity import CODE, Identity, device_type, identity
from pipeline.train.program import Program, planned, threads_for
from pipeline.train.runs import ACCEPT_CODE


@dataclass(frozen=True)
class Planned:
    """A study's runs, which of them have results, and the jobs for the others."""

    cells: list[Cell]
    names: list[Identity]
    known: dict[str, Result]
    """By the hash of the run that is wanted."""
    accepted: set[str]
    """Hashes of runs whose known result is of older code."""
    jobs: list[Job]

    @property
    def num_missing(self) -> int:
        """Runs without a result."""
        return sum(len(job.cells) for job in self.jobs)


def plan(
    name: str,
    definition: StudyDefinition,
    values: Mapping[str, Any],
    materials: Materials,
    tables: Path | None = None,
    make: bool = True,
    num_workers: Callable[[int, str], int] | None = None,
) -> Planned:
    """The runs of a study on the prepared data. tables: a folder with cells.parquet and curves.parquet of earlier runs.

    make: write datasets and augmented copies that runs without a result need and that are not there. ConfigError names
    every variant that can't work before anything is computed.
    """
    if wrong := problems(definition, values, materials.manifest):
        raise ConfigError("\n".join(f"study {name}: {line}" for line in wrong))
    chosen = cells(definition, values)
    found = [materials.of(cell.config) for cell in chosen]
    names = [
        identity(cell.config.model, cell.config.train, material.dataset, material.views, materials.device)
        for cell, material in zip(chosen, found, strict=True)
    ]
    known, accepted = known_results(names, definition.test, tables)
    missing = [(cell, material, own) for cell, material, own in zip(chosen, found, names, strict=True) if own.run not in known]
    jobs = _jobs(missing, materials, definition.test, make, num_workers or workers_here)
    return Planned(chosen, names, known, accepted, jobs)


def known_results(names: Sequence[Identity], test: bool, tables: Path | None) -> tuple[dict[str, Result], set[str]]:
    """Results by the hash of the run that is wanted, and the hashes of those that older code computed (--accept-code)."""
    stored = pulled_results(tables)
    known: dict[str, Result] = {}
    accepted = set()
    for own in names:
        result = _stored(own.run, stored)
        if result is not None and usable(result, test):
            known[own.run] = result
    if os.environ.get(ACCEPT_CODE) and len(known) < len(names):
        older = {result["without_code"]: result for result in [*_all_stored(), *stored.values()] if usable(result, test)}
        for own in names:
            if own.run not in known and own.without_code in older:
                known[own.run] = older[own.without_code]
                accepted.add(own.run)
    return known, accepted


def usable(result: Result, test: bool) -> bool:
    """Whether a result has all that is asked for."""
    return not test or "test_loss" in result["metrics"]


def pulled_results(tables: Path | None) -> dict[str, Result]:
    """The results that a study's tables hold; none where there are no tables, which is said where they can't be read."""
    if tables is None or not (tables / "cells.parquet").exists():
        return {}
    try:
        return results_of(tables / "cells.parquet", tables / "curves.parquet")
    except StorageError as error:
        print(f"study: {error}; what they hold is computed again", flush=True)
        return {}


def place(name: str) -> Path:
    """The file of a run's result."""
    return artifacts.runs_root() / "cells" / f"{name}.json"


def _stored(name: str, tables: Mapping[str, Result]) -> Result | None:
    if not place(name).exists():
        return tables.get(name)
    try:
        result: Result = artifacts.read_json(place(name))
    except StorageError as error:
        print(f"study: {error}; this run is computed again", flush=True)
        return None
    return result


def _all_stored() -> list[Result]:
    """Every stored result, oldest first."""
    files = sorted((artifacts.runs_root() / "cells").glob("*.json"), key=lambda file: file.stat().st_mtime)
    return [result for file in files if (result := _stored(file.stem, {})) and "without_code" in result]


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def workers_here(threads: int, device: str) -> int:
    """Jobs at once on this machine: each with its threads, one on a GPU."""
    return 1 if device == "cuda" else max(1, cores() // threads)


def _jobs(
    missing: Sequence[tuple[Cell, Material, Identity]],
    materials: Materials,
    test: bool,
    make: bool,
    num_workers: Callable[[int, str], int],
) -> list[Job]:
    """Runs of one program and one dataset side by side; first those whose saved state can be gone on from."""
    groups: dict[tuple[Program, str, int], list[JobCell]] = {}
    paths: dict[str, Path] = {}
    done: dict[str, None] = {}
    device = materials.device
    for cell, material, own in missing:
        if own.run in done:
            continue
        done[own.run] = None
        manifest = _manifest(materials, cell, material, make)
        program, lane = planned(cell.config.model, cell.config.train, manifest)
        if make:
            materials.make_views(cell.config)
        views_path = str(material.views_path.absolute()) if material.views_path else None
        one = JobCell(own.run, own.without_code, lane, cell.config.augment, material.views, views_path)
        threads = threads_for(program, cell.config.train.threads)
        groups.setdefault((program, material.dataset, threads), []).append(one)
        paths[material.dataset] = material.data_path.absolute()
    code, states = code_digest(CODE), saved_states()
    jobs = []
    for (program, dataset, threads), together in groups.items():
        num = num_workers(threads, device)
        left = {one.hash: one for one in together}
        parts = []
        for names in states:
            if names.keys() <= left.keys():
                parts.append(tuple(left.pop(name) for name in names))
        free = int(free_bytes(device) * SHARE_OF_MEMORY) // num
        parts += grouped(list(left.values()), program, num, device, lambda free=free: free) if left else []  # type: ignore[misc]
        jobs += [Job(program, part, str(paths[dataset]), device, threads, state_path(part), code, test) for part in parts]
    return jobs


def _manifest(materials: Materials, cell: Cell, material: Material, make: bool) -> Manifest:
    """Of a run's dataset; where it is not there and is not to be made, the pipeline's own stands for it."""
    if make:
        return materials.dataset(cell.config).manifest
    path = material.data_path
    return open_dataset(path).manifest if (path / "dataset.json").exists() else materials.manifest


def saved_states() -> list[dict[str, None]]:
    """The hashes of the runs, in order, of each saved state that is whole."""
    found = []
    for file in sorted((artifacts.runs_root() / "cells").glob("*.safetensors")):
        try:
            _, values = artifacts.load_tensors(file)
        except StorageError as error:
            print(f"study: {error}; its runs start again", flush=True)
            file.unlink()
            continue
        found.append(dict.fromkeys(values.get("cells", ["?"])))
    return found


def compute(planned_study: Planned, workers: Workers) -> list[Outcome]:
    """The outcome of every run; those without a result are computed now, and each result is stored as it comes."""
    results = dict(planned_study.known)

    def take(job: Job, own: list[Result]) -> None:
        for result in own:
            artifacts.write_json(place(result["hash"]), result)
            results[result["hash"]] = result
        clear_state(job)

    given_up = carried_out(planned_study.jobs, workers, take, len(planned_study.known)) if planned_study.jobs else []
    for job, reason in given_up:
        results |= {one.hash: _given_up(job, one, reason) for one in job.cells}
    return [
        Outcome(cell.variant, cell.seed, results[own.run], own.run in planned_study.accepted)
        for cell, own in zip(planned_study.cells, planned_study.names, strict=True)
    ]


def _given_up(job: Job, one: JobCell, reason: str) -> Result:
    """A run that took its workers with it; not stored, so that it is tried again next time."""
    return {
        "hash": one.hash,
        "without_code": one.without_code,
        "code": job.code,
        "failure": reason,
        "ended": "lost",
        "device": job.device,
        "num_threads": job.threads,
        "num_together": 1,
        "metrics": {},
        "rows": [],
    }


def open_materials(values: Mapping[str, Any]) -> Materials:
    """Of the pipeline as params.yaml describes it and `prepare` and `augment` have left it."""
    own: Configuration = configuration(values)
    return Materials(own, artifacts.stage_dir("prepare"), artifacts.stage_dir("augment"), device_type(own.train.device))
