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
from pipeline.train.tree import Team, shard_bounds, tree_sum


def test_the_tree_adds_halves_to_halves():
    leaves = [torch.tensor(float(x)) for x in (1e8, 1.0, -1e8, 1.0)]
    total = tree_sum(lambda i: leaves[i].clone(), 0, 4)
    assert float(total) == float((leaves[0] + leaves[1]) + (leaves[2] + leaves[3]))


@pytest.mark.parametrize(("rows", "shards"), [(64, 4), (50, 4), (3, 4), (1, 1), (7, 2)])
def test_shards_cover_every_row_once(rows, shards):
    bounds = shard_bounds(rows, shards)
    assert [i for a, b in bounds for i in range(a, b)] == list(range(rows))
    assert len(bounds) == shards


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
