from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from table_samples import write_lines

from pipeline import keyed
from pipeline.data.dataset import Dataset
from pipeline.prepare.splits import NONE, TEST, TRAIN, VAL, assigned, conflicts, group_strata, limited, num_repeats, straddlers

Build = Callable[..., Dataset]
FRACTIONS = {VAL: 0.1, TEST: 0.1}


def contents(num: int, start: int = 0) -> keyed.U64:
    return np.array([keyed.content_id(f"{i}".encode()) for i in range(start, start + num)], np.uint64)


def split(units: keyed.U64, strata: object = 0, given: object = NONE) -> tuple[np.ndarray, list[int]]:
    wide = [np.broadcast_to(np.asarray(column, np.int64), units.shape) for column in (strata, given)]
    return assigned(units, *wide, FRACTIONS, keyed.split_position(units))


def test_golden_vector() -> None:
    """Frozen: a change here gives every user another test split."""
    assert "".join("tvT"[s] for s in split(contents(40))[0]) == GOLDEN


GOLDEN = "tttttTttttttttvTtTttTTvttTttttttvttttttt"


def test_fractions_are_met() -> None:
    splits, small = split(contents(20000))
    assert small == []
    assert np.bincount(splits) == pytest.approx([16000, 2000, 2000], rel=0.05)


def test_adding_samples_moves_no_old_one() -> None:
    many = contents(3000)
    few, _ = split(many[:500])
    assert np.array_equal(split(many)[0][:500], few)


def test_removing_and_reordering_moves_none() -> None:
    units = contents(1000)
    order = np.random.default_rng(0).permutation(1000)[:900]
    assert np.array_equal(split(units)[0][order], split(units[order])[0])


@pytest.mark.parametrize(("num", "expected"), [(1, [1, 0, 0]), (2, [1, 0, 1]), (3, [1, 1, 1]), (4, [2, 1, 1])])
def test_small_classes_reach_every_split_as_far_as_they_can(num: int, expected: list[int]) -> None:
    units = np.r_[contents(1000), contents(num, 5000)]
    strata = np.r_[np.zeros(1000, np.int64), np.ones(num, np.int64)]
    splits, small = split(units, strata)
    assert np.bincount(splits[1000:], minlength=3).tolist() == expected
    assert small == [1] or num > 3
    assert np.array_equal(splits[:1000], split(units[:1000])[0])


def test_quotas_leave_something_to_train_on() -> None:
    for num in range(1, 30):
        position = keyed.split_position(contents(num))
        splits, _ = assigned(contents(num), np.zeros(num, int), np.full(num, NONE), {VAL: 0.45, TEST: 0.5}, position)
        counts = np.bincount(splits, minlength=3)
        assert counts[TRAIN] >= 1
        assert num < 3 or (counts >= 1).all()


def test_equal_units_never_part() -> None:
    units = np.repeat(contents(300), 3)
    strata = np.tile([0, 1, 2], 300)
    splits, _ = split(units, strata)
    assert (splits.reshape(300, 3) == splits.reshape(300, 3)[:, :1]).all()


def test_a_few_groups_reach_every_split() -> None:
    speakers = np.repeat(contents(6), 50)
    splits, small = split(speakers)
    assert small == [0]
    assert np.bincount(splits).tolist() == [200, 50, 50]


def test_given_splits_win_and_the_rest_is_cut_from_train() -> None:
    units = contents(1000)
    given = np.where(np.arange(1000) < 300, TEST, NONE)
    splits, _ = split(units, given=given)
    assert (splits[:300] == TEST).all()
    assert (splits[300:] != TEST).all()
    assert np.bincount(splits[300:]) == pytest.approx([630, 70], rel=0.3)
    assert np.array_equal(split(units, given=np.where(np.arange(1000) < 300, TEST, TRAIN))[0], splits)
    everything = np.arange(1000) % 3
    assert np.array_equal(split(units, given=everything)[0], everything)


