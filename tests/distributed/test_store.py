"""The keys by which workers find each other: torch's interface, with what its own store in memory answers."""

from datetime import timedelta

import pytest
from torch.distributed import HashStore

from pipeline.distributed.store import Keys, KeyStore

SHORT = timedelta(seconds=0.05)


def store(keys=None):
    keys = keys or Keys()
    return KeyStore(lambda method, *words: getattr(keys, method)(*words), SHORT)


def answers(one):
    """All kinds of questions, each where the key is there and where it is not."""
    one.set("a", "1")
    one.set("a", b"2")
    found = [one.get("a"), one.add("count", 2), one.add("count", -5), one.get("count"), one.check(["a"]), one.check(["a", "b"])]
    found += [one.compare_set("a", "other", "3"), one.compare_set("a", "2", "3"), one.get("a")]
    found += [one.compare_set("new", "expected", "3"), one.compare_set("new", "", "4"), one.get("new")]
    found += [one.multi_get(["a", "new"]), one.delete_key("new"), one.delete_key("new"), one.check(["new"])]
    one.wait(["a", "count"])
    return found


def test_it_answers_as_torchs_own():
    assert answers(store()) == answers(HashStore())
    one = store()
    one.set("a", "1")
    assert one.num_keys() == 1


def test_what_does_not_come_is_an_error_and_what_others_write_is_found():
    keys = Keys()
    one, other = store(keys), store(keys)
    for ask in (one.get, lambda key: one.wait([key]), lambda key: one.multi_get([key]), lambda key: one.wait([key], SHORT)):
        with pytest.raises(RuntimeError, match=r"late: not said within 0\.05 s"):
            ask("late")
    one.set_timeout(timedelta(seconds=0.1))
    with pytest.raises(RuntimeError, match=r"within 0\.1 s"):
        one.get("late")
    other.set("late", b"\x00here")
    assert one.get("late") == b"\x00here"
