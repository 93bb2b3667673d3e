"""Training any torch module: exact after every kill, the same on any number of workers, judged and recorded like all nets."""

import os
import random
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from training_helpers import equal, gone_on, interrupted, lane, train_one_epoch, train_to_end, training, untimed

from pipeline import extensions
from pipeline.data.dataset import open_dataset
from pipeline.train.tree import Team

CNN = {"module": "cnn", "epochs": 2, "batch_size": 100, "shards": 4}


def resumed(first, digits, own_lane, **changes):
    return gone_on(first, training(digits, [own_lane], **changes))


def test_a_module_with_statistics_and_dropout_resumes_exactly_at_any_step(digits, own_modules):
    whole = train_to_end(training(digits, [lane(0)], **CNN))
    for after in random.Random(0).sample(range(1, 2 * whole.steps_per_epoch), 8):
        first = interrupted(training(digits, [lane(0)], **CNN), after)
        torch.manual_seed(after)
        assert equal(whole, 0, resumed(first, digits, lane(0), **CNN)), after


@pytest.mark.parametrize("module", ["patches", "averaged", "tied"])
def test_other_modules_resume_exactly(digits, own_modules, module):
    changes = {"module": module, "epochs": 2, "batch_size": 256}
    whole = train_to_end(training(digits, [lane(1)], **changes))
    first = interrupted(training(digits, [lane(1)], **changes), 7)
    assert equal(whole, 0, resumed(first, digits, lane(1), **changes))


def _worker(rank, size, port, folder, modules, out, tests):
    sys.path.insert(0, tests)
    extensions._unpacked.append(Path(modules))
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=size)
    trained = train_to_end(training(open_dataset(Path(folder)), [lane(0, ema=0.9)], team=Team(rank, size), **CNN))
    rows = [untimed(rows) for rows in trained.rows]
    torch.save({"flat": trained.net.flat, "best": trained.best.flat, "rows": rows}, f"{out}/{size}-{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_workers_give_the_bits_of_one(digits, own_modules, tmp_path, request, size):
    before = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(before))
    torch.set_num_threads(1)
    alone = train_to_end(training(digits, [lane(0, ema=0.9)], **CNN))
    port, tests = 29500 + (os.getpid() + 400 * size) % 1000, str(Path(__file__).parents[1])
    mp.spawn(_worker, (size, port, str(digits.path), str(own_modules), str(tmp_path), tests), nprocs=size)
    for rank in range(size):
        found = torch.load(tmp_path / f"{size}-{rank}.pt", weights_only=True)
        assert torch.equal(found["flat"], alone.net.flat)
        assert torch.equal(found["best"], alone.best.flat)
        assert found["rows"] == [untimed(rows) for rows in alone.rows]


def test_it_learns_and_its_best_weights_are_judged_with_their_statistics(digits, own_modules):
    trained = train_to_end(training(digits, [lane(0)], module="cnn", epochs=6, keys={"width": 8}))
    assert trained.progress.best[0]["accuracy"] > 0.9
    now = trained.net.flat.clone()
    [judged] = trained.judged(digits.split("val"))
    assert judged["loss"] == trained.progress.best[0]["loss"]
    assert torch.equal(trained.net.flat, now)


def test_frozen_parameters_stay_and_statistics_are_not_decayed(digits, own_modules):
    frozen = training(digits, [lane(0, weight_decay=0.5)], module="frozen")
    before = frozen.net.layout.named(frozen.net.flat[0].numpy())
    train_one_epoch(frozen)
    after = frozen.net.layout.named(frozen.net.flat[0].numpy())
    assert (before["first.weight"] == after["first.weight"]).all()
    assert not (before["last.weight"] == after["last.weight"]).all()
    assert frozen.optimizer.first.shape[1] == frozen.net.layout.num_stepped
    still = training(digits, [lane(0, learning_rate=1e-12, weight_decay=0.5)], module="cnn")
    train_to_end(still)
    variance = still.net.layout.named(still.net.flat[0].numpy())["stem.1.running_var"]
    x = still.to_input(torch.from_numpy(digits.split("train").inputs.copy()))
    expected = still.net.module.stem[0](x).var((0, 2, 3))
    torch.testing.assert_close(torch.from_numpy(variance), expected.detach(), rtol=0.1, atol=1e-3)


def test_norms_are_recorded_for_the_top_level_children(digits, own_modules):
    trained = training(digits, [lane(0)], module="cnn", epochs=1, batch_size=1248)
    train_one_epoch(trained)
    row = trained.rows[0][0]
    assert list(row["layer_grad_norms"]) == ["scale", "stem", "head"]
    assert row["grad_norm"] == pytest.approx(sum(norm**2 for norm in row["layer_grad_norms"].values()) ** 0.5)
