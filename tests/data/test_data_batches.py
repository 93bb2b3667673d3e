"""Rows gathered from what is resident or mapped, and the batches in which samples are judged."""

import numpy as np
import pytest
import torch

from pipeline.data import batches
from pipeline.data.batches import Inputs, judged_batches
from pipeline.data.dataset import Split, Stored, spans
from pipeline.kinds.ragged import Ragged

CPU = torch.device("cpu")
LENGTHS = np.array([2, 5, 1, 4, 3, 3])
OWNED = np.array([1, 3, 2])
"""Rows of each of three samples."""


def stored(factor=1.0, lengths=LENGTHS, shape=(2,)):
    values = factor * np.arange(int(lengths.sum()) * 2, dtype=np.float32).reshape(-1, *shape)
    return Stored(values, np.r_[0, np.cumsum(lengths)])


def split(ragged=True, windows=True):
    rows = stored() if ragged else Stored(np.arange(12, dtype=np.float32).reshape(6, 2))
    num = 3 if windows else 6
    own = np.r_[0, np.cumsum(OWNED)] if windows else None
    return Split(rows.values, np.arange(num), np.arange(10, 10 + num, dtype=np.uint64), own, rows.offsets)


@pytest.mark.parametrize("resident", [True, False])
def test_ragged_rows_of_several_arrays_are_gathered_row_by_row(resident):
    one, other = stored(), stored(-1.0, LENGTHS[::-1].copy())
    inputs = Inputs([one, other], CPU, resident=resident)
    chosen = np.array([5, 0, 11, 6, 3, 5])
    found = inputs.take(chosen)
    assert isinstance(found, Ragged)
    for row, number in zip(found.rows(), chosen.tolist(), strict=True):
        array, i = (one, number) if number < 6 else (other, number - 6)
        np.testing.assert_array_equal(row.numpy(), array.values[array.offsets[i] : array.offsets[i + 1]])
    assert found.lengths.tolist() == [3, 2, 2, 3, 4, 3]


def test_some_samples_have_all_their_rows():
    whole = split()
    some = whole.taken(np.array([2, 0]))
    assert some.ids.tolist() == [12, 10]
    assert some.rows.tolist() == [0, 2, 3]
    assert some.offsets.tolist() == [0, 3, 6, 8]
    for own, i in ((0, 2), (1, 0)):
        np.testing.assert_array_equal(some.sample(own), whole.sample(i))
    plain = split(ragged=False, windows=False).taken(np.array([4, 1]))
    assert (plain.rows, plain.offsets, plain.ids.tolist()) == (None, None, [14, 11])
    assert spans(np.array([5, 0]), np.array([1, 2])).tolist() == [5, 0, 1]


def test_the_first_window_has_its_samples_number_and_the_others_have_their_own():
    whole = split()
    owners = np.array([0, 1, 1, 1, 2, 2])
    ids = whole.row_ids(owners, np.arange(6))
    assert ids[[0, 1, 4]].tolist() == [10, 11, 12]
    assert len(set(ids.tolist())) == 6
    assert split(windows=False).row_ids(np.arange(6), np.arange(6)).tolist() == list(range(10, 16))


@pytest.mark.parametrize(("ragged", "windows"), [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("most", [1, 3, 100])
def test_each_sample_is_judged_once_by_all_of_its_rows(ragged, windows, most):
    whole = split(ragged, windows)
    found = judged_batches(whole, most)
    assert sorted(np.concatenate([batch.samples for batch in found]).tolist()) == list(range(len(whole)))
    for batch in found:
        assert len(batch.rows) <= most or len(batch.samples) == 1
        expected = [row for i in batch.samples for row in range(whole.first_rows[i], whole.first_rows[i] + whole.num_rows[i])]
        assert batch.rows.tolist() == expected
        assert (batch.num_rows is None) == (not windows)
        assert batch.num_rows is None or batch.num_rows.tolist() == whole.num_rows[batch.samples].tolist()
    if ragged:
        longest = [max(whole.stored.lengths[batch.rows]) for batch in found]
        assert longest == sorted(longest)


def test_rows_of_one_shape_are_judged_in_their_order():
    found = judged_batches(split(ragged=False, windows=False), 4)
    assert [batch.samples.tolist() for batch in found] == [[0, 1, 2, 3], [4, 5]]
    assert judged_batches(split(ragged=False, windows=False).taken(np.zeros(0, np.int64)), 4) == []


def test_ragged_batches_have_no_more_values_than_are_allowed(monkeypatch):
    monkeypatch.setattr(batches, "MOST_VALUES", 2 * 3 * 3)
    found = judged_batches(split(windows=False), 100)
    assert [batch.samples.tolist() for batch in found] == [[2, 0, 4], [5, 3], [1]]
