"""Augmented texts: functions of sample, number and policy alone."""

from __future__ import annotations

import numpy as np
from text_samples import policy, ragged

from pipeline.kinds.ragged import Ragged, part
from pipeline.kinds.text.inputs import texts_of
from pipeline.kinds.text.views import batch_views

TEXTS = ["one two three four five", "這部電影很好看", "หนังเรื่องนี้ดีมาก", "a", "이 영화 정말 재미있어요", " two\nlines here "]
IDS = np.arange(len(TEXTS), dtype=np.uint64)


def views(texts: list[str], number: int = 0, ids: np.ndarray = IDS, **changes: float) -> list[str]:
    drawn = batch_views(ragged(texts), ids[: len(texts)], np.full(len(texts), number), policy(**changes), {})
    return [text.decode() for text in texts_of(drawn)]


def test_a_view_is_the_same_in_any_batch() -> None:
    own, numbers = policy(delete=0.3, swap=0.3), np.array([0, 5, 1, 7, 2, 3])
    rows = ragged(TEXTS)
    together = batch_views(rows, IDS, numbers, own, {})
    assert isinstance(together, Ragged)
    for i in range(len(TEXTS)):
        alone = batch_views(part(rows, i, i + 1), IDS[i : i + 1], numbers[i : i + 1], own, {})
        assert texts_of(alone) == texts_of(part(together, i, i + 1))
    assert batch_views(rows, IDS, numbers + 1, own, {}).items.tolist() != together.items.tolist()


def test_words_are_left_out_as_often_as_asked_for_and_one_stays() -> None:
    text = " ".join(map(str, range(1000)))
    [found] = views([text], delete=0.3)
    kept = [*map(int, found.split())]
    assert 650 < len(kept) < 750
    assert kept == sorted(kept)
    assert all(len(found.split()) == 1 for found in views(["a b c"] * 3, delete=1.0))


def test_words_change_places_and_none_is_lost() -> None:
    [found] = views([" ".join(map(str, range(1000)))], swap=0.1)
    words = [*map(int, found.split())]
    assert sorted(words) == [*range(1000)]
    moved = sum(i != word for i, word in enumerate(words))
    assert 150 < moved < 250


def test_scripts_without_spaces_are_augmented_by_characters_with_their_marks() -> None:
    [found] = views([TEXTS[2]], swap=1.0)
    assert sorted(found) == sorted(TEXTS[2])
    assert found != TEXTS[2]
    assert found[0] not in "\u0e31\u0e35\u0e37\u0e48\u0e49"


def test_nothing_changes_where_nothing_is_on() -> None:
    assert views(TEXTS) == [text.strip() for text in TEXTS]
    assert not policy().active
    assert policy(delete=0.2, strength=0.5).scaled() == policy(delete=0.1)
