"""Augmented texts: functions of sample, number and policy alone."""

from __future__ import annotations

import numpy as np
from text_samples import policy, ragged

from pipeline.kinds.ragged import Ragged, part
from pipeline.kinds.text.inputs import texts_of
from pipeline.kinds.text.views import batch_views
from pipeline.kinds.views import told

TEXTS = ["one two three four five", "這部電影很好看", "หนังเรื่องนี้ดีมาก", "a", "이 영화 정말 재미있어요", " two\nlines here "]
IDS = np.arange(len(TEXTS), dtype=np.uint64)


KNOWN = {"synonyms": {"film": ["movie", "picture"], "fine": ["good"]}}


def views(texts: list[str], number: int = 0, ids: np.ndarray = IDS, **changes: float) -> list[str]:
    drawn = batch_views(ragged(texts), ids[: len(texts)], np.full(len(texts), number), policy(**changes), KNOWN)
    return [text.decode() for text in texts_of(drawn)]


def test_a_view_is_the_same_in_any_batch() -> None:
    own, numbers = policy(delete=0.3, swap=0.3, synonyms=0.5, insert=0.5), np.array([0, 5, 1, 7, 2, 3])
    rows = ragged(TEXTS)
    together = batch_views(rows, IDS, numbers, own, KNOWN)
    assert isinstance(together, Ragged)
    for i in range(len(TEXTS)):
        alone = batch_views(part(rows, i, i + 1), IDS[i : i + 1], numbers[i : i + 1], own, KNOWN)
        assert texts_of(alone) == texts_of(part(together, i, i + 1))
    assert batch_views(rows, IDS, numbers + 1, own, KNOWN).items.tolist() != together.items.tolist()


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


def test_words_are_replaced_in_their_own_signs_and_capitals_and_stop_words_stay() -> None:
    found = {view for number in range(20) for view in views(['A fine "Film", THE FILM!'], number, synonyms=1.0)}
    assert found <= {f'A good "{one}", THE {other}!' for one in ("Movie", "Picture") for other in ("MOVIE", "PICTURE")}
    assert len(found) == 4


def test_as_many_words_are_replaced_as_asked_for() -> None:
    [found] = views(["film " * 1000], synonyms=0.2)
    assert 150 < found.count("movie") + found.count("picture") < 250
    assert found.count("film") + found.count("movie") + found.count("picture") == 1000


def test_synonyms_of_other_words_are_inserted() -> None:
    [found] = views(["one fine day " * 300], insert=0.5)
    assert 100 < found.count("good") < 200
    assert found.replace("good ", "").replace(" good", "").split() == ["one", "fine", "day"] * 300
    assert all(view.split() in (["fine", "good"], ["good", "fine"]) for view in {*views(["fine"] * 5, insert=1.0)})


def test_without_synonyms_the_policy_says_so_and_the_other_operations_go_on() -> None:
    own = policy(synonyms=0.5, insert=0.5, delete=0.5)
    assert told("text", own, {}) == [
        "augment.synonyms and augment.insert: no synonyms are known, so no word is taken for another; regatta run "
        "data.synonyms=FILE names a file of them (docs/augmentation.md)"
    ]
    assert told("text", own, KNOWN) == told("text", policy(delete=0.5), {}) == told("image", own, {}) == []
    assert told("text", own, {**KNOWN, "synonyms_told": "80 % of the words"}) == ["80 % of the words"]
    assert told("text", policy(synonyms=0.5, strength=0.0), {}) == []
    rows = ragged(["a fine film " * 50])
    one, other = (batch_views(rows, IDS[:1], np.zeros(1, np.int64), each, {}) for each in (own, policy(delete=0.5)))
    assert texts_of(one) == texts_of(other)
