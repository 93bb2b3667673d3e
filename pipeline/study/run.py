"""A study from its definition to every run's result: those known already are taken, the others computed and stored at once.

Runners of the same runs over one folder of results share them out (claims.py).
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import active_children
from pathlib import Path
from typing import Any, TypeVar

from pipeline import artifacts
from pipeline.data.dataset import Manifest, open_dataset
from pipeline.data.memory import SHARE_OF_MEMORY, free_bytes
from pipeline.errors import BusyError, ConfigError, StorageError
from pipeline.runs.identity import Identity, identity
from pipeline.runs.reads import record_reads
from pipeline.schema.study import StudyDefinition
from pipeline.study.claims import Claims
from pipeline.study.effects import Outcome
from pipeline.study.job import Capacity, Job, JobCell, grouped, state_path
from pipeline.study.materials import Material, Materials
from pipeline.study.plan import Cell, Configuration, cells, configuration, problems, variants
from pipeline.study.result import Result
from pipeline.study.samples import Judged, judged, other_samples
from pipeline.study.schedule import Workers, carry_out, clear_state
from pipeline.study.stored import known_results, place, stored_result, usable
from pipeline.train.device import device_type
from pipeline.train.program import program_of
from pipeline.wording import counted

LOOK_EVERY_S = 1.0
T = TypeVar("T")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


CapacityOf = Callable[[int, str], Capacity]
"""From the threads of a job and the device."""


def capacity_here(threads: int, device: str) -> Capacity:
    """On this machine: each job with its threads, one on a GPU."""
    num = 1 if device == "cuda" else max(1, cores() // threads)
    return Capacity(num, int(free_bytes(device) * SHARE_OF_MEMORY) // num)


@dataclass(frozen=True)
class StudyPlan:
    """A study's runs, which of them have results, and the jobs for the others."""

    cells: list[Cell]
    names: list[Identity]
    known: dict[str, Result]
    """By the hash of the run that is wanted."""
    accepted: set[str]
    """Hashes of runs whose known result is of older code."""
    jobs: list[Job]
    capacity: CapacityOf = capacity_here

    @property
    def num_missing(self) -> int:
        """Runs without a result."""
        return sum(len(job.cells) for job in self.jobs)

    @property
    def workers(self) -> int:
        """How many of its jobs can run at once."""
        return max((self.capacity(job.threads, job.device).num for job in self.jobs), default=0)


def plan(
    name: str,
    definition: StudyDefinition,
    values: Mapping[str, Any],
    materials: Materials,
    tables: Path | None = None,
    make: bool = True,
    connect: Callable[[], CapacityOf] = lambda: capacity_here,
    accept_code: bool = False,
) -> StudyPlan:
    """The runs of a study on the prepared data. tables: a folder with cells.parquet and curves.parquet of earlier runs.

    make: write datasets and augmented copies that runs without a result need and that are not there. connect: to where
    they are computed, called where there are such runs, before anything is made. accept_code: take results of older code.
    ConfigError names every variant that can't work, or is judged on other samples than others, before anything is computed.
    """
    if wrong := problems(definition, values, materials.manifest):
        raise ConfigError("\n".join(f"study {name}: {line}" for line in wrong))
    materials = materials.reading(definition.reads_test)
    chosen = cells(definition, values)
    found = [materials.of(cell.config) for cell in chosen]
    names = [
        identity(cell.config.model, cell.config.train, material.kind, material.dataset, material.views, materials.device)
        for cell, material in zip(chosen, found, strict=True)
    ]
    known, accepted = known_results(names, definition.reads_test, tables, accept_code)
    missing = [(cell, material, own) for cell, material, own in zip(chosen, found, names, strict=True) if own.run not in known]
    capacity = connect() if missing else capacity_here
    _check_samples(name, definition, list(zip(chosen, found, names, strict=True)), known, materials, make)
    jobs = cut_to_fit(_jobs(missing, materials, definition.reads_test, make), capacity, tidy=make)
    return StudyPlan(chosen, names, known, accepted, jobs, capacity)


def _check_samples(
    name: str,
    definition: StudyDefinition,
    runs: Sequence[tuple[Cell, Material, Identity]],
    known: Mapping[str, Result],
    materials: Materials,
    make: bool,
) -> None:
    """Refuse to compare what is judged on other samples. Datasets that are neither there nor to be made are left out."""
    found: dict[int | None, dict[str, list[Judged]]] = {}
    for cell, _, _ in runs:
        found.setdefault(cell.fold, {})[cell.variant] = []
    by_path: dict[Path, Judged] = {}
    for cell, material, own in runs:
        if own.run in known:
            result = known[own.run]
            assert result.val_samples is not None  # it would not be usable
            test_samples = result.test_samples if definition.reads_test else None
            found[cell.fold][cell.variant].append(Judged(result.val_samples, test_samples))
        elif make or (material.data_path / "dataset.json").exists():
            if material.data_path not in by_path:
                data = _patiently(lambda cell=cell: materials.dataset(cell.config))  # type: ignore[misc]
                by_path[material.data_path] = judged(data, definition.reads_test)
            found[cell.fold][cell.variant].append(by_path[material.data_path])
    configs = {cell.variant: cell.config for cell, _, _ in runs}
    every, words = variants(definition), lambda variant: materials.differences(configs[variant], folds=False)
    wrong = dict.fromkeys(line for of_fold in found.values() for line in other_samples(every, of_fold, words))
    if lines := [f"study {name}: {line}" for line in wrong]:
        raise ConfigError("\n".join(lines))


