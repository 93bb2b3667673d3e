"""What a training batch's answers are compared with: labels, or those of two samples that were mixed, in their shares.

The loss of mixed samples is the weighted mean of the losses for either label, which for cross-entropy is that of the mixed
label (Zhang et al. 2018, section 3): two look-ups and a weight, so that neither the number of classes nor the precision of
the network rounds a label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.model.losses import logit_gradients, sample_losses


@dataclass(frozen=True)
class Partners:
    """Of samples that were mixed: those that they were mixed with."""

    labels: Tensor
    """As the samples' own."""
    shares: Tensor
    """(K, B) float32: the own label's; 1: the sample was left as it is."""


@dataclass(frozen=True)
class Targets:
    """Of a batch (K, B)."""

    labels: Tensor
    """(K, B), (K, B, classes), or of numbers (K, B, targets)."""
    partners: Partners | None = None

    def part(self, first: int, last: int) -> Targets:
        """Of rows [first, last)."""
        other = self.partners and Partners(self.partners.labels[:, first:last], self.partners.shares[:, first:last])
        return Targets(self.labels[:, first:last], other)

    @staticmethod
    def joined(parts: Sequence[Targets]) -> Targets:
        """One batch after the other: all of them are mixed, or none."""
        labels = torch.cat([part.labels for part in parts], dim=1)
        others = [part.partners for part in parts if part.partners is not None]
        if not others:
            return Targets(labels)
        return Targets(labels, Partners(*(torch.cat(own, dim=1) for own in zip(*map(_both, others), strict=True))))

    def weighted(self, of_labels: Callable[[Tensor], Tensor]) -> Tensor:
        """A function of labels that has a value, or several, for each sample: in both labels' shares."""
        own = of_labels(self.labels)
        if self.partners is None:
            return own
        other, shares = of_labels(self.partners.labels), self.partners.shares
        shares = shares if own.ndim == shares.ndim else shares.unsqueeze(-1)
        mixed = own * shares + other * (1 - shares)
        return torch.where(shares == 1, own, mixed)  # to the bit what it is without mixing

    def losses(self, loss: str, logits: Tensor, smoothing: Tensor | None = None) -> Tensor:
        """Each sample's loss (K, B)."""
        return self.weighted(lambda labels: sample_losses(loss, logits, labels, smoothing))

    def gradients(self, loss: str, logits: Tensor, smoothing: Tensor | None, num_rows: int) -> Tensor:
        """The gradient (K, B, outputs) of the mean of the losses over `num_rows` rows, of which these are a part."""
        return self.weighted(lambda labels: logit_gradients(loss, logits, labels, smoothing, num_rows))


def _both(partners: Partners) -> tuple[Tensor, Tensor]:
    return partners.labels, partners.shares
