"""A trained network as `model.json` and its weights describe it: all that prediction needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline import artifacts, extensions
from pipeline.errors import StorageError
from pipeline.kinds.inputs import Cast, inputs_of
from pipeline.kinds.kind import DEFAULT
from pipeline.model.losses import probabilities, sample_losses
from pipeline.model.net import Net
from pipeline.model.specs import MODULE, spec_of

FORMATS = (1, 2)
"""Of model.json that can be read; 1 knows built-in networks alone."""


@dataclass(frozen=True)
class Predictor:
    """The network of one training, without dropout."""

    net: Net
    loss: str
    task: str
    classes: list[str]
    kind: str
    shape: tuple[int, ...]
    """Of one row as stored: of images (channels, height, width)."""
    to_input: Cast

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """Rows (B, *shape) as stored (of images uint8) to logits (B, num_outputs); DataError for any others."""
        inputs_of(self.kind).check_inputs(inputs, self.shape)
        return self.net.forward(self.to_input(inputs).unsqueeze(0))[0]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (B, num_outputs) to probabilities (B, classes): exclusive classes sum to one, several labels do not."""
        return probabilities(self.loss, self.task, logits)

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy (B,) in nats; labels (B,) class numbers, or (B, classes) of 0 and 1."""
        return sample_losses(self.loss, logits.unsqueeze(0), labels.to(logits.device).unsqueeze(0))[0]


def load_predictor(path: Path, device: str = "cpu") -> Predictor:
    """The predictor in a folder with `model.json` and `best.safetensors`; StorageError where one is torn or changed."""
    described = artifacts.read_json(path / "model.json")
    file = path / "best.safetensors"
    weights, _ = artifacts.load_tensors(file)
    if artifacts.file_digest(file) != described["weights_sha256"]:
        raise StorageError(f"{file}: not the weights that {path}/model.json describes; run `dvc repro train` again")
    model, data = described["model"], described["input"]
    check_described(described, path / "model.json")
    kind, fit = data.get("kind", DEFAULT), data.get("fit", data)  # older files: of images, whose fit stood beside the shape
    inputs, shape = inputs_of(kind), tuple(data["shape"])
    net = spec_of(model, inputs.input_shape(fit, shape), described["num_outputs"]).build(1, device)
    net.flat[0].copy_(torch.from_numpy(net.layout.row(weights)))
    cast = inputs.to_input(fit, shape, device)
    return Predictor(net, model["loss"], described["task"], described["classes"], kind, shape, cast)


def check_described(described: Mapping[str, Any], file: Path) -> None:
    """StorageError where a model.json is of a newer version, or of a module whose code is not what lies here."""
    if described["format"] not in FORMATS:
        raise StorageError(
            f"{file}: format {described['format']}, which is newer than this code; take the code that wrote it, or run "
            "`dvc repro train` again"
        )
    if described["model"]["arch"] == MODULE and described["extensions"] != (here := extensions.digest()):
        raise StorageError(
            f"{file}: model {described['model']['name']!r} was trained with another {extensions.FILE} "
            f"({described['extensions'][:8]}, here it is {here[:8]}); take that one back (a copy is in "
            f"runs/{described['run']}/code), or run `dvc repro train` again"
        )