def _jobs(
    missing: Sequence[tuple[Cell, Material, Identity]],
    materials: Materials,
    test: bool,
    make: bool,
) -> list[Job]:
    """Each run as a job of its own, no run twice; makes what they are trained on where that is missing."""
    jobs: dict[str, Job] = {}
    device = materials.device
    for cell, material, own in missing:
        if own.run in jobs:
            continue
        manifest = _manifest(materials, cell, material, make)
        program, lane = program_of(cell.config.model, cell.config.train, manifest, device)
        if make:
            _patiently(lambda cell=cell: materials.make_views(cell.config))  # type: ignore[misc]
        views_path = str(material.views_path.absolute()) if material.views_path else None
        one = JobCell(own.run, own.without_code, lane, cell.config.augment, material.views, views_path)
        data_path = str(material.data_path.absolute())
        threads = cell.config.train.threads or 1  # a core goes further with a group of its own than with a part of one
        counts = manifest.num_train(program.limit), manifest.counts["val"]
        about = manifest.kind, own.code, test, *counts, material.dataset
        jobs[own.run] = Job(program, (one,), data_path, device, threads, state_path([one]), *about)
    return list(jobs.values())


def cut_to_fit(jobs: Iterable[Job], capacity: CapacityOf, tidy: bool = True) -> list[Job]:
    """The same runs side by side where program and dataset agree; first those whose saved state can be gone on from.

    tidy: delete states that are torn.
    """
    together: dict[Job, dict[str, JobCell]] = {}
    for job in jobs:
        together.setdefault(replace(job, cells=(), state=""), {}).update({one.hash: one for one in job.cells})
    states = list(saved_states(tidy).values()) if together else []
    found = []
    for job, left in together.items():
        parts = [tuple(left.pop(name) for name in names) for names in states if names.keys() <= left.keys()]
        if left:
            parts += grouped(list(left.values()), job, capacity(job.threads, job.device))
        found += [replace(job, cells=part, state=state_path(part)) for part in parts]
    return found


def _manifest(materials: Materials, cell: Cell, material: Material, make: bool) -> Manifest:
    """Of a run's dataset; where it is not there and is not to be made, as it is foreseen."""
    if make:
        return _patiently(lambda: materials.dataset(cell.config)).manifest
    path = material.data_path
    return open_dataset(path).manifest if (path / "dataset.json").exists() else materials.foreseen(cell.config)


def _patiently(make: Callable[[], T]) -> T:
    """What `make` returns, once no other runner is at it."""
    said = False
    while True:
        try:
            return make()
        except BusyError as error:
            if not said:
                print(f"study: another runner makes what this one needs, too; waiting ({error})", flush=True)
            said = True
            time.sleep(LOOK_EVERY_S)


def saved_states(tidy: bool) -> dict[Path, dict[str, None]]:
    """The hashes of the runs, in order, of each saved state that is whole. tidy: delete the others."""
    found = {}
    for file in sorted(artifacts.cells_root().glob("*.safetensors")):
        try:
            _, values = artifacts.load_tensors(file)
        except StorageError as error:
            if file.exists():  # otherwise its runner has finished its runs since
                print(f"study: {error}; its runs start again", flush=True)
                if tidy:
                    file.unlink(missing_ok=True)
            continue
        found[file] = dict.fromkeys(values.get("cells", ["?"]))
    return found


def clear_old_states() -> None:
    """Forget the states of runs that all have results: a study that was killed left them, and others computed its runs."""
    for file, names in saved_states(tidy=True).items():
        if all(place(name).exists() for name in names):
            file.unlink(missing_ok=True)


def compute(planned_study: StudyPlan, workers: Workers) -> list[Outcome]:
    """The outcome of every run; those without a result are computed now, by this runner or another, each stored as it comes."""
    results = planned_study.known
    if planned_study.jobs:
        with Claims(artifacts.cells_root() / "claims") as claims:
            shared = SharedAgenda(planned_study, claims)
            carry_out(shared, workers)
        results = shared.results
    clear_old_states()
    return [
        Outcome(cell.variant, cell.seed, results[own.run], own.run in planned_study.accepted, cell.fold)
        for cell, own in zip(planned_study.cells, planned_study.names, strict=True)
    ]


