"""MixUp and CutMix on real digits: the same whoever computes them, exact in lanes, on workers and after an interruption."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from training_helpers import NONE, OFF, equal, lane, program, train_to_end, training, write_digits

from pipeline import keyed
from pipeline.config import composed
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.views import Views
from pipeline.errors import ConfigError
from pipeline.kinds.inputs import inputs_of
from pipeline.runs.identity import _identity_keys
from pipeline.study.plan import configuration
from pipeline.train.batches import Batches
from pipeline.train.mixing import Mixing
from pipeline.train.program import program_of
from pipeline.train.tree import Team

WAYS = [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0}]
MOVED = Views([], OFF.model_copy(update={"rotate": 10.0, "translate": 0.1}), "moved")


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("digits") / "data"
    write_digits(folder)
    return open_dataset(folder)


def batches(digits, lanes, team=None, views=NONE, **changes):
    fit, shape, device = digits.manifest.fit, digits.manifest.shape, torch.device("cpu")
    cast = inputs_of("image").to_input(fit, shape, device)
    own = [views] * len(lanes)
    return Batches(program(**changes), lanes, digits.split("train"), own, digits.manifest, cast, device, team or Team())


def whole_epoch(made, epoch=1):
    """Every step's inputs, labels, partners' labels and shares of an epoch, by step."""
    fetch = made.of_epoch(epoch)
    return {steps: fetch(steps) for steps in made.blocks(0)}


def by_step(blocks, num, size):
    """(inputs, labels, others, shares) of the rows that there are in each step."""
    found = {}
    for steps, block in blocks.items():
        for step in steps:
            first, last = block.rows
            last = min(last, num - step * size)
            inputs, targets = block.shard(step, first, last)
            found[step] = (inputs, targets.labels, targets.partners.labels, targets.partners.shares)
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("views", [NONE, MOVED], ids=["plain", "drawn"])
def test_workers_see_the_mixed_rows_of_the_whole_batch(digits, way, views):
    lanes = [lane(0, **way), lane(3), lane(0, **way, learning_rate=1e-3)]
    settings = {"batch_size": 48, "shards": 4}
    alone = batches(digits, lanes, views=views, **settings)
    num = len(alone.ids)
    whole = by_step(whole_epoch(alone), num, 48)
    for rank in range(2):
        own = batches(digits, lanes, Team(rank, 2), views=views, **settings)
        for step, parts in by_step(whole_epoch(own), num, 48).items():
            first, last = own.own_rows(min(48, num - step * 48))
            for mine, all_of_them in zip(parts, whole[step], strict=True):
                assert torch.equal(mine, all_of_them[:, first:last])
    assert all(torch.equal(inputs[0], inputs[2]) for inputs, *_ in whole.values()), "runs of one seed are mixed alike"


@pytest.mark.parametrize("way", WAYS)
def test_mixed_rows_are_what_they_are_said_to_be(digits, way):
    lanes, size = [lane(5, **way), lane(5)], 32
    made = batches(digits, lanes, batch_size=size)
    num = len(made.ids)
    mix = Mixing(lanes, "image").of_epoch(made.steps_per_epoch, num, size)
    places = np.arange(num)
    assert (mix.partners // size == places // size).all(), "partners are of the same whole batch"
    assert (mix.shares[1] == 1).all()
    for step, (inputs, labels, others, shares) in by_step(whole_epoch(made), num, size).items():
        plain, of_step = inputs[1], slice(step * size, (step + 1) * size)
        partner = torch.from_numpy(mix.partners[0, of_step] - step * size)
        assert torch.equal(others[0], labels[0][partner])
        assert torch.equal(shares[1], torch.ones_like(shares[1]))
        for i, cut in enumerate(mix.cut[0, of_step]):
            own, other, share = plain[i], plain[partner[i]], shares[0, i]
            if cut:
                taken = (inputs[0, i] != own).any(0)
                assert (torch.where(taken, other, own) == inputs[0, i]).all()
                assert int(taken.sum()) <= round(float(1 - share) * 64), "where both are alike, nothing is seen to change"
            else:
                assert torch.allclose(inputs[0, i], share * own + (1 - share) * other, atol=1e-6)
                assert share == mix.shares[0, step * size + i]


@pytest.mark.parametrize("way", WAYS)
def test_lanes_resuming_and_shards_keep_every_bit(digits, way):
    lanes = [lane(0, **way), lane(1), lane(0, mixup=1.0)]
    together = train_to_end(training(digits, lanes, epochs=2))
    for k, own in enumerate(lanes):
        assert equal(together, k, train_to_end(training(digits, [own], epochs=2)))
    assert equal(together, 1, train_to_end(training(digits, [lane(1)], epochs=2)))
    assert not torch.equal(together.net.flat[0], train_to_end(training(digits, [lane(0)], epochs=2)).net.flat[0])
    stopped = training(digits, lanes, epochs=2)
    steps = iter(range(9))
    with pytest.raises(StopIteration):
        stopped.train_epoch(lambda: next(steps) or None)
    again = training(digits, lanes, epochs=2)
    again.restore(*stopped.state())
    again.rows = stopped.rows
    train_to_end(again)
    assert all(equal(together, k, again, k) for k in range(3))


def test_train_loss_is_that_of_mixed_targets_and_validation_is_not_mixed(digits):
    quick = {"dropout": 0.0, "learning_rate": 1e-2}
    mixed, plain = (train_to_end(training(digits, [lane(0, **way, **quick)], epochs=8)) for way in ({"mixup": 1.0}, {}))
    losses = {}
    for name, trained in (("mixed", mixed), ("plain", plain)):
        rows = {row["split"]: row for row in trained.rows[0] if row["epoch"] == 8}
        losses[name] = {split: row["loss"] for split, row in rows.items()}
    assert losses["mixed"]["train"] > 2 * losses["mixed"]["train_clean"]
    assert losses["mixed"]["val"] == pytest.approx(mixed.evaluate("val")[0]["loss"])
    assert losses["plain"]["train"] < 2 * losses["plain"]["train_clean"]


def test_shares_are_of_the_beta_distribution():
    drawn = keyed.mix_draws(0, np.zeros(20000), np.arange(20000))
    for alpha in (0.2, 1.0, 3.0):
        shares = keyed.mix_share(drawn[:, 1], alpha)
        known = stats.beta(alpha, alpha)
        for share in (0.001, 0.1, 0.5, 0.9):
            assert (shares <= share).mean() == pytest.approx(known.cdf(share), abs=0.012)
        assert (shares * 2**16 == np.round(shares * 2**16)).all()
    assert np.abs(np.corrcoef(drawn.T) - np.eye(5)).max() < 0.03
    first, second = (float(x).hex() for x in keyed.mix_draws(7, np.array([3]), np.array([5]))[0, :2])
    assert [first, second] == [
        "0x1.34e8d04dddcc0p-1",
        "0x1.aaf114bdbf24cp-2",
    ]
    assert keyed.mix_share(np.array([0.1, 0.5, 0.9]), 0.2).tolist() == [0.000244140625, 0.5, 0.999755859375]


def test_half_of_the_samples_are_cut_where_both_are_asked_for():
    cut = Mixing([lane(0, mixup=0.2, cutmix=1.0), lane(0, cutmix=1.0), lane(0, mixup=1.0)], "image").of_epoch(0, 6000, 64).cut
    assert cut.mean(1) == pytest.approx([0.5, 1.0, 0.0], abs=0.03)


def test_what_cannot_be_mixed_is_refused_by_name(digits):
    config = configuration(composed(Path(__file__).resolve().parents[2] / "conf", ["train.cutmix=1.0"]))
    assert program_of(config.model, config.train, digits.manifest)[1].cutmix == 1.0
    with pytest.raises(ConfigError, match=r"train.cutmix = 1.0: data of kind table has no boxes to paste; say train.cutmix=0"):
        program_of(config.model, config.train, replace(digits.manifest, kind="table"))


def test_a_run_that_does_not_mix_is_what_it_was_before_there_was_mixing():
    conf = Path(__file__).resolve().parents[2] / "conf"
    plain, mixed = (configuration(composed(conf, changes)).train for changes in ([], ["train.mixup=0.2"]))
    keys = _identity_keys(plain)
    assert not {"mixup", "cutmix"} & keys.keys()
    assert _identity_keys(mixed) == {**keys, "mixup": 0.2}
