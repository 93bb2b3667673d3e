"""What the other stages have recorded, read once: numbers here, arrays and pictures in `material`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import PARAMS, read_csv, read_json, read_jsonl, remedy
from pipeline.data.dataset import Dataset, Manifest, open_dataset
from pipeline.errors import StorageError
from pipeline.evaluation.classes import Floats, Ints
from pipeline.kinds.keys import keys_of, kind_named
from pipeline.metrics import MEASURES, Measure, in_row, measure_in
from pipeline.model.objective import HUBER, Scale
from pipeline.schema.augment import AugmentConfig
from pipeline.schema.base import Section, validated
from pipeline.schema.data import DataConfig
from pipeline.schema.evaluate import EvaluateConfig
from pipeline.schema.model import ModelConfig
from pipeline.schema.prepare import PrepareConfig
from pipeline.schema.reading import read_parameters
from pipeline.schema.train import TrainConfig

CLASS_COLUMNS = {"single": ("actual", "predicted"), "multi": ("label",)}
"""Of confusion.csv."""


@dataclass(frozen=True)
class Curves:
    """One value per epoch (E,), NaN where none was recorded."""

    epochs: NDArray[np.int64]
    running_loss: Floats
    """While training: dropout and augmentation on, the weights changing."""
    clean_loss: Floats
    """On a fixed part of the training split, dropout and augmentation off."""
    val_loss: Floats
    measure: Measure
    """What an epoch counts beside the loss."""
    running_measure: Floats
    clean_measure: Floats
    val_measure: Floats
    val_others: dict[str, Floats]
    """What else epochs counted of validation samples, such as what the best one is chosen by."""
    learning_rate: Floats
    seconds: Floats
    samples_per_s: Floats
    layers: list[str]
    """Input side first."""
    layer_norms: Floats
    """(E, layers): norm of each layer's gradient, mean over the epoch's steps."""

    def at(self, epoch: int) -> int:
        """The row of an epoch."""
        return int(np.searchsorted(self.epochs, epoch))

    def monitored(self, monitor: str) -> Floats | None:
        """(E,) of what the best epoch is chosen by; None where an older version did not record it."""
        name = in_row(monitor)
        known = {"loss": self.val_loss, self.measure: self.val_measure, **self.val_others}
        return known.get(name)


@dataclass(frozen=True)
class Run:
    """`run.json`, as far as the report shows it."""

    id: str
    state: str
    stop_reason: str
    hashes: dict[str, str]
    seed: int
    commit: str | None
    versions: dict[str, str]
    device: str
    num_threads: int
    monitor: str
    best_epoch: int
    best_val_loss: float
    best_val_measure: float
    """Accuracy, or of numbers their mean absolute error."""
    num_epochs: int
    num_parameters: int
    samples_per_s: float
    wall_s: float
    restarts: int
    started: str
    finished: str
    num_workers: int = 1
    start: dict[str, Any] | None = None
    """Another run whose weights it started from: `run`, what of them was `taken`, what is `new` and what was `held`."""
    best_monitored: float | None = None
    """What the best epoch was chosen by; None in a run of an older version, whose loss or measure it was."""
    interruptions: list[dict[str, Any]] = field(default_factory=list)
    """Each loss of workers or of who leads them: time, reason, epoch and step of the state that it went on from."""


@dataclass(frozen=True)
class NumberScores:
    """Of numbers, with intervals of 95 %: none of too few samples, no R2 where all are equal."""

    mae: float
    mae_low: float | None
    mae_high: float | None
    rmse: float
    rmse_low: float | None
    rmse_high: float | None
    r2: float | None
    r2_low: float | None
    r2_high: float | None
    by_target: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """Where there are several: the same of each, in its own unit."""


@dataclass(frozen=True)
class Evaluation:
    """`metrics.json` of evaluate. What is of classes is not a number where numbers are predicted."""

    loss: float
    accuracy: float
    macro_f1: float
    calibration_error: float
    mean_confidence: float
    num_samples: int
    test_reads: int
    exact_match: float | None = None
    """Share of samples whose labels are all right; None where there is one label."""
    baseline: dict[str, Any] | None = None
    """Against simple methods (pipeline/baselines); None where they were left out."""
    temperature: float | None = None
    """Of the smallest loss on validation samples; like the losses None where there are none, or numbers."""
    val_loss: float | None = None
    """As the network gives probabilities, without the temperature."""
    scaled_val_loss: float | None = None
    """At the temperature."""
    scaled_loss: float | None = None
    """On the test split."""
    threshold: str | None = None
    """The rule that answers are given by; None: the most probable class, or above one half."""
    cost: float | None = None
    """Of a sample on average, with its interval; like the next ones None but by the rule of costs."""
    cost_low: float | None = None
    cost_high: float | None = None
    likelier_cost: float | None = None
    """Of always answering what is likelier."""
    constant_cost: float | None = None
    """Of the cheapest answer that is the same for all samples."""
    abstained: float | None = None
    """Share of the answers that are left open; like `risk` None where none may be."""
    risk: float | None = None
    """Share that is wrong of those that are given; None where none is."""
    least_confidence: float | None = None
    """Of many classes: a less probable one is left open."""
    dataset: str | None = None
    """Digest of the data that they were computed on; like `weights` None in a file that does not say it."""
    weights: str | None = None
    """SHA-256 of the file of weights that was judged."""
    numbers: NumberScores | None = None
    """None where classes are predicted."""


@dataclass(frozen=True)
class ClassCounts:
    """Of the test samples, per class, each (C,)."""

    actual: Ints
    """That carry the label."""
    predicted: Ints
    """That were given it."""
    right: Ints
    """Both."""


@dataclass(frozen=True)
class Project:
    """What `params.yaml` sets, as far as advice depends on it."""

    data: DataConfig
    prepare: PrepareConfig
    augment: AugmentConfig
    model: ModelConfig
    train: TrainConfig
    evaluate: EvaluateConfig

    def value(self, key: str) -> Any:
        """Of a dotted key, into sections, and mappings such as a module's own keys; of a section itself, the section."""
        own: Any = self
        for name in key.split("."):
            own = own[name] if isinstance(own, Mapping) else getattr(own, name)
        return own