def test_a_fraction_of_zero_cuts_nothing() -> None:
    position = keyed.split_position(contents(50))
    splits, small = assigned(contents(50), np.zeros(50, int), np.full(50, NONE), {VAL: 0.2, TEST: 0.0}, position)
    assert set(splits.tolist()) == {TRAIN, VAL}
    assert small == []


def test_another_seed_gives_other_splits() -> None:
    units = contents(1000)
    wide = np.zeros(1000, int), np.full(1000, NONE)
    one, other = (assigned(units, *wide, FRACTIONS, keyed.split_position(units, seed))[0] for seed in (1, 2))
    assert (one != other).any()


def test_straddlers_leave_the_earlier_split() -> None:
    a, b, c = contents(3)
    found = straddlers(np.array([a, a, a, b, b, c]), np.array([TRAIN, VAL, TEST, TRAIN, TRAIN, VAL]))
    assert found.tolist() == [0, 1]


def test_limits_are_nested_and_keep_every_class() -> None:
    units = contents(1000)
    cells = np.r_[np.zeros(990, int), np.arange(1, 11)]
    assert limited(units, cells, None).tolist() == limited(units, cells, 1000).tolist() == list(range(1000))
    some = limited(units, cells, 40)
    assert len(some) == 40
    assert set(cells[some].tolist()) == set(range(11))
    assert np.array_equal(np.sort(some), some)
    assert set(some.tolist()) <= set(limited(units, cells, 80).tolist())
    assert len(limited(units, cells, 5)) == 5
    order = np.random.default_rng(0).permutation(1000)
    assert set(order[limited(units[order], cells[order], 40)].tolist()) == set(some.tolist())


def test_repeats_and_conflicts() -> None:
    a, b, c = contents(3)
    assert num_repeats(np.array([a, b, a, a, c])) == 2
    assert conflicts(np.array([a, b, a, b, c]), np.array([0, 1, 0, 2, 1])).tolist() == [1, 3]


def test_groups_count_for_their_rarest_class() -> None:
    groups = np.repeat(contents(12), 2)
    strata = np.array([0, 0] * 5 + [0, 1] * 6 + [2, 2])
    found = group_strata(groups, strata).reshape(12, 2)
    assert (found == found[:, :1]).all()
    assert found[:, 0].tolist() == [0] * 5 + [1] * 6 + [NONE]  # class 2 has one group alone


def test_groups_of_each_class_reach_every_split() -> None:
    patients, strata = np.repeat(contents(30), 10), np.repeat(np.arange(30) % 3, 10)
    splits, _ = split(patients, group_strata(patients, strata))
    assert (splits.reshape(30, 10) == splits.reshape(30, 10)[:, :1]).all()
    of_patient = splits[::10]
    for k in range(3):
        assert set(of_patient[np.arange(30) % 3 == k].tolist()) == {TRAIN, VAL, TEST}
    few = np.repeat(contents(4), 5)
    assert len(set(group_strata(few, np.repeat([0, 1, 0, 1], 5)).tolist())) == 1


def test_new_samples_move_no_group_of_a_class_with_enough() -> None:
    many = contents(600)
    strata = np.arange(600) % 2
    before, small = split(many[:400], group_strata(many[:400], strata[:400]))
    assert small == []
    assert np.array_equal(split(many, group_strata(many, strata))[0][:400], before)


def test_few_groups_leave_splits_far_from_what_was_asked_for_and_it_is_said(tmp_path: Path, build_table: Build) -> None:
    lines = [f"{i / 7:.3f},owner{i % 3},{'ab'[i % 2]}" for i in range(90)]
    path = str(write_lines(tmp_path / "t.csv", "x,owner,label", lines))
    notes = build_table(path=path, group="owner").manifest.notes
    assert (
        "the splits are train 33 %, val 33 %, test 33 %, where 10 % (prepare.val_fraction) and 10 % (prepare.test_fraction) "
        "were asked for: 3 groups can't be parted more evenly, since a group stays whole"
    ) in notes
    assert not any("the splits are" in note for note in build_table(path=path, ignore=["owner"]).manifest.notes)
