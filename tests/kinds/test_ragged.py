"""Rows of different lengths, compared with lists of tensors."""

import pytest
import torch

from pipeline.kinds import ragged
from pipeline.kinds.ragged import Ragged, gathered, part, places

LENGTHS = [3, 1, 5, 2]


def rows(*shape, lengths=LENGTHS):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(length, *shape, generator=generator) for length in lengths]


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_rows_are_filled_up_with_zeros_to_the_longest_of_those_there_are(shape):
    own = rows(*shape)
    batch = Ragged.of(own)
    assert len(batch) == 4
    assert all(map(torch.equal, batch.rows(), own))
    padded, lengths = batch.padded()
    assert padded.shape == (4, 5, *shape)
    assert lengths.tolist() == LENGTHS
    for row, filled in zip(own, padded, strict=True):
        assert torch.equal(filled[: len(row)], row)
        assert not filled[len(row) :].any()
    short, _ = batch.part(0, 2).padded()
    assert short.shape == (2, 3, *shape)


def test_a_part_is_of_whole_rows_and_copies_nothing():
    own = rows(4)
    batch = Ragged.of(own)
    for first, last in ((0, 4), (1, 3), (3, 4), (2, 2), (0, 0)):
        found = part(batch, first, last)
        assert all(map(torch.equal, found.rows(), own[first:last]))
        assert len(found) == last - first
    assert batch.part(1, 3).items.data_ptr() == batch.items[3:].data_ptr()
    assert torch.equal(part(batch.items, 1, 3), batch.items[1:3])


def test_other_items_keep_the_lengths():
    batch = Ragged.of(rows())
    doubled = batch.with_items(2 * batch.items)
    assert torch.equal(doubled.lengths, batch.lengths)
    assert torch.equal(doubled.rows()[2], 2 * batch.rows()[2])


def test_places_are_those_of_a_plain_loop():
    starts, lengths = torch.tensor([7, 0, 40]), torch.tensor([2, 3, 1])
    expected = [start + i for start, length in zip(starts.tolist(), lengths.tolist(), strict=True) for i in range(length)]
    assert places(starts, lengths, torch.device("cpu")).tolist() == expected
    assert places(starts[:0], lengths[:0], torch.device("cpu")).tolist() == []


def test_long_rows_are_copied_one_by_one_to_the_same_bits(monkeypatch):
    items = torch.randn(40, 3, generator=torch.Generator().manual_seed(2))
    starts, lengths = torch.tensor([7, 0, 30]), torch.tensor([6, 3, 9])
    found = []
    for long in (100, 1):
        monkeypatch.setattr(ragged, "LONG", long)
        rows = gathered(items, starts, lengths)
        assert torch.equal(rows.rows()[2], items[30:39])
        found.append([rows.items, rows.lengths, *rows.padded()])
    assert all(map(torch.equal, *found))