@dataclass(frozen=True)
class Effect:
    """What a study of this dataset has found of one key alone."""

    key: str
    way: int
    """1: of raising it; -1: of lowering it."""
    helps: bool
    """If not, it hurts."""


@dataclass(frozen=True)
class Records:
    """The numbers that the verdict is a function of."""

    manifest: Manifest
    run: Run
    curves: Curves
    test: Evaluation
    classes: ClassCounts
    project: Project
    effects: list[Effect] = field(default_factory=list)
    constant_loss: float | None = None
    """Where numbers are predicted: the loss, on validation samples, of always answering the training split's mean."""
    foreign: list[str] = field(default_factory=list)
    """What belongs to other data than what is prepared, or to other weights; nothing is said of what is not known."""
    started_elsewhere: bool = False
    """Whether it started from another run's weights, or a study of this dataset has compared such starts."""
    num_networks: int = 1
    """Whose mean answer the test results are of (train.members); run and curves are the first one's."""

    @property
    def judged_elsewhere(self) -> bool:
        """Whether the test metrics are known to be of other data than what is prepared."""
        return self.test.dataset not in (None, self.manifest.digest)


def read_records(artifacts: Path) -> Records:
    """Read the numbers below a folder of artifacts, and the parameters beside it.

    StorageError names what is missing.
    """
    dataset = open_dataset(artifacts / "prepare")
    manifest = dataset.manifest
    run = _run(artifacts / "train" / "run.json", manifest)
    rows = read_jsonl(artifacts / "train" / "metrics.jsonl")
    if not any(row["split"] == "val" for row in rows):
        raise StorageError(f"{artifacts}/train/metrics.jsonl: no epoch on the validation split; run `dvc repro train`")
    test = _evaluation(artifacts / "evaluate" / "metrics.json", manifest)
    _check_epochs(artifacts / "train" / "metrics.jsonl", rows, run)
    lines = [] if test.numbers else _confusion(artifacts / "evaluate" / "tables" / "confusion.csv", manifest, test)
    counts = class_counts_of(lines, manifest)
    project = read_project(artifacts.parent / PARAMS)
    studies = [read_json(path) for path in sorted((artifacts / "study").glob("*/effects.json"))]
    described = read_json(artifacts / "train" / "model.json")
    foreign = belonging_elsewhere(manifest.digest, run, test, described["weights_sha256"])
    loss = described["model"]["loss"] if test.numbers else ""
    constant = _constant_loss(dataset, loss) if test.numbers else None
    effects = effects_of(studies, manifest.digest)
    curves, num_networks = curves_of(rows), len(described.get("members", [])) or 1
    started = run.start is not None or starts_compared(studies, manifest.digest)
    return Records(manifest, run, curves, test, counts, project, effects, constant, foreign, started, num_networks)