class SharedAgenda:
    """The runs of a study that have no result, as this runner and others over the same folder of results compute them.

    A runner claims no more than what it is starting, so that one that comes later finds something to do.
    """

    def __init__(self, planned_study: StudyPlan, claims: Claims) -> None:
        self.claims, self.capacity = claims, planned_study.capacity
        self.jobs, self.known = planned_study.jobs, len(planned_study.known)
        self.results = dict(planned_study.known)
        self.single = {one.hash: replace(job, cells=(one,)) for job in self.jobs for one in job.cells}
        self.found: list[Job] = []
        self.elsewhere: dict[str, str] = {}
        """Runs that others compute, and who they are."""
        self.looked = float("-inf")
        self.told: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether every run has a result."""
        return self.single.keys() <= self.results.keys()

    def look(self) -> list[Job]:
        """Jobs of runs that have no result and are nobody's. For when no job is left to start; looks every second or so."""
        wanted = [name for name in self.single if name not in self.results and name not in self.claims.held]
        if not wanted or time.monotonic() - self.looked < LOOK_EVERY_S:
            return []
        self.elsewhere = self.claims.others(wanted)
        free = [name for name in wanted if name not in self.elsewhere]
        self._pick_up(free)
        jobs = cut_to_fit([self.single[name] for name in free if name not in self.results], self.capacity)
        self.looked = time.monotonic()
        return jobs

    def claim(self, job: Job) -> Job | None:
        """The job, to start now that its runs are this runner's alone; None: others have some of them, or their results."""
        names = [one.hash for one in job.cells]
        if not self.claims.take(names):
            return None
        if self._pick_up(names):
            self.claims.release(names)
            return None
        return replace(job, state=self._own_state(job))

    def take(self, job: Job, results: list[Result]) -> None:
        """Store a job's results, and only then let go of its runs. What they read of the test split is recorded first."""
        if job.test:
            record_reads([{"dataset": job.dataset, "run": result.hash} for result in results if result.test_samples])
        for result in results:
            artifacts.write_json(place(result.hash), result.to_json())
            self.results[result.hash] = result
        clear_state(job)
        self.claims.release([one.hash for one in job.cells])

    def give_up(self, job: Job, reason: str) -> None:
        """Go on without a job's results; others may try."""
        self.results |= {one.hash: _given_up(job, one, reason) for one in job.cells}
        self.claims.release([one.hash for one in job.cells])

    def news(self, idle: bool) -> tuple[list[Job], list[str]]:
        """Runs that others have finished since, and lines to say. Keeps the claims. idle: this runner has nothing at work."""
        self.claims.renew([process.pid for process in active_children() if process.pid is not None])
        found, lines = self.found, self.claims.news
        self.found, self.claims.news = [], []
        if idle and not self.told >= set(self.elsewhere.values()):
            nums = Counter(self.elsewhere.values())
            waited = " and ".join(f"{counted(num, 'run')} of {who}" for who, num in nums.items())
            lines.append(f"study: waiting for {waited}")
            self.told |= nums.keys()
        return found, lines

    def _pick_up(self, names: Sequence[str]) -> bool:
        """Take results that others have stored since the study was planned; whether there were any."""
        stored = {name: result for name in names if (result := stored_result(name, {}, tell=False)) is not None}
        new = {name: result for name, result in stored.items() if usable(result, self.single[name].test)}
        self.results |= new
        self.found += [self.single[name] for name in new]
        return bool(new)

    def _own_state(self, job: Job) -> str:
        """Where this runner keeps a job's state: a file that no other ever writes, not even one that stood still and lost its
        claims. What an earlier runner saved becomes it."""
        common = Path(state_path(job.cells))
        own = common.with_name(f"{common.stem}-{self.claims.own.name}{common.suffix}")
        for file in sorted(common.parent.glob(f"{common.stem}*{common.suffix}"), key=lambda file: file.stat().st_mtime):
            file.replace(own)
        return str(own)


def _given_up(job: Job, one: JobCell, reason: str) -> Result:
    """A run that took its workers with it; not stored, so that it is tried again next time."""
    return Result(
        hash=one.hash,
        without_code=one.without_code,
        code=job.code,
        failure=reason,
        ended="lost",
        device=job.device,
        num_threads=job.threads,
        num_together=1,
        val_samples=None,
        test_samples=None,
        metrics={},
        rows=[],
    )


def open_materials(values: Mapping[str, Any]) -> Materials:
    """Of the pipeline as params.yaml describes it and `prepare` and `augment` have left it."""
    own: Configuration = configuration(values)
    return Materials(own, artifacts.stage_dir("prepare"), artifacts.stage_dir("augment"), device_type(own.train.device))
