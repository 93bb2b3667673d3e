"""The identity contract: golden vectors that never change without a new `keyed.CONTRACT`, and the statistics behind them."""

import itertools

import numpy as np
import pytest
import torch

from pipeline import keyed

IDS = np.array([0, 1, 0xDEADBEEF, 2**64 - 1], dtype=np.uint64)


def test_golden_vectors():
    assert keyed.CONTRACT == 1
    assert keyed.words("split", 0, IDS).tolist() == [
        5003833743038398004,
        16137738473859094239,
        9430218662691311382,
        15933679522510510758,
    ]
    assert keyed.content_id(b"regatta") == 6938017503726874644
    assert keyed.sample_ids(np.array([5, 7, 5, 5], dtype=np.uint64)).tolist() == [
        5,
        7,
        13020207199779417044,
        14040721933898979822,
    ]
    assert [float(x).hex() for x in keyed.split_position(IDS, 3)][:2] == ["0x1.1416fcd242e52p-2", "0x1.ca3a94e8f5326p-1"]
    assert [float(x).hex() for x in keyed.fold_position(IDS, 3, 2)][:2] == ["0x1.6229a90fd8090p-3", "0x1.19dc3019a6883p-1"]
    draws = keyed.view_draws(1, IDS[:2], np.array([0, 5]), 2)
    assert [float(x).hex() for x in draws.ravel()] == [
        "0x1.bcdfb721b8457p-1",
        "0x1.f8b524f69f54fp-1",
        "0x1.8d156fd021523p-1",
        "0x1.6fd45f386a1aap-1",
    ]
    assert keyed.which_view(7, IDS, 2, 4).tolist() == [0, 3, 2, 0]
    assert keyed.which_view(7, IDS, 2, 0).tolist() == [409169552, 1857762827, 1818825302, 1592592060]
    assert keyed.which_view_in_turns(7, IDS, 2, 4).tolist() == [0, 3, 3, 0]
    assert keyed.which_view_in_turns(7, IDS, 2, 0).tolist() == [409169552, 1857762827, 1818825303, 1592592060]
    assert keyed.which_window(7, IDS, 2, np.array([1, 3, 5, 9])).tolist() == [0, 2, 4, 4]
    assert keyed.row_ids(IDS, np.array([0, 1, 2, 1])).tolist() == [
        0,
        11043506299366677679,
        15234911784737064116,
        3203414537336398511,
    ]
    assert keyed.epoch_order(7, 1, 10).tolist() == [9, 0, 5, 3, 6, 8, 2, 1, 4, 7]
    assert keyed.epoch_order(7, 1, 20000)[:4].tolist() == [2124, 4385, 6530, 5742]
    assert keyed.storage_order(IDS).tolist() == [2, 3, 0, 1]
    assert keyed.subset(IDS, 2).tolist() == [2, 3]
    assert keyed.init_seed(3, "dense1.weight") == 5466631784916594544
    assert keyed.stratified_subset(np.arange(12, dtype=np.uint64), STRATA, 6).tolist() == [2, 3, 6, 7, 10, 11]
    assert keyed.equal_subset(np.arange(12, dtype=np.uint64), STRATA, 2).tolist() == [2, 6, 8, 10, 11]


def test_golden_draws_of_classes():
    assert keyed.balanced_order(7, 1, STRATA).tolist() == [10, 8, 8, 2, 11, 11, 6, 0, 11, 11, 3, 9]
    assert keyed.balanced_order(7, 2, STRATA[:11]).tolist() == [3, 5, 6, 9, 1, 8, 8, 10, 9, 0, 2]


@pytest.mark.parametrize(("counts", "epoch"), [([900, 90, 10], 0), ([900, 90, 10], 3), ([5], 0), ([3, 0, 1], 1), ([1] * 7, 2)])
def test_every_class_is_drawn_as_often_and_each_of_its_samples_as_often_as_its_others(counts, epoch):
    classes = np.repeat(np.arange(len(counts)), counts)
    order = keyed.balanced_order(3, epoch, classes)
    assert len(order) == len(classes)
    drawn = np.bincount(classes[order], minlength=len(counts))[np.array(counts) > 0]
    assert drawn.max() - drawn.min() <= 1
    times = np.bincount(order, minlength=len(classes))
    for c in np.unique(classes):
        assert np.ptp(times[classes == c]) <= 1
    if len(classes) > 100:
        assert order.tolist() != keyed.balanced_order(3, epoch + 1, classes).tolist()
        assert order.tolist() != keyed.balanced_order(4, epoch, classes).tolist()
        first = classes[order[:300]]
        assert (np.bincount(first, minlength=3) > 70).all(), "any part of an epoch is balanced as well"


STRATA = np.array([0] * 8 + [1] * 3 + [2])


