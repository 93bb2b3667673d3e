"""The gradient tree: one order of sums on one process and on two."""

import errno
import os
import resource
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from training_helpers import lane, train_to_end, training, untimed

from pipeline.data.dataset import open_dataset
from pipeline.data.memory import lacks_memory
from pipeline.model.balance import Balance
from pipeline.train.tree import PeerLost, Team, finished, lost_peers, shard_bounds, subtrees, tree_sum


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
    assert not torch.equal(one.net.flat, four.net.flat)
    torch.testing.assert_close(one.net.flat, four.net.flat, rtol=0.05, atol=2e-3)


def _worker(rank: int, size: int, port: int, folder: str, out: str, tests: str) -> None:
    sys.path.insert(0, tests)
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=size)
    torch.save(_trained(open_dataset(Path(folder)), Team(rank, size)), f"{out}/{rank}.pt")
    dist.destroy_process_group()


def _trained(data, team=None):
    """What becomes of plain and of balanced runs."""
    balances = [
        Balance.of(mode, "softmax", [10 * i + 10 for i in range(10)], 550) for mode in ("none", "weights", "logits", "sampling")
    ]
    lanes = [lane(0), lane(1, monitor="val_macro_f1")]
    every = [train_to_end(training(data, lanes, team=team, shards=4, balance=own)) for own in balances]
    return [{"flat": own.net.flat, "best": own.best.flat, "rows": [untimed(r) for r in own.rows]} for own in every]


@pytest.mark.filterwarnings("ignore")
def test_two_processes_give_the_bits_of_one(digits, tmp_path, request):
    before = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(before))
    torch.set_num_threads(1)
    alone = _trained(digits)
    port = 29500 + os.getpid() % 1000
    mp.spawn(_worker, (2, port, str(digits.path), str(tmp_path), str(Path(__file__).parents[1])), nprocs=2)
    for rank in range(2):
        for found, own in zip(torch.load(tmp_path / f"{rank}.pt", weights_only=True), alone, strict=True):
            assert torch.equal(found["flat"], own["flat"])
            assert torch.equal(found["best"], own["best"])
            assert found["rows"] == own["rows"]


PEERS = [
    RuntimeError("[gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:14766: Connection reset by peer. This is typically"),
    RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:38827. This is typically caused by"),
    RuntimeError("[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 3000ms for recv operation to complete"),
    RuntimeError("Application timeout caused pair closure"),
    dist.DistStoreError("rank0: not said within 3 s"),
    ConnectionResetError("its connection has ended"),
    OSError(errno.EHOSTUNREACH, "No route to host"),
]
OWN = [
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
    ),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("op.preamble.length <= op.nbytes. 1000 vs 12. Received data size doesn't match expected size."),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OSError(errno.EMFILE, "Too many open files"),
]


@pytest.mark.parametrize("error", PEERS, ids=str)
def test_the_error_of_a_connection_is_a_lost_worker_and_keeps_its_cause(error):
    with pytest.raises(PeerLost, match="another worker has gone or is silent") as lost, lost_peers():
        raise error
    assert lost.value.__cause__ is error


@pytest.mark.parametrize("error", OWN, ids=str)
def test_an_error_of_this_workers_own_is_no_lost_worker(error):
    with pytest.raises(type(error)) as told, lost_peers():
        raise error
    assert told.value is error


def _short_of_memory(rank: int, port: int, out: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=2)
    mine = torch.ones(10_000_000)
    if rank == 0:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + 2 * mine.nbytes,) * 2)  # as much again fits, and no more
    try:
        Team(rank, 2)._gathered([mine], 1)
    except Exception as error:
        Path(out, str(rank)).write_text(f"{type(error).__name__} {lacks_memory(error)}")
    os._exit(0)  # at once, so that the other one sees its connection end


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_a_worker_without_memory_is_told_from_one_whose_peer_has_gone(tmp_path):
    started = mp.spawn(_short_of_memory, (30500 + os.getpid() % 1000, str(tmp_path)), nprocs=2, join=False)
    for process in started.processes:
        process.join()
    assert [(tmp_path / str(rank)).read_text() for rank in range(2)] == ["RuntimeError True", "PeerLost False"]
