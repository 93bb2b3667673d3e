"""What a simple method sees of a text: the n-grams that the network sees, with the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.kinds.baselines import Seen
from pipeline.kinds.kind import Fit
from pipeline.kinds.text.vocabulary import Vocabulary

STRENGTHS = (3.0, 20.0, 100.0)
"""Of logistic regression, the inverse of its penalty: of what was tried the best on 30,000 film reviews, 9,000 questions in 77
classes, and 4,000 short messages."""


def baselines(fit: Fit, shape: Sequence[int]) -> Sequence[Seen]:
    """One for each strength, of which the best on validation is shown."""
    from scipy import sparse

    known = Vocabulary.of(fit)

    def features(rows: Any) -> sparse.csr_matrix:
        bags = known.bags([row.tobytes() for row in rows])
        ends = np.concatenate([[0], np.cumsum(bags.lengths)])
        return sparse.csr_matrix((bags.weights, bags.places, ends), (len(rows), known.size))

    words = "words and characters (tf-idf)"
    return [Seen(f"tf-idf-{c:g}", f"{words}, C = {c:g}", "linear", features, ragged=True, strength=c) for c in STRENGTHS]
