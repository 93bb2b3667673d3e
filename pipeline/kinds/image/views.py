"""Augmented images: what all else asks of them. The engine, which needs torch, is loaded when pixels are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.keyed import U64
from pipeline.kinds.image.keys import ImagePolicy
from pipeline.kinds.image.parameters import check_colour, engine_versions, policy_digest
from pipeline.kinds.kind import Fit

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["advised", "batch_views", "check_policy", "engine_versions", "mirrored", "pasted", "policy_digest"]


def check_policy(policy: ImagePolicy, shape: Sequence[int]) -> None:
    """ConfigError where the policy needs colour and images of this shape (C, H, W) have none, or what it names can't be
    drawn for each of them alone."""
    check_colour(policy, shape)
    if policy.kornia:
        from pipeline.kinds.image.by_name import check_named

        check_named(policy, shape)


def batch_views(stored: torch.Tensor, ids: U64, numbers: NDArray[np.int64], policy: ImagePolicy, fit: Fit) -> torch.Tensor:
    """View `numbers[i]` of the images (B, C, H, W) uint8 with sample ids `ids[i]`: uint8 (B, C, H, W), where they are."""
    from pipeline.kinds.image import engine

    return engine.batch_views(stored, ids, numbers, policy)


def mirrored(inputs: Tensor) -> Tensor:
    """Images (B, C, H, W), left and right exchanged."""
    return inputs.flip(-1)


def pasted(own: Tensor, other: Tensor, shares: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Images (B, C, H, W) with a rectangle of others in their own proportions, cut off at the border (Yun et al. 2019).

    What is left (B,) is counted in pixels; where it is nothing or all, the label follows.
    """
    import torch

    height, width = own.shape[2:]
    side = (1 - shares).sqrt()
    inside = []
    for length, centre in ((height, centres[:, 0]), (width, centres[:, 1])):
        half, middle = (side * length / 2).round(), (centre * length).floor()
        places = torch.arange(length, device=own.device)
        inside.append((places >= (middle - half)[:, None]) & (places < (middle + half)[:, None]))
    box = inside[0][:, :, None] & inside[1][:, None, :]
    left = 1 - box.sum((1, 2)) / (height * width)
    return torch.where(box[:, None], other, own), left


def advised(shape: Sequence[int], policy: ImagePolicy) -> list[tuple[str, Mapping[str, Any]]]:
    """Augmentation at all, then its full strength, then erased patches."""
    if not policy.active:
        return [("Augment the training samples", {"augment": "photos" if shape[0] == 3 else "light"})]
    if policy.strength < 1:
        return [("Augment them in full strength", {"augment.strength": 1.0})]
    if not policy.erase:
        patch = {"augment.erase": 0.25} | ({} if policy.erase_area else {"augment.erase_area": 0.2})
        return [("Erase a patch of some training samples", patch)]
    return []
