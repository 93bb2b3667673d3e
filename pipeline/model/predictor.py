"""A trained network as `model.json` and its weights describe it: all that prediction needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline import artifacts
from pipeline.errors import DataError, StorageError
from pipeline.model.inputs import normalisation
from pipeline.model.losses import probabilities, sample_losses
from pipeline.model.net import Net
from pipeline.model.stacked.spec import StackedSpec


@dataclass(frozen=True)
class Predictor:
    """The network of one training, without dropout."""

    net: Net
    loss: str
    task: str
    classes: list[str]
    shape: tuple[int, ...]
    """Of one input: (channels, height, width)."""
    mean: Tensor
    scale: Tensor

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """Inputs (B, *shape) as stored (uint8) to logits (B, num_outputs); DataError for any others."""
        check_inputs(inputs, self.shape)
        x = (inputs.to(self.mean.device, torch.float32) - self.mean) * self.scale
        return self.net.forward(x.unsqueeze(0))[0]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (B, num_outputs) to probabilities (B, classes): exclusive classes sum to one, several labels do not."""
        return probabilities(self.loss, self.task, logits)

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy (B,) in nats; labels (B,) class numbers, or (B, classes) of 0 and 1."""
        return sample_losses(self.loss, logits.unsqueeze(0), labels.to(logits.device).unsqueeze(0))[0]


def check_inputs(inputs: Tensor, shape: tuple[int, ...]) -> None:
    """DataError where inputs are not (B, *shape) uint8: other types and orders would give answers, but wrong ones."""
    hints = []
    if inputs.dtype != torch.uint8:
        hints.append("images of 0 to 1 become it with `(255 * images).round().to(torch.uint8)`")
    if tuple(inputs.shape[1:]) != shape:
        given = tuple(inputs.shape)
        if given == shape:
            hints.append("one image becomes a batch with `image[None]`")
        elif len(shape) == 3 and given[1:] == (*shape[1:], shape[0]):
            hints.append("channels come first: `images.permute(0, 3, 1, 2)`")
        else:
            hints.append("other sizes are resized as `data.resize` says, before they come here")
    if hints:
        expected = f"(B, {', '.join(map(str, shape))}), values from 0 to 255"
        raise DataError(
            f"inputs of dtype {str(inputs.dtype).removeprefix('torch.')} and shape {tuple(inputs.shape)}: expected are uint8 "
            f"of shape {expected}; {'; '.join(hints)}"
        )


def load_predictor(path: Path, device: str = "cpu") -> Predictor:
    """The predictor in a folder with `model.json` and `best.safetensors`; StorageError where one is torn or changed."""
    described = artifacts.read_json(path / "model.json")
    file = path / "best.safetensors"
    weights, _ = artifacts.load_tensors(file)
    if artifacts.file_digest(file) != described["weights_sha256"]:
        raise StorageError(f"{file}: not the weights that {path}/model.json describes; run `dvc repro train` again")
    model, data = described["model"], described["input"]
    spec = StackedSpec.of(model, data["shape"], described["num_outputs"])
    net = spec.build(1, device)
    net.flat[0].copy_(torch.from_numpy(net.layout.row(weights)))
    mean, scale = normalisation(data["mean"], data["std"], spec.input_shape, device)
    return Predictor(net, model["loss"], described["task"], described["classes"], spec.input_shape, mean, scale)