def test_golden_dropout():
    assert keyed.dropout_keys(np.array([0, 9]), np.array([0, 1000]), 1).tolist() == [
        [1617449658, -1225489383],
        [-1245017449, -814518641],
    ]
    assert keyed.dropout_base(2, 3).tolist() == [[0, -1429907641, 1435217551], [-885333704, 76345988, -2086254059]]
    assert keyed.dropout_threshold(np.array([0, 0.3, 0.5])).tolist() == [2147483647, 858993458, -1]
    key = torch.from_numpy(keyed.dropout_keys(np.array([9]), np.array([4]), 0))[0, 0]
    keep = keyed.dropout_keep(keyed.dropout_base(4, 4), key, torch.tensor(0)).int()
    assert keep.tolist() == [[0, 1, 1, 1], [0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1]]


def test_dropout_mixing_is_the_unsigned_hash_it_claims_to_be():
    """Against plain Python integers: the masking of int32's arithmetic shift is easily forgotten."""

    def mixed(position: int, key: int) -> int:
        x = position
        for multiplier, shift in ((0x7FEB352D, 15), (0x846CA68B, 16)):
            x = ((x ^ (x >> shift)) * multiplier) & 0xFFFFFFFF
        x ^= x >> 16
        x = ((x ^ key) * 0x9E3779B1) & 0xFFFFFFFF
        x = ((x ^ (x >> 15)) * 0x85EBCA6B) & 0xFFFFFFFF
        x = ((x ^ (x >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
        return x - 2**32 if x >= 2**31 else x

    key, threshold = -1710637428, 123456789
    keep = keyed.dropout_keep(keyed.dropout_base(7, 5), torch.tensor(key, dtype=torch.int32), torch.tensor(threshold))
    expected = [[mixed(row * 5 + unit, key & 0xFFFFFFFF) <= threshold for unit in range(5)] for row in range(7)]
    assert keep.tolist() == expected


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.5, 0.9])
def test_dropout_rate(rate):
    keys = torch.from_numpy(keyed.dropout_keys(np.arange(4), np.arange(50), 0)).view(4, 50, 1, 1)
    threshold = torch.from_numpy(keyed.dropout_threshold(np.full(4, rate))).view(4, 1, 1, 1)
    keep = keyed.dropout_keep(keyed.dropout_base(64, 128), keys, threshold).double()
    error = (rate * (1 - rate) / keep[0, 0].numel()) ** 0.5
    assert abs(float(keep.mean()) - (1 - rate)) < 5 * error / 200**0.5 + 1e-12
    assert float((keep.mean(dim=(2, 3)) - (1 - rate)).abs().max()) < 5 * error + 1e-12, "no step has a rate of its own"
    assert float((keep.mean(dim=(0, 1)) - (1 - rate)).abs().max()) < 6 * (rate * (1 - rate) / 200) ** 0.5 + 1e-12, (
        "no unit either"
    )


def test_dropout_masks_are_independent_across_steps_units_layers_and_runs():
    def mask(seed, step, layer):
        keys = torch.from_numpy(keyed.dropout_keys(np.array([seed]), np.array([step]), layer)).view(1, 1)
        return keyed.dropout_keep(keyed.dropout_base(128, 128), keys, torch.tensor(-1)).double() - 0.5

    one = mask(1, 7, 0)
    others = [mask(1, 8, 0), mask(2, 7, 0), mask(1, 7, 1), one.roll(1, 0), one.roll(1, 1), one.T]
    for other in others:
        correlation = float((one * other).mean() * 4)
        assert abs(correlation) < 5 / 128


def test_streams_and_arguments_give_unrelated_words():
    words = {int(keyed.words(stream, a, b)[0]) for stream in ("split", "view", "order") for a in range(40) for b in range(40)}
    assert len(words) == 3 * 40 * 40


def test_units_are_uniform():
    draws = keyed.view_draws(0, np.arange(20000, dtype=np.uint64), np.zeros(20000, dtype=np.int64), 3)
    counts = np.stack([np.histogram(draws[:, i], bins=20, range=(0, 1))[0] for i in range(3)])
    chi2 = ((counts - 1000) ** 2 / 1000).sum(axis=1)
    assert draws.min() >= 0
    assert draws.max() < 1
    assert (chi2 < 50).all()
    assert np.abs(np.corrcoef(draws.T) - np.eye(3)).max() < 0.05


@pytest.mark.parametrize("num", [1, 5, keyed.BLOCK, keyed.BLOCK + 1, 3 * keyed.BLOCK - 7])
def test_every_epoch_is_a_permutation_in_blocks(num):
    order = keyed.epoch_order(3, 2, num)
    assert sorted(order.tolist()) == list(range(num))
    blocks = order // keyed.BLOCK
    assert (np.diff(blocks) != 0).sum() == len(set(blocks.tolist())) - 1, "a block is read once"
    if num > 1:
        assert order.tolist() != keyed.epoch_order(3, 3, num).tolist()
        assert order.tolist() != keyed.epoch_order(4, 2, num).tolist()


def test_copies_get_ids_of_their_own_and_keep_them_when_samples_are_added():
    few = keyed.sample_ids(np.array([9, 9, 4], dtype=np.uint64))
    more = keyed.sample_ids(np.array([9, 9, 4, 9, 1], dtype=np.uint64))
    assert len(set(more.tolist())) == 5
    assert more[:3].tolist() == few.tolist()


def test_views_depend_on_the_sample_not_on_its_place():
    order = np.array([2, 0, 3, 1])
    draws = keyed.view_draws(5, IDS, np.arange(4), 3)
    assert np.array_equal(draws[order], keyed.view_draws(5, IDS[order], np.arange(4)[order], 3))
    assert np.array_equal(keyed.which_view(1, IDS, 2, 8)[order], keyed.which_view(1, IDS[order], 2, 8))


@pytest.mark.parametrize("num_views", [0, 8])
def test_views_in_turns_are_of_even_and_of_odd_numbers(num_views):
    ids = np.arange(10_000, dtype=np.uint64)
    views = [keyed.which_view_in_turns(3, ids, epoch, num_views) for epoch in range(4)]
    assert all(((now + after) % 2 == 1).all() for now, after in itertools.pairwise(views))
    assert abs((views[0] % 2).mean() - 0.5) < 0.02
    if num_views:
        assert all(np.array_equal(np.unique(each), np.arange(num_views)) for each in views)


def test_the_global_generator_is_given_back_as_it_was():
    import torch

    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first = torch.rand(1)
    with keyed.seeded_torch(7):
        drawn = torch.rand(4)
    with keyed.seeded_torch(7), keyed.seeded_torch(8):
        pass
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)
    assert torch.equal(drawn, torch.rand(4, generator=torch.Generator().manual_seed(7)))


