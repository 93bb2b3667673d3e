"""Training for rare classes: each class counts as much as the others, and what is answered keeps the true shares.

`weights`: a sample's loss counts by how rare its class is. `logits`: the network learns what remains beside the logarithms of
the shares (Menon et al. 2021, logit adjustment). `sampling`: each class is drawn as often as the others. In each way what a
network gives is as if all classes were equally frequent: with the logarithms of the shares added it is of the data as they
are, and so are losses, probabilities and answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.model.losses import logit_gradients
from pipeline.model.objective import SAMPLING, SOFTMAX
from pipeline.model.targets import Targets


@dataclass(frozen=True)
class Balance:
    """How training is balanced, by the shares of the training split."""

    mode: str
    """weights, logits or sampling."""
    loss: str
    shares: tuple[float, ...]
    """Of each class, or of having each label, or of the second of two classes of one logit; none is 0 or 1."""
    trained: tuple[float, ...] | None = None
    """The same of what is trained on, where that is a part of the training split; None: the whole of it."""

    @classmethod
    def of(cls, mode: str, loss: str, counts: Sequence[int], num: int) -> Balance | None:
        """From samples of each class, or with each label, among `num`; None where nothing is to be balanced."""
        least = 0.5 / num  # of a class that training does not have
        shares = tuple(min(max(count / num, least), 1 - least) for count in counts)
        return None if mode == "none" else cls(mode, loss, shares)

    def trained_on(self, labels: Tensor) -> Balance:
        """The same where samples of these labels (N,), or (N, classes), are all that is trained on: rare classes may be less
        rare there. What is answered is of the data as they are all the same.
        """
        num = len(self.shares)
        one_logit = labels.sum(0, dtype=torch.int64).reshape(-1)
        counts = torch.bincount(labels, minlength=num) if self.loss == SOFTMAX else one_logit
        found = Balance.of(self.mode, self.loss, counts.tolist(), len(labels))
        return self if found is None else replace(self, trained=found.shares)

    @property
    def shift(self) -> tuple[float, ...]:
        """What is added to a network's outputs, so that their probabilities are of the data as they are."""
        return self._shift(self.shares)

    def _shift(self, shares: tuple[float, ...]) -> tuple[float, ...]:
        if self.loss == SOFTMAX:
            return tuple(map(math.log, shares))
        return tuple(math.log(share / (1 - share)) for share in shares)

    def shifted(self, logits: Tensor) -> Tensor:
        """Of the data as they are."""
        return logits + torch.tensor(self.shift, device=logits.device)

    def gradients(self, targets: Targets, logits: Tensor, smoothing: Tensor | None, num_rows: int) -> Tensor:
        """The gradient (K, B, outputs) of the balanced loss, by a network's own outputs."""
        if self.mode == SAMPLING:  # what is drawn is balanced already
            return targets.gradients(self.loss, logits, smoothing, num_rows)
        if self.mode == "logits":
            shift = torch.tensor(self._shift(self.trained or self.shares), device=logits.device)
            return targets.gradients(self.loss, logits + shift, smoothing, num_rows)
        return targets.weighted(
            lambda labels: logit_gradients(self.loss, logits, labels, smoothing, num_rows) * self.weights(labels, logits)
        )

    def weights(self, labels: Tensor, logits: Tensor) -> Tensor:
        """Of each sample's class (K, B, 1), or of each label that it has or has not, as logits; 1 on average over what is
        trained on.
        """
        shares = torch.tensor(self.trained or self.shares, device=logits.device)
        if self.loss == SOFTMAX:
            return (1 / (len(shares) * shares))[labels].unsqueeze(-1)
        return torch.where(labels.reshape(logits.shape) == 1, 0.5 / shares, 0.5 / (1 - shares))
