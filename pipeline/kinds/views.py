"""Augmentation: views of stored rows, the same type out, each a pure function of sample, number, policy and what was fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import digest
from pipeline.keyed import U64
from pipeline.kinds.extended import extended
from pipeline.kinds.kind import HOUSE, Fit
from pipeline.schema.augment import AugmentConfig

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.kinds.ragged import Rows


Mirror = Callable[["Tensor"], "Tensor"]
"""Inputs (B, ...) of a network to their mirror images."""


class Views(Protocol):
    """A kind's augmentation; `policy`: its own section `augment`, its strength taken into the operations."""

    def batch_views(self, stored: Rows, ids: U64, numbers: NDArray[np.int64], policy: Any, fit: Fit) -> Rows:
        """View `numbers[i]` of row i, as stored, on the rows' device; the same in any batch.

        ids: of each row's sample, of its second and further windows others. fit: of the dataset, whose digest stands beside
        the policy's wherever views are identified. Ragged rows may change their lengths.
        """

    def pasted(self, own: Tensor, other: Tensor, shares: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (B, ...) with a box of others pasted (CutMix, Yun et al. 2019), and what is left of each (B,) exactly.

        shares (B,): what should be left. centres (B, 2): of the boxes, from 0 to 1 along each side. A kind whose samples
        have no neighbourhood lacks this function.
        """

    def engine_versions(self) -> dict[str, Any]:
        """What can change a view besides the policy."""

    def check_policy(self, policy: Any, shape: Sequence[int]) -> None:
        """ConfigError where rows of this shape can't have such views."""

    def advised(self, shape: Sequence[int], policy: Any) -> list[tuple[str, Mapping[str, Any]]]:
        """Against overfitting: the next step of augmentation in words, and the keys to set for it; none where all is on."""


class MirroredViews(Views, Protocol):
    """Of a kind whose samples have a mirror image, which means the same unless it is writing or the like."""

    def mirrored(self, inputs: Tensor) -> Tensor:
        """Inputs (B, ...) of a network, each one's left and right exchanged."""


class IdentifiedViews(Views, Protocol):
    """Of a kind that identifies its views otherwise than all others."""

    def policy_digest(self, policy: Any) -> str:
        """As below."""


class PartialViews(Views, Protocol):
    """Of a kind some of whose operations need more than rows."""

    def told(self, policy: Any, fit: Fit) -> list[str]:
        """Lines on how far operations reach, and on what is asked for and can't be, though the others go on."""


def mirror_of(kind: str) -> Mirror | None:
    """What mirrors a kind's inputs; None where they have no mirror image."""
    found = views_of(kind)
    return cast(MirroredViews, found).mirrored if hasattr(found, "mirrored") else None


def policy_digest(kind: str, policy: AugmentConfig) -> str:
    """The identity of the views that a policy draws, engine included; how many are stored is no part of it."""
    found = views_of(kind)
    if hasattr(found, "policy_digest"):
        return cast(IdentifiedViews, found).policy_digest(policy)
    return digest([policy.model_dump(exclude={"views"}), found.engine_versions()])


def told(kind: str, policy: Any, fit: Fit) -> list[str]:
    """What people should know of a policy on these data."""
    found = views_of(kind)
    return cast(PartialViews, found).told(policy, fit) if hasattr(found, "told") else []


def views_of(kind: str) -> Views:
    """The augmentation of a kind."""
    if kind in HOUSE:
        return cast(Views, import_module(f"pipeline.kinds.{kind}.views"))
    return cast(Views, extended(kind))
