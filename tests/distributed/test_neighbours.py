"""Workers of one machine: the tree's bits out of shared memory, and a word at once about whoever goes or is silent."""

import contextlib
import hashlib
import multiprocessing
import os
import pwd
import signal
import socket
import threading
import time
import traceback

import pytest
import torch

from pipeline.distributed import neighbours as module
from pipeline.distributed.neighbours import neighbours
from pipeline.train.tree import PeerLost, Team, tree_sum

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
COLUMNS, STEPS = 48, 5
FORK = multiprocessing.get_context("fork")
LIMIT_S = 60


def leaf(step, shard):
    seed = torch.Generator().manual_seed(100 * step + shard)
    return torch.randn(1, COLUMNS, generator=seed) * 10.0 ** (shard - 2)


def team_of(rank, size, reduce, shards, folder, timeout_s=60.0):
    team = Team(rank, size, reduce)
    most = max(map(len, team.spans(team.num_shards(shards))))
    return team, neighbours(name_in(folder), rank, size, most, COLUMNS, timeout_s)


def name_in(folder):
    """Of the first worker's socket, the same for all that are given the folder."""
    return hashlib.sha256(str(folder).encode()).hexdigest()


def all_of(size, work):
    """Run work(rank) in processes of their own; what each returns."""
    found = FORK.Queue()

    def run(rank):
        try:
            found.put((rank, work(rank)))
        except BaseException:
            found.put((rank, traceback.format_exc()))

    processes = [FORK.Process(target=run, args=(rank,)) for rank in range(size)]
    for process in processes:
        process.start()
    try:
        results = dict(found.get(timeout=LIMIT_S) for _ in processes)
    finally:
        end(processes)
    return [results[rank] for rank in range(size)]


def end(processes):
    for process in processes:
        process.join(5)
        process.kill()
        process.join()


@pytest.mark.parametrize(("size", "shards"), [(2, 2), (2, 8), (3, 4), (3, 8), (4, 4), (5, 8)])
def test_exact_sums_are_those_of_one_process(size, shards, tmp_path):
    def work(rank):
        team, joining = team_of(rank, size, "exact", shards, tmp_path)
        with joining as near:
            own = Team(rank, size, "exact", near)
            alone = team.own_shards(shards)[1] - team.own_shards(shards)[0] == 1

            def part(step, shard):  # as a training does it: a single part is computed in its room
                return near.place.copy_(leaf(step, shard)) if alone else leaf(step, shard)

            return [own.total(lambda shard, step=step: part(step, shard), shards).tolist() for step in range(STEPS)]

    expected = [tree_sum(lambda shard, step=step: leaf(step, shard), 0, shards).tolist() for step in range(STEPS)]
    assert all_of(size, work) == [expected] * size


@pytest.mark.parametrize("size", [2, 3])
def test_fast_sums_are_within_rounding_and_the_same_everywhere(size, tmp_path):
    def work(rank):
        with team_of(rank, size, "fast", 2, tmp_path)[1] as near:
            own = Team(rank, size, "fast", near)
            return [own.total(lambda shard, step=step: leaf(step, shard), 2 * size).tolist() for step in range(STEPS)]

    first, *others = all_of(size, work)
    assert others == [first] * (size - 1)
    expected = [sum(leaf(step, shard) for shard in range(2 * size)) for step in range(STEPS)]
    torch.testing.assert_close(torch.tensor(first), torch.stack(expected), rtol=1e-5, atol=1e-5)


def test_a_word_is_true_where_it_is_true_on_one(tmp_path):
    def work(rank):
        with team_of(rank, 3, "exact", 4, tmp_path)[1] as near:
            return [near.true_anywhere(rank in yes) for yes in ([], [0], [1], [2], [1, 2], [])]

    assert all_of(3, work) == [[False, True, True, True, True, False]] * 3


@pytest.mark.parametrize("lost", [0, 2])
def test_a_killed_worker_is_noticed_at_once(lost, tmp_path):
    assert [waited < 30 for waited in losses(lost, tmp_path, 60.0, lambda pid: os.kill(pid, signal.SIGKILL))] == [True, True]


@pytest.mark.parametrize("lost", [0, 2])
def test_a_frozen_worker_is_noticed_after_the_timeout(lost, tmp_path):
    waits = losses(lost, tmp_path, 1.5, lambda pid: os.kill(pid, signal.SIGSTOP))
    assert 1.0 < max(waits) < 30


def losses(lost, folder, timeout_s, strike):
    """How long the other two of three workers wait for one that a signal has struck, until they say that it has gone."""
    found, struck = FORK.Queue(), FORK.Event()

    def run(rank):
        with team_of(rank, 3, "exact", 4, folder, timeout_s)[1] as near:
            near.true_anywhere(False)
            if rank == lost:
                struck.set()
                time.sleep(60)
            struck.wait()
            started = time.monotonic()
            try:
                near.true_anywhere(False)
                near.true_anywhere(False)
            except PeerLost:
                found.put(time.monotonic() - started)

    processes = [FORK.Process(target=run, args=(rank,)) for rank in range(3)]
    for process in processes:
        process.start()
    try:
        assert struck.wait(LIMIT_S)
        strike(processes[lost].pid)
        return [found.get(timeout=LIMIT_S), found.get(timeout=LIMIT_S)]
    finally:
        end(processes)


