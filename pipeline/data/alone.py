"""Whether what a kind of the user's own makes of a row depends on nothing else: tried on a few rows before it is relied on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from pipeline import extensions
from pipeline.data.batches import Inputs
from pipeline.data.dataset import Dataset
from pipeline.errors import ConfigError
from pipeline.kinds.inputs import inputs_of
from pipeline.kinds.kind import HOUSE
from pipeline.kinds.ragged import Ragged, Rows, part
from pipeline.kinds.views import views_of
from pipeline.schema.augment import AugmentConfig

ROWS = 6


def check_alone(dataset: Dataset, policy: AugmentConfig) -> None:
    """ConfigError where inputs or views of a few training rows are others in a batch than alone, or the second time.

    Then no run could be resumed, repeated or shared exactly. Kinds of this code are tested instead.
    """
    manifest, train = dataset.manifest, dataset.split("train")
    if manifest.kind in HOUSE:
        return
    samples = np.arange(min(ROWS, len(train)))
    ids, numbers = np.asarray(train.ids)[samples], samples % 3
    rows = Inputs([train.stored], torch.device("cpu"), resident=False).take(train.first_rows[samples])
    cast = inputs_of(manifest.kind).to_input(manifest.fit, manifest.shape, "cpu")
    _check(manifest.kind, "to_input", lambda at: cast(part(rows, *at)), len(samples))
    if policy.active:
        draw = views_of(manifest.kind).batch_views
        views = lambda at: draw(part(rows, *at), ids[slice(*at)], numbers[slice(*at)], policy, manifest.fit)  # noqa: E731
        _check(manifest.kind, "batch_views", views, len(samples))


def _check(kind: str, name: str, made: Callable[[tuple[int, int]], Rows], num: int) -> None:
    """made: of rows [first, last)."""
    together = made((0, num))
    if len(together) != num:
        raise ConfigError(f"{extensions.FILE}: KINDS[{kind!r}].{name} makes {len(together)} rows of {num}")
    for i in range(num):
        if not _equal(part(together, i, i + 1), made((i, i + 1))):
            raise ConfigError(
                f"{extensions.FILE}: KINDS[{kind!r}].{name} makes something else of a row beside others than alone, or the "
                "second time; compute each row by itself, and draw from pipeline.keyed.view_draws (docs/kinds.md)"
            )


def _equal(one: Rows, other: Rows) -> bool:
    if isinstance(one, Ragged) and isinstance(other, Ragged):
        return torch.equal(one.lengths, other.lengths) and torch.equal(one.items, other.items)
    return isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor) and torch.equal(one, other)
