"""Losses of K networks side by side, per sample, and what they predict."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.model.objective import HUBER, OF_NUMBERS, SOFTMAX
from pipeline.model.stacked.layers import by_network

WIDE = 16
"""Numbers of float32 in the widest vector of a CPU."""


def sample_losses(loss: str, logits: Tensor, labels: Tensor, smoothing: Tensor | None = None) -> Tensor:
    """Cross-entropy (K, B) in nats of logits (K, B, outputs); of numbers, the mean over them of an error's square.

    softmax: labels (K, B) class numbers. sigmoid: labels (K, B) of 0 and 1 for one logit, or (K, B, outputs), the mean
    over the labels. Label smoothing (K, 1) (Szegedy et al. 2016) moves that share of the target to all classes evenly.
    squared, huber: labels (K, B, outputs) of standardised numbers; huber is half the square up to an error of 1, and beyond
    it grows with the error itself (Huber 1964).
    """
    if loss == SOFTMAX:
        return _softmax_losses(logits, labels, smoothing)
    if loss in OF_NUMBERS:
        return by_network(lambda z, y: _error_losses(loss, z - y).mean(-1), logits, labels)
    targets = _soft_targets(logits, labels, smoothing)
    return by_network(lambda z, y: F.binary_cross_entropy_with_logits(z, y, reduction="none").mean(-1), logits, targets)


def _softmax_losses(logits: Tensor, labels: Tensor, smoothing: Tensor | None) -> Tensor:
    log_p = F.log_softmax(logits, dim=-1)
    own = log_p.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return -own if smoothing is None else -(own * (1 - smoothing) + log_p.mean(-1) * smoothing)


def _error_losses(loss: str, errors: Tensor) -> Tensor:
    if loss == HUBER:
        return F.huber_loss(errors, torch.zeros_like(errors), reduction="none")
    return errors * errors


def logit_gradients(loss: str, logits: Tensor, labels: Tensor, smoothing: Tensor | None, num_rows: int) -> Tensor:
    """The gradient (K, B, outputs) of the mean of `sample_losses` over `num_rows` rows, of which these are a part."""
    if loss == SOFTMAX:
        keep = torch.ones_like(labels, dtype=logits.dtype) if smoothing is None else (1 - smoothing).expand(labels.shape)
        gradient = logits.softmax(-1)
        if smoothing is not None:
            gradient -= (smoothing / logits.shape[-1]).unsqueeze(-1)
        return gradient.scatter_add_(-1, labels.unsqueeze(-1), -keep.unsqueeze(-1)).mul_(1 / num_rows)
    if loss in OF_NUMBERS:
        errors = logits - labels
        slopes = errors.clamp_(-1, 1) if loss == HUBER else errors.mul_(2)
        return slopes.mul_(1 / (num_rows * logits.shape[-1]))
    gradient = by_network(torch.sigmoid, logits)
    return gradient.sub_(_soft_targets(logits, labels, smoothing)).mul_(1 / (num_rows * logits.shape[-1]))


def _soft_targets(logits: Tensor, labels: Tensor, smoothing: Tensor | None) -> Tensor:
    targets = labels.to(logits.dtype).reshape(logits.shape)
    return targets if smoothing is None else targets * (1 - smoothing.unsqueeze(-1)) + 0.5 * smoothing.unsqueeze(-1)


def joined(loss: str, logits: Tensor, num_rows: Sequence[int]) -> Tensor:
    """Logits (K, B, outputs) of samples from those of their rows (K, R, outputs), of each sample so many.

    A sample's probabilities are the means of its rows' (as of several crops of an image: Krizhevsky et al. 2012), and these
    are the logits of them: from here on a sample is as if it had one row. Of logits themselves the mean would be a product
    of the rows' answers, in which one row that is sure and wrong undoes all others. Numbers are the means of their rows'.
    """
    if loss in OF_NUMBERS:
        return by_network(lambda z: torch.stack([own.mean(0) for own in z.split_with_sizes(list(num_rows))]), logits)
    if loss == SOFTMAX:
        return by_network(lambda z: _log_means(F.log_softmax(z, -1), num_rows), logits)
    pairs = (F.logsigmoid, lambda z: F.logsigmoid(-z))
    yes, no = (by_network(lambda z, own=own: _log_means(own(z), num_rows), logits) for own in pairs)
    return yes - no


def _log_means(logs: Tensor, num_rows: Sequence[int]) -> Tensor:
    """Logarithms (B, outputs) of the means of numbers over each sample's rows, from their logarithms (R, outputs)."""
    return torch.stack([own.logsumexp(0) - math.log(len(own)) for own in logs.split_with_sizes(list(num_rows))])


def mean_answer(loss: str, answers: Sequence[Tensor]) -> Tensor:
    """Logits (B, outputs) of the mean of several answers to the same samples, as `joined` has them of a sample's rows.

    Of several networks (Lakshminarayanan et al. 2017), or of one to a sample and its mirror image. One is taken as it is.
    """
    if len(answers) == 1:
        return answers[0]
    every = torch.stack(list(answers))
    if loss in OF_NUMBERS:
        return every.mean(0)
    if loss == SOFTMAX:
        return every.log_softmax(-1).logsumexp(0) - math.log(len(every))
    return F.logsigmoid(every).logsumexp(0) - F.logsigmoid(-every).logsumexp(0)


def sample_measures(loss: str, logits: Tensor, labels: Tensor, unit: float = 1.0) -> Tensor:
    """What an epoch counts of each sample (K, B) beside its loss, such that its mean is the measure.

    Whether its class is right, or for several labels the share of labels that are; of numbers how far off they are, by the
    mean over them, in the data's own unit where an error of 1 is so many.
    """
    if loss in OF_NUMBERS:
        return by_network(lambda z, y: (z - y).abs().mul(unit).mean(-1), logits, labels)
    if loss == SOFTMAX:
        return (logits.argmax(-1) == labels).float()
    right = ((logits > 0) == labels.reshape(logits.shape).bool()).float()
    return right.mean(-1)


def probabilities(loss: str, task: str, logits: Tensor) -> Tensor:
    """Probabilities (..., classes) of logits (..., outputs); one logit becomes two columns."""
    if loss == SOFTMAX:
        return _softmax(logits)
    p = logits.sigmoid()
    return torch.cat([1 - p, p], dim=-1) if task == "single" else p


def _softmax(logits: Tensor) -> Tensor:
    """Of few classes as of WIDE ones, the spare ones impossible: torch takes five times as long for rows that fill no vector
    (130 us for 1024 rows of 10 on a CPU, 24 us so), a tenth of what a small network takes for all else."""
    num = logits.shape[-1]
    if num >= WIDE:
        return logits.softmax(-1)
    return F.pad(logits, (0, WIDE - num), value=-math.inf).softmax(-1)[..., :num].contiguous()
