"""What is handed to a worker of a study: runs that are trained side by side. Imports no torch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline import artifacts
from pipeline.schema.augment import AugmentConfig
from pipeline.train.program import Lane, Program

BEST_GROUP = 16
"""Runs side by side beyond which more of them bring a CPU nothing (RESULTS.md)."""
MOST_ON_GPU = 256
EVAL_ROWS = 1024
EPOCH_S, STEP_S, FLOPS_PER_S, VALUES_PER_S = 3e-3, 4e-4, 2e10, 1e7
"""Of one core: what an epoch and a step take beside their products, and how fast products and drawn copies come."""


@dataclass(frozen=True)
class JobCell:
    """One run of a job."""

    hash: str
    without_code: str
    lane: Lane
    policy: AugmentConfig
    views: str
    """Digest of its augmented copies."""
    views_path: str | None


@dataclass(frozen=True)
class Job:
    """Runs of one program and one dataset, and where their state is kept. Paths are absolute."""

    program: Program
    cells: tuple[JobCell, ...]
    data_path: str
    device: str
    threads: int
    state: str
    kind: str
    """Of its data; what computes it compares its code for that kind with `code`."""
    code: str
    test: bool
    num_train: int
    """Training samples that each run uses."""
    num_val: int
    dataset: str
    """Digest."""

    def halves(self) -> tuple[Job, Job]:
        """The same runs in two jobs, which need half of the memory each and start from the beginning."""
        middle = len(self.cells) // 2
        first, second = (
            replace(self, cells=part, state=state_path(part)) for part in (self.cells[:middle], self.cells[middle:])
        )
        return first, second

    @property
    def work(self) -> float:
        """Roughly the seconds that it takes on a core: how jobs compare, not how long one of them takes here."""
        steps, forward = math.ceil(self.num_train / self.program.batch_size), self.program.spec.forward_flops()
        drawn = sum(cell.policy.active and cell.views_path is None for cell in self.cells)
        flops = len(self.cells) * forward * (3 * self.num_train + 2 * self.num_val)
        values = drawn * self.num_train * self.program.spec.num_inputs
        return self.program.epochs * (EPOCH_S + STEP_S * steps + flops / FLOPS_PER_S + values / VALUES_PER_S)


@dataclass(frozen=True)
class Capacity:
    """What there is for jobs."""

    num: int
    """So many at once."""
    bytes_each: int
    """Memory that each of them may take."""


def state_path(cells: Sequence[JobCell]) -> str:
    """Where the state of these runs side by side is kept."""
    folder = artifacts.cells_root().absolute()
    return str(folder / f"{artifacts.digest([cell.hash for cell in cells])}.safetensors")


def bytes_of_one(job: Job) -> int:
    """Memory of one run: parameters five times over, a step's activations twice, or once those of the rows judged at once."""
    program, num = job.program, max(job.num_train, job.num_val)
    columns, values = program.spec.layout().num_columns, program.spec.num_values()
    return 4 * (5 * columns + values * max(2 * min(program.batch_size // program.shards, num), min(EVAL_ROWS, num)))


def grouped(cells: Sequence[JobCell], job: Job, capacity: Capacity) -> list[tuple[JobCell, ...]]:
    """Runs of a job's program cut into groups: even ones, as many at once as pay and fit into memory, busy workers.

    Runs that share their batches stay together.
    """
    program = job.program
    together = sorted(cells, key=lambda cell: (cell.lane.seed, cell.views))
    most = [MOST_ON_GPU if job.device == "cuda" else BEST_GROUP, capacity.bytes_each // bytes_of_one(job)]
    largest = max(1, min([*most, *filter(None, [program.spec.max_lanes])]))
    num = -(-len(together) // largest)
    num = min(len(together), -(-num // capacity.num) * capacity.num)
    ends = [len(together) * i // num for i in range(num + 1)]
    return [tuple(together[a:b]) for a, b in itertools.pairwise(ends)]
