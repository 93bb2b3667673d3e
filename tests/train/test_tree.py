"""The gradient tree: one order of sums on one process and on two."""

import os
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from training_helpers import lane, train_to_end, training, untimed

from pipeline.data.dataset import open_dataset
from pipeline.train.tree import Team, finished, shard_bounds, subtrees, tree_sum


def test_the_tree_adds_halves_to_halves():
    leaves = [torch.tensor(float(x)) for x in (1e8, 1.0, -1e8, 1.0)]
    total = tree_sum(lambda i: leaves[i].clone(), 0, 4)
    assert float(total) == float((leaves[0] + leaves[1]) + (leaves[2] + leaves[3]))


@pytest.mark.parametrize(("rows", "shards"), [(64, 4), (50, 4), (3, 4), (1, 1), (7, 2)])
def test_shards_cover_every_row_once(rows, shards):
    bounds = shard_bounds(rows, shards)
    assert [i for a, b in bounds for i in range(a, b)] == list(range(rows))
    assert len(bounds) == shards


@pytest.mark.parametrize("shards", [1, 2, 4, 8, 16])
def test_the_tree_is_finished_alike_by_any_number_of_workers(shards):
    leaves = torch.rand(shards, 50, generator=torch.Generator().manual_seed(0)) * 10.0 ** torch.arange(shards).view(-1, 1)
    whole = tree_sum(lambda i: leaves[i].clone(), 0, shards)
    for size in range(1, shards + 1):
        owned = [Team(rank, size).own_shards(shards) for rank in range(size)]
        assert [a for a, _ in owned[1:]] == [b for _, b in owned[:-1]]
        assert (owned[0][0], owned[-1][1]) == (0, shards)
        spans = [span for own in owned for span in subtrees(*own)]
        parts = {(a, b): tree_sum(lambda i: leaves[i].clone(), a, b) for a, b in spans}
        assert torch.equal(finished(parts, 0, shards), whole), size


def test_more_shards_are_the_same_gradient_up_to_rounding(digits):
    one = train_to_end(training(digits, [lane(0)], epochs=1))
    four = train_to_end(training(digits, [lane(0)], epochs=1, shards=4))
    assert not torch.equal(one.network.flat, four.network.flat)
    torch.testing.assert_close(one.network.flat, four.network.flat, rtol=0.05, atol=2e-3)


def _worker(rank: int, size: int, port: int, folder: str, out: str, tests: str) -> None:
    sys.path.insert(0, tests)
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=size)
    trained = train_to_end(training(open_dataset(Path(folder)), [lane(0), lane(1)], team=Team(rank, size), shards=4))
    torch.save(
        {"flat": trained.network.flat, "best": trained.best, "rows": [untimed(r) for r in trained.progress.rows]},
        f"{out}/{rank}.pt",
    )
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
def test_two_processes_give_the_bits_of_one(digits, tmp_path, request):
    before = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(before))
    torch.set_num_threads(1)
    alone = train_to_end(training(digits, [lane(0), lane(1)], shards=4))
    port = 29500 + os.getpid() % 1000
    mp.spawn(_worker, (2, port, str(digits.path), str(tmp_path), str(Path(__file__).parents[1])), nprocs=2)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert torch.equal(found["flat"], alone.network.flat)
        assert torch.equal(found["best"], alone.best)
        assert found["rows"] == [untimed(rows) for rows in alone.progress.rows]