def test_a_stratified_subset_keeps_shares_and_rare_strata_and_is_nested():
    ids = keyed.words("split", np.arange(1000))
    strata = np.repeat([0, 1, 2, 3], [700, 250, 47, 3])
    larger = set(range(1000))
    for num in (1000, 500, 100, 20, 4, 3, 1):
        taken = keyed.stratified_subset(ids, strata, num)
        assert len(taken) == num
        assert np.array_equal(np.sort(taken), taken)
        assert set(taken.tolist()) <= larger
        larger = set(taken.tolist())
        counts = np.bincount(strata[taken], minlength=4)
        expected = np.array([700, 250, 47, 3]) * num / 1000
        assert num < 20 or (abs(counts - expected) <= 1.6).all(), f"{counts} of {num}"
        assert num < 4 or counts.min() >= 1
    assert strata[sorted(larger)].tolist() == [0], "the largest stratum comes first"


def test_an_equal_subset_has_as_many_of_each_stratum_and_is_nested():
    ids = keyed.words("split", np.arange(1000))
    strata = np.repeat([0, 1, 2, 5], [700, 250, 47, 3])
    larger = set(range(1000))
    for each in (800, 100, 20, 3, 1):
        taken = keyed.equal_subset(ids, strata, each)
        assert np.array_equal(np.sort(taken), taken)
        assert set(taken.tolist()) <= larger
        larger = set(taken.tolist())
        assert np.bincount(strata[taken], minlength=6)[[0, 1, 2, 5]].tolist() == [min(num, each) for num in (700, 250, 47, 3)]
    order = np.random.default_rng(0).permutation(1000)
    assert set(ids[order][keyed.equal_subset(ids[order], strata[order], 1)].tolist()) == set(ids[sorted(larger)].tolist())


def test_a_stratified_subset_of_one_stratum_is_the_subset_and_follows_the_samples():
    ids = keyed.words("split", np.arange(300))
    one = np.zeros(300, np.int64)
    assert np.array_equal(keyed.stratified_subset(ids, one, 40), keyed.subset(ids, 40))
    strata = np.arange(300) % 7
    taken = set(ids[keyed.stratified_subset(ids, strata, 40)].tolist())
    order = np.random.default_rng(0).permutation(300)
    assert set(ids[order][keyed.stratified_subset(ids[order], strata[order], 40)].tolist()) == taken
    assert keyed.stratified_subset(ids, strata, 900).tolist() == list(range(300))
    assert keyed.stratified_subset(ids[:0], strata[:0], 9).tolist() == []


def test_every_window_of_a_sample_comes_up_as_often_and_depends_on_no_other_sample():
    ids, owned = np.arange(400, dtype=np.uint64), np.full(400, 4)
    drawn = np.stack([keyed.which_window(3, ids, epoch, owned) for epoch in range(50)])
    shares = np.bincount(drawn.ravel(), minlength=4) / drawn.size
    assert abs(shares - 0.25).max() < 0.01
    assert (keyed.which_window(3, ids[::-1], 7, owned)[::-1] == drawn[7]).all()
    assert (keyed.which_window(4, ids, 7, owned) != drawn[7]).any()
