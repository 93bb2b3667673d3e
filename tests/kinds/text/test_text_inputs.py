"""Texts as networks take them, and as users give them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from text_samples import GOOD, ragged

from pipeline.errors import DataError
from pipeline.kinds.inputs import is_cast_once, taken
from pipeline.kinds.ragged import Ragged, part
from pipeline.kinds.text.inputs import as_stored, check_inputs, to_input, unseen
from pipeline.kinds.text.vocabulary import learned

FIT = learned((text.encode() for text in (*GOOD, *GOOD)), hashed=False)[0].kept()
TEXTS = [*GOOD, "재미 \U0001f600", "fine " * 300]


def test_a_network_takes_tokens_and_weights() -> None:
    found = taken("text", FIT, (), (3, 20, 900))
    size = found.num_tokens
    assert (found.shape, found.lengths, found.weighted) == ((2,), (1, 40, size), True)
    assert is_cast_once("text")
    assert not is_cast_once("image")


def test_a_text_has_the_same_inputs_in_any_batch() -> None:
    cast = to_input(FIT, (), "cpu")
    rows = ragged(TEXTS)
    together = cast(rows)
    assert isinstance(together, Ragged)
    assert (together.items.dtype, together.items.shape[1]) == (torch.float32, 2)
    for i in range(len(TEXTS)):
        alone, own = cast(part(rows, i, i + 1)), part(together, i, i + 1)
        assert isinstance(own, Ragged)
        assert torch.equal(alone.items, own.items)
    assert part(together, 4, 5).items.tolist() == [[0.0, 1.0]]  # nothing of it is known


def test_samples_are_texts_as_people_have_them() -> None:
    rows = as_stored([f"{GOOD[0]} scho\u0308n\x00 ", f"{GOOD[0]}\r\nb"], FIT)
    assert [row.numpy().tobytes().decode() for row in rows] == [f"{GOOD[0]} schön", f"{GOOD[0]}\nb"]
    check_inputs(Ragged.of(rows), ())
    for samples, message in (
        ("one", r"one text, 'one', where several are expected; one text is \[text\]"),
        (["a", None], "text 1: NoneType, and a str is expected"),
        (["a", " "], "text 1: no text"),
    ):
        with pytest.raises(DataError, match=message):
            as_stored(samples, FIT)


def test_texts_of_which_nothing_is_known_are_counted_and_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"^1 of 3 \(33\.3 %\) texts have nothing that training knows"):
        rows = as_stored([GOOD[0], "\U0001f600", GOOD[1]], FIT)
    assert unseen(FIT)(rows) == 1
    assert unseen(FIT)(rows[:1]) == 0


def test_what_are_no_texts_as_stored_is_refused() -> None:
    with pytest.raises(DataError, match=r"expected are texts as stored, uint8 of UTF-8 each; a str goes through"):
        check_inputs(torch.zeros(2, 3), ())
    with pytest.raises(DataError, match="expected are texts as stored"):
        check_inputs(Ragged.of([torch.from_numpy(np.zeros(3, np.float32))]), ())
