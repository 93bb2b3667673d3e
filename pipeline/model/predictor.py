"""A trained network as `model.json` and its weights describe it: all that prediction needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline import artifacts, extensions
from pipeline.backbones.answering import featured
from pipeline.backbones.folder import library
from pipeline.backbones.tuned import cast_of, taken_of
from pipeline.errors import DataError, StorageError
from pipeline.evaluation.answers import Answers, load_answers
from pipeline.kinds.inputs import Cast, GivenInputs, Taken, inputs_of, taken
from pipeline.kinds.kind import DEFAULT, Fit
from pipeline.kinds.ragged import Ragged, Rows
from pipeline.kinds.views import Mirror, mirror_of
from pipeline.model.answers import sample_logits
from pipeline.model.balance import Balance
from pipeline.model.losses import mean_answer, probabilities, sample_losses
from pipeline.model.members import weights_of_members
from pipeline.model.net import Net, Spec
from pipeline.model.objective import Scale
from pipeline.model.specs import MODULE, spec_of

FORMATS = (1, 2, 3, 4, 5, 6)
"""Of model.json that can be read; 1 knows built-in networks alone, 2 rows of one shape alone, 3 not how samples are read, 4 no
mean answers, 5 no pretrained networks."""


@dataclass(frozen=True)
class Predictor:
    """The network of one training, without dropout, or those of several, whose mean answer is given."""

    nets: tuple[Net, ...]
    loss: str
    task: str
    classes: list[str]
    targets: list[str]
    """Names of the numbers, where it predicts numbers instead of classes."""
    scale: Scale | None
    kind: str
    shape: tuple[int, ...]
    """Of one row as stored: of images (channels, height, width); where rows are ragged, of one of their items."""
    fit: Fit
    to_input: Cast
    ragged: bool = False
    windows: bool = False
    balance: Balance | None = None
    weights: str = ""
    """SHA-256 of the file of its weights."""
    mirror: Mirror | None = None
    """Answers are means over a sample and its mirror image, which this makes of inputs."""

    def answers(self, file: Path) -> Answers:
        """How `evaluate` takes answers from these probabilities: its decision.json; StorageError where that is of others."""
        return load_answers(file, self.weights)

    def rows(self, samples: Any) -> Tensor | list[Tensor]:
        """Samples as a user has them to rows as stored, which `logits` takes.

        Of a table a DataFrame, an Arrow table, or dicts of its columns; of sounds paths of files or their bytes; of
        texts a list of str.
        """
        found = inputs_of(self.kind)
        if not hasattr(found, "as_stored"):
            raise DataError(f"samples of the kind {self.kind} come to `logits` as they are stored")
        return cast(GivenInputs, found).as_stored(samples, self.fit)

    def logits(self, inputs: Tensor | Sequence[Any]) -> Tensor:
        """Samples as stored to logits (B, num_outputs); DataError for any others.

        Rows (B, *shape) as one tensor (of images uint8); where rows are ragged, a list of tensors (n_i, *shape). Where samples
        own several, a list with such rows for each sample, whose logits are those of its mean answer.
        """
        if not self.windows:
            return self.sample_logits(self._rows(inputs), None)
        num_rows = np.array([len(own) for own in inputs])
        if not num_rows.all():
            raise DataError(f"inputs: sample {int(num_rows.argmin())} has no rows; at least one is needed")
        return self.sample_logits(self._rows([row for own in inputs for row in own]), num_rows)

    def _rows(self, inputs: Tensor | Sequence[Any]) -> Rows:
        """Rows of one shape as a tensor, ragged ones as `Ragged`; of no sample there is no answer."""
        if isinstance(inputs, Tensor) and not self.ragged:
            return inputs
        if not len(inputs):
            raise DataError("inputs: there is no sample; at least one is needed")
        return Ragged.of(list(inputs)) if self.ragged else torch.stack(list(inputs))

    def sample_logits(self, rows: Rows, num_rows: NDArray[np.int64] | None) -> Tensor:
        """The same from the rows of all samples, one after the other, and how many each sample owns (None: one)."""
        inputs_of(self.kind).check_inputs(rows, self.shape)
        how = {"balance": self.balance, "mirror": self.mirror}
        each = [sample_logits(net, self.to_input, rows, num_rows, self.loss, **how)[0] for net in self.nets]  # type: ignore[arg-type]
        return mean_answer(self.loss, each)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (B, num_outputs) to probabilities (B, classes): exclusive classes sum to one, several labels do not."""
        return probabilities(self.loss, self.task, logits)

    def numbers(self, outputs: Tensor) -> Tensor:
        """Outputs (B, num_outputs) to numbers (B, targets) float64 in the data's own units, on the CPU."""
        assert self.scale, "a network of classes"
        return torch.from_numpy(self.scale.in_units(outputs.numpy(force=True)))

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss (B,), of classes in nats; labels (B,) class numbers, (B, classes) of 0 and 1, or numbers in their own units."""
        known = torch.from_numpy(self.scale.standardised(labels.numpy(force=True))) if self.scale else labels
        return sample_losses(self.loss, logits.unsqueeze(0), known.to(logits.device).unsqueeze(0))[0]


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
    shape, lengths = tuple(data["shape"]), data.get("lengths")  # older files: of rows of one shape, one for each sample
    backbone = described.get("backbone")
    plan = backbone and backbone.get("plan")
    if plan:
        input_form, to_input = taken_of(plan), cast_of(plan, shape, device)
    elif backbone:
        rows = {"kind": kind, "fit": fit, "shape": shape, "lengths": lengths}
        input_form, to_input = Taken((backbone["width"],)), featured(path, model["backbone"], backbone, rows, device)
    else:
        input_form, to_input = taken(kind, fit, shape, lengths), inputs_of(kind).to_input(fit, shape, device)
    spec = spec_of({**model, "plan": plan}, input_form, described["num_outputs"])
    of_members = weights_of_members(weights, len(described.get("members", [])) or 1)
    with _renamed_told(file, plan):
        nets = tuple(_net(spec, own, device) for own in of_members)
    known = described.get("balance")
    balance = Balance(known["mode"], model["loss"], tuple(known["shares"])) if known else None
    many = lengths is not None, data.get("windows") is not None
    task, classes = described["task"], described["classes"]
    targets, scale = described.get("targets", []), Scale.of(described.get("target_fit", {}))
    weights_digest = described["weights_sha256"]
    own = (nets, model["loss"], task, classes, targets, scale, kind, shape, fit, to_input, *many, balance, weights_digest)
    return Predictor(*own, mirror=mirror_of(kind) if described.get("tta") == "mirrored" else None)


@contextmanager
def _renamed_told(file: Path, plan: Mapping[str, Any] | None) -> Iterator[None]:
    """StorageError where a published network's tensors have other names in the library that is here."""
    try:
        yield
    except KeyError as error:
        if plan is None:
            raise
        known = plan["library"]
        raise StorageError(
            f"{file}: has no {error.args[0]}, as transformers {library()} names it; it was trained with transformers {known}: "
            f"say `pip install transformers=={known}`"
        ) from None


