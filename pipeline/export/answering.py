"""From rows as stored to answers as one torch module, so that who runs it has no scale, cast or softmax of their own to add."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import ConfigError
from pipeline.model.losses import mean_answer
from pipeline.model.predictor import Predictor

INPUT = "rows"


class Answering(nn.Module):
    """Rows (B, *shape) as stored to logits and probabilities (B, classes) of classes, or to numbers (B, targets) float64."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor, self.nets = predictor, nn.ModuleList(net.plain() for net in predictor.nets)
        self.to_input = predictor.to_input  # which is a module itself where a pretrained network is part of it

    def forward(self, rows: Tensor) -> tuple[Tensor, ...]:
        predictor, inputs = self.predictor, self.to_input(rows)
        assert isinstance(inputs, Tensor), "rows of one shape"
        logits = mean_answer(predictor.loss, [self._answer(net, inputs) for net in self.nets])
        if predictor.scale:
            mean, std = (torch.tensor(values, dtype=torch.float64) for values in (predictor.scale.mean, predictor.scale.std))
            return (logits.double() * std + mean,)
        return logits, predictor.probabilities(logits)

    def _answer(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """A network's answer or, where it is a mean over mirror images, that."""
        mirror, balance = self.predictor.mirror, self.predictor.balance
        answers = [net(each) for each in ([inputs, mirror(inputs)] if mirror else [inputs])]
        return mean_answer(self.predictor.loss, [balance.shifted(own) for own in answers] if balance else answers)


def answering(predictor: Predictor) -> Answering:
    """ConfigError where rows are of different lengths: of these a file has no one form."""
    if predictor.ragged:
        raise ConfigError(
            f"a network of data.kind {predictor.kind!r} takes rows of different lengths, made of each sample by what was "
            "learned of the data (a vocabulary), which a file of these formats has no place for: only rows of one shape can be "
            "exported. `regatta serve MODEL` answers samples as they are over HTTP, from any language; `regatta predict MODEL "
            "FILE` answers files, and `Model.load` in Python (docs/predict.md)"
        )
    return Answering(predictor).eval()


def outputs_of(predictor: Predictor) -> tuple[str, ...]:
    """What each of the answers is called."""
    return ("numbers",) if predictor.scale else ("logits", "probabilities")


def facts_of(predictor: Predictor, dtype: str, run: str) -> dict[str, Any]:
    """What one needs to know of an exported file, as JSON: what goes in and what comes out."""
    return {
        "run": run,
        "input": {"name": INPUT, "shape": ["batch", *predictor.shape], "dtype": dtype, "kind": predictor.kind},
        "fit": predictor.fit,
        "outputs": list(outputs_of(predictor)),
        "task": predictor.task,
        "classes": predictor.classes,
        "targets": predictor.targets,
        "windows": predictor.windows,
    }


def as_text(facts: dict[str, Any]) -> dict[str, str]:
    """The same as a file's own notes, whose values are text."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}


def answers(module: nn.Module, rows: Tensor) -> list[Any]:
    """What a module says to rows, as arrays."""
    with torch.no_grad():
        return [each.numpy(force=True) for each in module(rows)]
