from __future__ import annotations

import numpy as np

from pipeline.prepare.raw import NONE, Raw, Said, portion_of


def test_what_samples_say_is_kept_once_for_each_that_differs() -> None:
    said = Said.of(["b", "a", "b", None])
    assert (said.values, said.codes.tolist(), list(said)) == (["b", "a", None], [0, 1, 0, 2], ["b", "a", "b", None])
    assert list(said.taken(np.array([3, 0, 0]))) == [None, "b", "b"]


def test_samples_of_a_portion_may_be_taken_more_than_once_with_their_problems() -> None:
    raws = [Raw("t.csv", 2, ("x",), b"one", 3), Raw("t.csv", None, (), None, 0, "val", problem="no label")]
    portion = portion_of(raws).taken(np.array([1, 0, 1]))
    assert [list(portion.sources), portion.rows.tolist()] == [["t.csv"] * 3, [NONE, 2, NONE]]
    assert [list(portion.labels), list(portion.splits)] == [[(), ("x",), ()], ["val", None, "val"]]
    assert (portion.contents, portion.num_bytes.tolist()) == ([None, b"one", None], [0, 3, 0])
    assert portion.problems == {0: "no label", 2: "no label"}