def test_who_does_not_come_is_noticed_after_the_timeout(tmp_path):
    with pytest.raises(PeerLost), team_of(0, 2, "exact", 2, tmp_path, 0.3)[1]:
        pass


@contextlib.contextmanager
def in_the_first_workers_place(folder):
    """A socket of its name, of a process that closes the connection as soon as there is one."""
    with socket.socket(socket.AF_UNIX) as first:
        first.bind(f"\0{name_in(folder)}")
        first.listen()
        thread = threading.Thread(target=lambda: first.accept()[0].close())
        thread.start()
        yield
        thread.join()


def test_a_first_worker_that_goes_before_it_has_handed_over_the_memory_is_a_lost_one(tmp_path):
    with (
        in_the_first_workers_place(tmp_path),
        pytest.raises(PeerLost, match="its connection has ended"),
        team_of(1, 2, "exact", 2, tmp_path)[1],
    ):
        pass
    with pytest.raises(PeerLost, match="has not come"), team_of(1, 2, "exact", 2, tmp_path, 0.3)[1]:
        pass


def test_nothing_is_taken_from_another_user(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_user_of", lambda connection: os.getuid() + 1)
    with (
        in_the_first_workers_place(tmp_path),
        pytest.raises(PeerLost, match=f"user {os.getuid() + 1} has taken the first worker's place"),
        team_of(1, 2, "exact", 2, tmp_path)[1],
    ):
        pass


def test_another_user_gets_no_memory(tmp_path, monkeypatch):
    """The name of the first worker's socket is no secret to everybody on the machine once it is there."""
    me = os.getuid()
    users = iter([me + 1, me])  # as the first worker sees them

    def work(rank):
        if rank == 0:
            monkeypatch.setattr(module, "_user_of", lambda connection: next(users))
        else:
            with module._connected(name_in(tmp_path), LIMIT_S) as stranger:
                assert stranger.recv(1) == b""
        with team_of(rank, 2, "exact", 2, tmp_path)[1] as near:
            return near.true_anywhere(rank == 1)

    assert all_of(2, work) == [True, True]


@pytest.mark.parametrize("place", ["user", "name"])
def test_a_process_of_another_user_is_told_from_ones_own(tmp_path, place):
    """For real, where this one may become another user."""
    if os.getuid() != 0:
        pytest.skip("needs root")
    nobody = pwd.getpwnam("nobody").pw_uid
    theirs, mine = socket.socket(socket.AF_UNIX), f"\0{name_in(tmp_path)}"
    ready = FORK.Event()

    def be_nobody():
        os.setuid(nobody)
        if place == "name":
            theirs.bind(mine)
            theirs.listen()
            ready.set()
            theirs.accept()
        else:
            with contextlib.suppress(ConnectionResetError):
                assert module._connected(mine[1:], LIMIT_S).recv(1) == b""
            ready.set()

    process = FORK.Process(target=be_nobody)
    process.start()
    try:
        if place == "name":
            assert ready.wait(LIMIT_S)
        said = f"user {nobody}" if place == "name" else "timed out"
        joining = team_of(int(place == "name"), 2, "exact", 2, tmp_path, 5.0)[1]
        with pytest.raises(PeerLost, match=said), joining:
            pass
        assert ready.wait(LIMIT_S)
    finally:
        end([process])
        theirs.close()


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int64])
def test_tensors_of_any_kind_are_merged_and_told(tmp_path, kind):
    """Longer than what a socket holds at once."""
    shape = (3, 100_000)

    def work(rank):
        own = torch.zeros(shape, dtype=kind)
        own[rank] = rank + 1
        with team_of(rank, 3, "exact", 4, tmp_path)[1] as near:
            team = Team(rank, 3, "exact", near)
            words = team.told([rank + 7, -1], torch.device("cpu"))
            return team.merged(own)[:, ::50_000].tolist(), team.merged(own[0, 0]).item(), words

    assert all_of(3, work) == [([[1, 1], [2, 2], [3, 3]], 1, [7, -1])] * 3


def test_who_is_at_the_other_end():
    for one in socket.socketpair():
        with one:
            assert module._user_of(one) == os.getuid()


def test_nothing_is_left(tmp_path):
    def work(rank):
        before = len(os.listdir("/proc/self/fd"))
        with team_of(rank, 2, "exact", 2, tmp_path)[1] as near:
            near.true_anywhere(False)
        del near  # the memory lasts as long as a tensor in it
        return len(os.listdir("/proc/self/fd")) - before

    assert all_of(2, work) == [0, 0]
