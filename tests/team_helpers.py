"""Training shared by processes that exchange sums through gloo, in two goes: the second one from what the first had saved."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from training_helpers import gone_on, interrupted, untimed

from pipeline.train.training import Training
from pipeline.train.tree import Team

Make = Callable[..., Training]
"""Of its own arguments, then the team. It goes to other processes by name."""


def _worker(rank: int, size: int, port: int, make: Make, given: tuple[Any, ...], out: str) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=size)
    first, second = (make(*given, Team(rank, size)) for _ in range(2))
    trained = gone_on(interrupted(first, first.steps_per_epoch + 2), second)
    torch.save({"flat": trained.net.flat, "best": trained.best.flat}, f"{out}/{rank}.pt")
    Path(out, f"{rank}.txt").write_text(repr([untimed(rows) for rows in trained.rows]))
    dist.destroy_process_group()


def check_shared(size: int, alone: Training, make: Make, given: tuple[Any, ...], out: Path) -> None:
    """That so many workers, which stop in the second epoch and go on, end with the bits of one that never stopped."""
    port = 31500 + (os.getpid() + 400 * size) % 1000
    mp.spawn(_worker, (size, port, make, given, str(out)), nprocs=size)
    for rank in range(size):
        found = torch.load(out / f"{rank}.pt", weights_only=True)
        assert torch.equal(found["flat"], alone.net.flat)
        assert torch.equal(found["best"], alone.best.flat)
        assert (out / f"{rank}.txt").read_text() == repr([untimed(rows) for rows in alone.rows])


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As each worker has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
