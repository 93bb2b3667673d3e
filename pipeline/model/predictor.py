"""A trained network as `model.json` and its weights describe it: all that prediction needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline import artifacts
from pipeline.errors import StorageError
from pipeline.model.losses import probabilities, sample_losses
from pipeline.model.network import Network, normalisation
from pipeline.model.spec import NetworkSpec


@dataclass(frozen=True)
class Predictor:
    """The network of one training, without dropout."""

    network: Network
    loss: str
    task: str
    classes: list[str]
    mean: Tensor
    scale: Tensor

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """Inputs (B, *shape) as stored (uint8) to logits (B, num_outputs)."""
        x = (inputs.to(self.mean.device, torch.float32) - self.mean) * self.scale
        return self.network(x.unsqueeze(0))[0]  # type: ignore[no-any-return]

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
    spec = NetworkSpec.of(model, data["shape"], described["num_outputs"])
    network = Network(spec, 1, device)
    with torch.no_grad():
        for slot, place in zip(network.slots, network.views(network.flat), strict=True):
            place[0].copy_(torch.from_numpy(weights[slot.name]))
    network.eval()
    mean, scale = normalisation(data["mean"], data["std"], spec.input_shape, device)
    return Predictor(network, model["loss"], described["task"], described["classes"], mean, scale)