def _run(path: Path, manifest: Manifest) -> Run:
    measure, found = MEASURES[manifest.task], read_json(path)
    if f"best_val_{measure}" not in found and any(f"best_val_{other}" in found for other in MEASURES.values()):
        raise StorageError(f"{path}: of a training that predicts something else than the data has; run `dvc repro train`")
    run: Run = _taken(Run, path, {f"best_val_{measure}": "best_val_measure"})
    return run


def _evaluation(path: Path, manifest: Manifest) -> Evaluation:
    if manifest.task != "number":
        return _taken(Evaluation, path)  # type: ignore[no-any-return]
    values = read_json(path)
    of_classes = dict.fromkeys(("accuracy", "macro_f1", "calibration_error", "mean_confidence"), math.nan)
    return _made(Evaluation, path, {**values, **of_classes, "numbers": _taken(NumberScores, path)})  # type: ignore[no-any-return]


def _constant_loss(dataset: Dataset, loss: str) -> float:
    """Of always answering the training split's mean, which is 0 on the scale of training."""
    scale = Scale.of(dataset.manifest.target_fit)
    assert scale, "of numbers"
    errors = np.abs(scale.standardised(np.asarray(dataset.split("val").labels)).astype(np.float64))
    return float((np.where(errors < 1, errors**2 / 2, errors - 0.5) if loss == HUBER else errors**2).mean())


def _check_epochs(path: Path, rows: list[dict[str, Any]], run: Run) -> None:
    """StorageError where lines are missing: a table that was cut between two of them looks whole."""
    last = max(row["epoch"] for row in rows if row["split"] == "val")
    if last < run.num_epochs:
        raise StorageError(f"{path}: ends with epoch {last} of {run.num_epochs}, so it is torn; {remedy(path)}")


def _confusion(path: Path, manifest: Manifest, test: Evaluation) -> list[dict[str, str]]:
    """The lines of `confusion.csv`; StorageError where they are not those of all test samples."""
    rows = read_csv(path, (*CLASS_COLUMNS[manifest.task], "count"))
    wanted = test.num_samples * (len(manifest.classes) if manifest.task == "multi" else 1)
    if not all(row["count"].isdecimal() for row in rows) or sum(int(row["count"]) for row in rows) != wanted:
        raise StorageError(f"{path}: does not count {wanted} decisions, so it is torn; {remedy(path)}")
    return rows


def class_counts_of(rows: list[dict[str, str]], manifest: Manifest) -> ClassCounts:
    """The counts of the lines of `confusion.csv`."""
    place = {name: i for i, name in enumerate(manifest.classes)}
    other = {row[key] for row in rows for key in CLASS_COLUMNS[manifest.task]} - place.keys()
    if other:
        raise StorageError(
            f"confusion.csv of artifacts/evaluate: {', '.join(sorted(other)[:3])}: no classes of artifacts/prepare, so it "
            "belongs to other data; run `dvc repro evaluate`"
        )
    actual, predicted, right = np.zeros((3, len(place)), dtype=np.int64)
    for row in rows:
        said, is_, num = row["predicted"], row["actual"], int(row["count"])
        if manifest.task == "multi":
            here = place[row["label"]]
            actual[here] += num * (is_ == "1")
            predicted[here] += num * (said == "1")
            right[here] += num * (is_ == said == "1")
        else:
            actual[place[is_]] += num
            predicted[place[said]] += num
            right[place[is_]] += num * (is_ == said)
    return ClassCounts(actual, predicted, right)


def read_project(params: Path) -> Project:
    """Read a parameter file; ConfigError where there is none."""
    return project_of(read_parameters(params))