def _net(spec: Spec, weights: Mapping[str, NDArray[np.float32]], device: str) -> Net:
    net = spec.build(1, device)
    net.flat[0].copy_(torch.from_numpy(net.layout.row(weights)))
    return net


def check_described(described: Mapping[str, Any], file: Path) -> None:
    """StorageError where a model.json is of a newer version, or of a module or a kind whose code is not there to be taken."""
    if described["format"] not in FORMATS:
        raise StorageError(
            f"{file}: format {described['format']}, which is newer than this code; take the code that wrote it, or run "
            "`dvc repro train` again"
        )
    with_own = described.get("extensions")  # format 1 knows of none
    if with_own and not extensions.take_trained(with_own, file.parent):
        model, kind = described["model"], described["input"].get("kind", DEFAULT)
        backbone = f"a model of backbone {model.get('backbone')!r}" if described.get("backbone") else None
        what = f"model {model['name']!r}" if model["arch"] == MODULE else backbone or f"a model of data.kind {kind!r}"
        raise StorageError(
            f"{file}: {what} was trained with an {extensions.FILE} ({with_own[:8]}) that lies neither beside it nor in "
            f"{extensions.folder()}; put that one, with what it imports, into {file.parent}/ (a copy is in "
            f"runs/{described['run']}/{extensions.BESIDE} of its project), or run `dvc repro train` there again"
        )
