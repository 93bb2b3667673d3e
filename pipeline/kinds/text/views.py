"""Augmented texts, as of EDA (Wei and Zou 2019): words replaced by synonyms, inserted, changing places, left out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.keyed import U64
from pipeline.kinds.kind import Fit
from pipeline.kinds.text.inputs import texts_of
from pipeline.kinds.text.keys import TextPolicy
from pipeline.kinds.text.synonyms import Synonyms, replaced
from pipeline.kinds.words import UNSPACED

if TYPE_CHECKING:
    from pipeline.kinds.ragged import Rows

ENGINE = 1
"""Raised where a view of the same policy changes."""
_WORD = re.compile(rf"(\s*)([{UNSPACED}][\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]*|[^\s{UNSPACED}]+)")
"""White space and a word or, of a script without spaces, a character with its marks."""
_DELETE, _SWAP, _WITH, _REPLACE, _BY, _INSERT, _OF, _WHICH, _WHERE = range(9)
_DRAWS = 9
"""Of a word."""


def check_policy(policy: TextPolicy, shape: Sequence[int]) -> None:
    """Every text can have every policy."""


def engine_versions() -> dict[str, Any]:
    """What can change a view besides the policy."""
    return {"engine": ENGINE, "contract": keyed.CONTRACT}


def advised(shape: Sequence[int], policy: TextPolicy) -> list[tuple[str, Mapping[str, Any]]]:
    """Words left out, then changing places."""
    if not policy.delete:
        return [("Leave some words of the training texts out", {"augment.delete": 0.1})]
    return [] if policy.swap else [("Let words of the training texts change places", {"augment.swap": 0.1})]


def told(policy: TextPolicy, fit: Fit) -> list[str]:
    """How many words have synonyms where an operation needs some; without any the other operations go on."""
    named = [name for name in ("synonyms", "insert") if getattr(policy, name)]
    if not named or not policy.active:
        return []
    if "synonyms" in fit:
        return [fit["synonyms_told"]] if "synonyms_told" in fit else []
    return [
        f"{' and '.join(f'augment.{name}' for name in named)}: no synonyms are known, so no word is taken for another; "
        "regatta run data.synonyms=FILE names a file of them (docs/augmentation.md)"
    ]


def batch_views(stored: Rows, ids: U64, numbers: NDArray[np.int64], policy: TextPolicy, fit: Fit) -> Rows:
    """View `numbers[i]` of the texts as stored, ragged uint8, with sample ids `ids[i]`: ragged uint8."""
    import torch

    from pipeline.kinds.ragged import Ragged

    assert isinstance(stored, Ragged)
    known: Synonyms = fit.get("synonyms", {})
    views = [
        _view(text.decode(), ids[i : i + 1], numbers[i : i + 1], policy, known).encode()
        for i, text in enumerate(texts_of(stored))
    ]
    items = torch.from_numpy(np.frombuffer(b"".join(views), np.uint8).copy()).to(stored.items.device)
    return Ragged(items, torch.tensor([len(view) for view in views], dtype=torch.int64))


def _view(text: str, ids: U64, numbers: NDArray[np.int64], policy: TextPolicy, known: Synonyms) -> str:
    """Words are drawn for by their places; one word at least is left."""
    gaps, words = map(list, zip(*_WORD.findall(text), strict=True))
    num = len(words)
    drawn = keyed.view_draws(policy.seed, ids, numbers, _DRAWS * num).reshape(num, _DRAWS)
    added = _added(words, drawn, policy.insert, known)
    for i in np.flatnonzero(drawn[:, _REPLACE] < policy.synonyms).tolist():
        words[i] = replaced(words[i], drawn[i, _BY], known) or words[i]
    for i in np.flatnonzero(drawn[:, _SWAP] < policy.swap).tolist():
        j = int(drawn[i, _WITH] * num)
        words[i], words[j] = words[j], words[i]
    kept = drawn[:, _DELETE] >= policy.delete
    kept[int(drawn[:, _DELETE].argmax())] = True
    found = []
    for i, (gap, word) in enumerate(zip(gaps, words, strict=True)):
        found += [f" {synonym}" for synonym in added.get(i, ())]
        found += [gap + word if gap or not found else f"{_between(found[-1], word)}{word}"] if kept[i] else []
    return "".join(found).strip()


def _between(before: str, word: str) -> str:
    """A blank after what was inserted, before a word at the beginning of the text; nothing in a script without spaces."""
    return " " if before.startswith(" ") and not re.match(f"[{UNSPACED}]", word) else ""


def _added(words: Sequence[str], drawn: NDArray[np.float64], share: float, known: Synonyms) -> dict[int, list[str]]:
    """By place the synonyms of other words that are inserted before it."""
    found: dict[int, list[str]] = {}
    for i in np.flatnonzero(drawn[:, _INSERT] < share).tolist():
        synonym = replaced(words[int(drawn[i, _OF] * len(words))], drawn[i, _WHICH], known)
        if synonym:
            found.setdefault(int(drawn[i, _WHERE] * len(words)), []).append(synonym)
    return found