def project_of(params: Mapping[str, Any]) -> Project:
    """The sections that advice depends on."""
    own = keys_of(kind_named(params))
    schemas: dict[str, type[Section]] = {"data": own.DATA, "prepare": PrepareConfig, "augment": own.POLICY,
                                         "model": ModelConfig, "train": TrainConfig, "evaluate": EvaluateConfig}  # fmt: skip
    sections: dict[str, Any] = {name: validated(schema, params.get(name, {}), name) for name, schema in schemas.items()}
    return Project(**sections)


def effects_of(studies: Iterable[Mapping[str, Any]], dataset: str) -> list[Effect]:
    """What studies of a dataset found of the kept weights, by variants that differ in one number."""
    return [
        Effect(key, 1 if values["variant"] > values["reference"] else -1, variant["verdict"] == "helps")
        for study in studies
        if study["basis"]["dataset"] == dataset and study["metric"] in ("val_loss", "val_accuracy", "val_mae")
        for variant in study["variants"]
        if variant["verdict"] in ("helps", "hurts") and "contrast" in variant and len(variant["contrast"]) == 1
        for key, values in variant["contrast"].items()
        if all(isinstance(values[side], int | float) for side in ("variant", "reference"))
    ]


def starts_compared(studies: Iterable[Mapping[str, Any]], dataset: str) -> bool:
    """Whether a study of a dataset had networks start from other runs."""
    compared = (variant for study in studies if study["basis"]["dataset"] == dataset for variant in study["variants"])
    return any("model.init_from" in variant["changes"] for variant in compared)


def belonging_elsewhere(dataset: str, run: Run, test: Evaluation, weights: str) -> list[str]:
    """A sentence for each record that was made of something else than what is there now."""
    said = []
    if run.hashes.get("dataset", dataset) != dataset:
        said.append(f"The training, run {run.id}, belongs to other data than what is prepared now.")
    if test.dataset not in (None, dataset):
        said.append("The test results belong to other data than what is prepared now.")
    if test.weights not in (None, weights):
        said.append("The test results belong to another network than the one that is trained now.")
    return said


def curves_of(rows: list[dict[str, Any]]) -> Curves:
    """The curves of the lines of `metrics.jsonl`; of an epoch that was recorded twice (a resumed run) the later line."""
    by_key = {(row["epoch"], row["split"]): row for row in rows}
    epochs = sorted({epoch for epoch, _ in by_key})
    layers = list(next((row["layer_grad_norms"] for row in rows if "layer_grad_norms" in row), {}))

    def column(split: str, key: str) -> Floats:
        values = [by_key.get((epoch, split), {}).get(key) for epoch in epochs]
        return np.array([np.nan if v is None else v for v in values], dtype=np.float64)

    measure = measure_in(rows[0])
    norms = [by_key.get((epoch, "train"), {}).get("layer_grad_norms", {}) for epoch in epochs]
    return Curves(
        epochs=np.array(epochs, dtype=np.int64),
        running_loss=column("train", "loss"),
        clean_loss=column("train_clean", "loss"),
        val_loss=column("val", "loss"),
        measure=measure,
        running_measure=column("train", measure),
        clean_measure=column("train_clean", measure),
        val_measure=column("val", measure),
        val_others={name: column("val", name) for name in _others(rows, measure)},
        learning_rate=column("train", "learning_rate"),
        seconds=column("train", "seconds"),
        samples_per_s=column("train", "samples_per_s"),
        layers=layers,
        layer_norms=np.array([[norm.get(layer, np.nan) for layer in layers] for norm in norms]).reshape(
            len(epochs), len(layers)
        ),
    )


def _others(rows: Iterable[Mapping[str, Any]], measure: Measure) -> list[str]:
    named = dict.fromkeys(name for row in rows if row["split"] == "val" for name in row)
    return [name for name in named if name not in ("epoch", "split", "loss", measure)]


def _taken(kind: Any, path: Path, renamed: Mapping[str, str] = {}) -> Any:
    """The fields of a dataclass from a JSON file that may hold more, some under other names."""
    return _made(kind, path, {renamed.get(name, name): value for name, value in read_json(path).items()})


def _made(kind: Any, path: Path, values: Mapping[str, Any]) -> Any:
    names = [field.name for field in fields(kind)]
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    missing = [name for name in needed if name not in values]
    if missing:
        raise StorageError(f"{path}: lacks {', '.join(missing)}; run the stage that writes it (`dvc repro`)")
    return kind(**{name: values[name] for name in names if name in values})
