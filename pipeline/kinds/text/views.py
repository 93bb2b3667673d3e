"""Augmented texts: words left out or changing places, drawn for each word by its place (EDA, Wei and Zou 2019)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.artifacts import digest
from pipeline.keyed import U64
from pipeline.kinds.kind import Fit
from pipeline.kinds.text.inputs import texts_of
from pipeline.kinds.text.keys import TextPolicy

if TYPE_CHECKING:
    from pipeline.kinds.ragged import Rows

ENGINE = 1
"""Raised where a view of the same policy changes."""
_DENSE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"(\s*)([{_DENSE}][\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]*|[^\s{_DENSE}]+)")
"""White space and a word or, of a script without spaces, a character with its marks."""
_DELETE, _SWAP, _WHERE = range(3)
_DRAWS = 3
"""Of a word."""


def check_policy(policy: TextPolicy, shape: Sequence[int]) -> None:
    """Every text can have every policy."""


def engine_versions() -> dict[str, Any]:
    """What can change a view besides the policy."""
    return {"engine": ENGINE, "contract": keyed.CONTRACT}


def policy_digest(policy: TextPolicy) -> str:
    """The identity of the views that a policy draws; how many are stored is no part of it."""
    return digest([policy.model_dump(exclude={"views"}), engine_versions()])


def advised(shape: Sequence[int], policy: TextPolicy) -> list[tuple[str, Mapping[str, Any]]]:
    """Words left out, then changing places."""
    if not policy.delete:
        return [("Leave some words of the training texts out", {"augment.delete": 0.1})]
    return [] if policy.swap else [("Let words of the training texts change places", {"augment.swap": 0.1})]


def batch_views(stored: Rows, ids: U64, numbers: NDArray[np.int64], policy: TextPolicy, fit: Fit) -> Rows:
    """View `numbers[i]` of the texts as stored, ragged uint8, with sample ids `ids[i]`: ragged uint8."""
    import torch

    from pipeline.kinds.ragged import Ragged

    assert isinstance(stored, Ragged)
    views = [
        _view(text.decode(), ids[i : i + 1], numbers[i : i + 1], policy).encode() for i, text in enumerate(texts_of(stored))
    ]
    items = torch.from_numpy(np.frombuffer(b"".join(views), np.uint8).copy()).to(stored.items.device)
    return Ragged(items, torch.tensor([len(view) for view in views], dtype=torch.int64))


def _view(text: str, ids: U64, numbers: NDArray[np.int64], policy: TextPolicy) -> str:
    """Words are drawn for by their places; one word at least is left."""
    gaps, words = map(list, zip(*_WORD.findall(text), strict=True))
    drawn = keyed.view_draws(policy.seed, ids, numbers, _DRAWS * len(words)).reshape(len(words), _DRAWS)
    for i in np.flatnonzero(drawn[:, _SWAP] < policy.swap).tolist():
        j = int(drawn[i, _WHERE] * len(words))
        words[i], words[j] = words[j], words[i]
    kept = drawn[:, _DELETE] >= policy.delete
    kept[int(drawn[:, _DELETE].argmax())] = True
    return "".join(gap + word for gap, word, here in zip(gaps, words, kept.tolist(), strict=True) if here).strip()
