"""Everything the report shows beside the numbers of `records`: predictions, pictures, tables, files of the project."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml
from markupsafe import Markup
from numpy.typing import NDArray

from pipeline.artifacts import PARAMS, REJECTED, file_digest, read_csv, read_json, read_parquet, storage_errors
from pipeline.data import examples
from pipeline.data.dataset import SPLITS, Dataset, Manifest, Split, open_dataset
from pipeline.errors import StorageError
from pipeline.evaluation.mistakes import Mistakes, surest_mistakes
from pipeline.evaluation.mistakes import largest_errors as most_off
from pipeline.explanation.record import Explained, read_explanations
from pipeline.kinds.showing import Parts, PartShowing, showing_of, shown_copy
from pipeline.report.words import number, percent, plain
from pipeline.schema.reading import flat, read_parameters

FULL_ODDS, FULL_DEVIATIONS = 1.0, 0.1
"""Parts on which an answer hangs less than by so much, in log odds (90 % falls to 77 %) or in deviations of the training split,
are shown as weak ones even where none is stronger."""
LITTLE = 0.5
"""Of that: where no part changes an answer by more, it is said that none does."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """`predictions.parquet`, in stored order. Each reading is an object of its own, by which what is found of it is kept."""

    task: str
    sources: list[str]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    ids: NDArray[np.uint64]
    classes: list[str]
    abstained: NDArray[np.bool_]
    """Which answers are left open."""


@dataclass(frozen=True)
class Numbers:
    """`predictions.parquet` where numbers are predicted, in stored order and the data's own units."""

    sources: list[str]
    actual: NDArray[np.float64]
    """(N, targets)."""
    predicted: NDArray[np.float64]
    ids: NDArray[np.uint64]
    targets: list[str]


@dataclass(frozen=True)
class Mistake:
    """A wrong decision and the model's confidence in it; of numbers by how many deviations it is off."""

    row: int
    source: str
    actual: str
    predicted: str
    confidence: float
    shown: Markup
    explained: bool = False
    """Whether what is shown says what the answer came from."""
    window: str = ""
    """Which one of a sample's several is shown."""


@dataclass(frozen=True)
class Settings:
    """One section of params.yaml."""

    name: str
    chosen: str | None
    """The file of the group that was chosen in conf/overrides.yaml."""
    values: list[tuple[str, str, bool]]
    """Key, value, and whether it was overridden."""


def read_numbers(artifacts: Path) -> Numbers:
    """Read predicted numbers; StorageError where the file is missing or not whole."""
    table = read_parquet(artifacts / "evaluate" / "predictions.parquet", ["id", "source", "label", "prediction"])
    targets = json.loads(table.schema.metadata[b"targets"])
    actual, predicted = (_values(table[name]).reshape(-1, len(targets)) for name in ("label", "prediction"))
    return Numbers(table["source"].to_pylist(), actual, predicted, _values(table["id"]), targets)


def read_predictions(artifacts: Path) -> Predictions:
    """Read the predictions of classes; StorageError where the file is missing or not whole."""
    path = artifacts / "evaluate" / "predictions.parquet"
    numbers = ("id", "label", "prediction", "probabilities")
    table = read_parquet(path, [*numbers, "source", "abstained"])
    meta = table.schema.metadata
    columns = {name: _values(table[name]) for name in numbers}
    return Predictions(
        task=meta[b"task"].decode(),
        sources=table["source"].to_pylist(),
        labels=columns["label"],
        predictions=columns["prediction"],
        probabilities=columns["probabilities"],
        ids=columns["id"],
        classes=json.loads(meta[b"classes"]),
        abstained=np.array(table["abstained"].to_pylist(), bool),
    )


@dataclass(frozen=True)
class Threshold:
    """A line of `thresholds.csv`."""

    name: str
    value: float
    positives: int
    """Of the label among the validation samples."""
    shared: bool
    """With other labels of few positives."""
    kept: bool
    """Whether the rule is kept on validation samples."""
    left_open: tuple[float, float] | None
    """Above the first and up to the second probability no answer is given; None: it always is."""


def read_thresholds(artifacts: Path) -> list[Threshold]:
    """Of each label, or of the second of two classes; none where no rule chose them."""
    path = artifacts / "evaluate" / "tables" / "thresholds.csv"
    columns = ("class", "threshold", "positives", "shared", "kept", "open_above", "open_to")
    return [_threshold(row) for row in read_csv(path, columns)] if path.exists() else []


def _threshold(row: Mapping[str, str]) -> Threshold:
    ends = (row["open_above"], row["open_to"])
    return Threshold(
        row["class"],
        float(row["threshold"]),
        int(row["positives"]),
        row["shared"] == "yes",
        row["kept"] == "yes",
        (float(ends[0]), float(ends[1])) if all(ends) else None,
    )


def check_classes(artifacts: Path, found: list[str], names: list[str], what: str = "classes") -> None:
    """StorageError where the predictions are of other classes, or numbers, than those of the dataset."""
    if found != names:
        raise StorageError(
            f"{artifacts}/evaluate/predictions.parquet: its {len(found)} {what} are not the {len(names)} of "
            "artifacts/prepare, so it belongs to other data; run `dvc repro evaluate`"
        )


def _values(column: Any) -> NDArray[Any]:
    """A column of numbers (N,), or of lists of one length (N, C)."""
    whole = column.combine_chunks()
    # Not to_numpy(), which imports pandas.
    if whole.type.num_fields == 0:
        return np.from_dlpack(whole)
    return np.from_dlpack(whole.flatten()).reshape(len(whole), -1)


def most_confident_mistakes(artifacts: Path, predictions: Predictions, classes: list[str], num: int) -> list[Mistake]:
    """The wrong decisions of the highest confidence, one per sample, with their pictures."""
    worst = surest_mistakes(predictions.labels, predictions.predictions, predictions.probabilities, num)

    def said(row: int, of: int) -> tuple[str, str]:
        if predictions.task == "multi":
            name, given = classes[of], bool(predictions.predictions[row, of])
            return f"{name}: {'absent' if given else 'present'}", f"{name}: {'present' if given else 'absent'}"
        return classes[predictions.labels[row]], classes[of]

    return _shown(artifacts, predictions, worst, said)


def largest_errors(artifacts: Path, numbers: Numbers, std: Sequence[float], num: int) -> list[Mistake]:
    """The samples whose numbers are most deviations of the training split off, with their pictures."""

    def said(row: int, of: int) -> tuple[str, str]:
        actual, predicted = (", ".join(map(number, own[row])) for own in (numbers.actual, numbers.predicted))
        return actual, predicted

    return _shown(artifacts, numbers, most_off(numbers.actual, numbers.predicted, std, num), said)


def target_ranges(artifacts: Path) -> list[dict[str, Any]]:
    """Of each number its smallest, mean and largest value in each split."""
    dataset = open_dataset(artifacts / "prepare")
    rows = []
    for split in SPLITS:
        columns = np.asarray(dataset.split(split).labels).reshape(-1, len(dataset.manifest.targets)).T
        for name, column in zip(dataset.manifest.targets, columns, strict=True):
            low, mean, high = (column.min(), column.mean(), column.max()) if len(column) else (None, None, None)
            rows.append({"split": split, "name": name, "count": len(column), "low": low, "mean": mean, "high": high})
    return rows


def _shown(
    artifacts: Path,
    predictions: Predictions | Numbers,
    worst: Mistakes,
    said: Callable[[int, int], tuple[str, str]],
) -> list[Mistake]:
    """Test samples with their pictures. said: what one is and what was predicted, in words."""
    dataset = open_dataset(artifacts / "prepare")
    test, rows = dataset.split("test"), worst.samples
    if not np.array_equal(test.ids[rows], predictions.ids[rows]):
        raise StorageError(
            f"{artifacts}/evaluate/predictions.parquet: of another dataset than artifacts/prepare; run `dvc repro evaluate`"
        )
    known, found = read_explanations(artifacts / "evaluate" / "tables"), []
    for row, of, size in zip(*(column.tolist() for column in worst), strict=True):
        actual, predicted = said(row, of)
        source, why = predictions.sources[row], known.get(row)
        words = f"{plain(source)}: actual {plain(actual)}, predicted {plain(predicted)}"
        shown = _picture(dataset, test, row, words, why)
        num_rows = int(test.num_rows[row])
        window = f"window {why.row + 1} of {num_rows}" if why and num_rows > 1 else ""
        found.append(Mistake(row, source, actual, predicted, size, shown, why is not None, window))
    return found


def _picture(dataset: Dataset, test: Split, row: int, words: str, why: Explained | None) -> Markup:
    """A sample as its kind shows it, with what the answer came from where that is known."""
    manifest = dataset.manifest
    showing = showing_of(manifest.kind)
    if why is None:
        return showing.shown(test.sample(row), manifest.fit, words)
    of_row = test.taken(np.array([row])).stored.each()[why.row]
    parts = parts_of(why, manifest)
    return cast(PartShowing, showing).shown_parts(of_row, manifest.fit, words, parts) + steady(why, manifest, parts)


def parts_of(why: Explained, manifest: Manifest) -> Parts:
    """What an answer came from, as kinds show it: of full strength is the part of most influence, if it has enough."""
    drops = why.before - np.array(why.after)
    full = FULL_DEVIATIONS * manifest.target_fit["std"][why.of] if manifest.task == "number" else FULL_ODDS
    without = [_answer_in_words(value, manifest) for value in why.after]
    return Parts(drops / max(np.abs(drops).max(), full), without)


def steady(why: Explained, manifest: Manifest, parts: Parts) -> Markup:
    """That no single part matters much, where that is so: a picture's colours alone don't say it."""
    if np.abs(parts.strengths).max() >= LITTLE:
        return Markup("")
    low, high = (_answer_in_words(value, manifest) for value in (min(why.after), max(why.after)))
    left = f"stays at {low}" if low == high else f"lies between {low} and {high}"
    own = _answer_in_words(why.before, manifest)
    said = Markup('<p class="steady">No single part matters much: without any one of them the answer {} (with all {}).</p>')
    return said.format(left, own)


def _answer_in_words(value: float, manifest: Manifest) -> str:
    """A number, or the probability of an answer from its log odds."""
    return number(value) if manifest.task == "number" else percent(float(1 / (1 + np.exp(-value))))


def full_strength(manifest: Manifest) -> str:
    """What changes an answer by less is drawn weaker, in words."""
    if manifest.task == "number":
        return f"{FULL_DEVIATIONS:g} deviations of the training split"
    return f"{FULL_ODDS:g} in log odds (as from 90% to {percent(float(1 / (1 + np.exp(FULL_ODDS) / 9)), 0)})"


def data_uri(png: bytes) -> str:
    """A PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def augmentation_picture(artifacts: Path) -> str | None:
    """`preview.png` of augment, if it drew one."""
    path = artifacts / "augment" / "preview.png"
    if not path.exists():
        return None
    with storage_errors(path):
        return data_uri(path.read_bytes())


@dataclass(frozen=True)
class Augmented:
    """A training sample and copies of it, as they are shown."""

    name: str
    shown: list[Markup]
    """The original, then its copies."""

    @property
    def marked(self) -> bool:
        """Whether its kind marks what a copy has changed."""
        return any("<mark>" in copy for copy in self.shown[1:])


def augmented(artifacts: Path, manifest: Manifest) -> list[Augmented]:
    """What `augment` kept to be shown, by the kind's own way."""
    found = []
    for example in examples.read_examples(artifacts / "augment"):
        label = plain(example.name)
        own = showing_of(manifest.kind).shown(example.original, manifest.fit, f"{label}, the original")
        copies = [
            shown_copy(manifest.kind, copy, example.original, manifest.fit, f"{label}, copy {i}")
            for i, copy in enumerate(example.copies, start=1)
        ]
        found.append(Augmented(example.name, [own, *copies]))
    return found


def copies_seen(artifacts: Path) -> str:
    """Which copies training sees, beside those that are shown."""
    num: int = read_json(artifacts / "augment" / "augment.json").get("views", 0)
    if not num:
        return "Training draws further copies of each, as batches need them (augment.views = 0)."
    if num >= examples.COPIES:
        return f"Training has the first {num} copies of each, which are stored (augment.views = {num})."
    only = "the first copy of each alone, which is" if num == 1 else f"the first {num} copies of each alone, which are"
    return f"Training has {only} stored (augment.views = {num}); the others show what else the policy makes."


def told_of_augmentation(artifacts: Path) -> list[str]:
    """What `augment` had to say of its policy on these data."""
    told: list[str] = read_json(artifacts / "augment" / "augment.json").get("told", [])
    return told


def rejected(artifacts: Path, num: int) -> list[dict[str, str]]:
    """The first rows of `rejected.csv`."""
    path = artifacts / "prepare" / REJECTED
    return read_csv(path)[:num] if path.exists() else []


def settings(root: Path) -> list[Settings]:
    """params.yaml by section, with what conf/overrides.yaml sets; tracking is left out, since it changes nothing here."""
    params = read_parameters(root / PARAMS)
    overrides = read_yaml(root / "conf" / "overrides.yaml")
    files = {}
    for entry in overrides.pop("defaults", []):
        for name, chosen in entry.items():
            files[name.removeprefix("override /")] = chosen if isinstance(chosen, str) else ", ".join(chosen)
    changed = {key for key, _ in flat(overrides)}
    sections = []
    for name, values in params.items():
        if name != "tracking":
            rows = [(key, json.dumps(value, ensure_ascii=False), key in changed) for key, value in flat({name: values})]
            sections.append(Settings(name, files.get(name), rows))
    return sections


def output_hashes(root: Path) -> list[tuple[str, str]]:
    """Path and md5 of each output of the stages before the report, from dvc.lock."""
    stages = read_yaml(root / "dvc.lock").get("stages", {})
    outs = [out for name, stage in stages.items() if name != "report" for out in stage.get("outs", [])]
    return [(out["path"], out["md5"]) for out in outs if "md5" in out]


def params_digest(root: Path) -> str:
    with storage_errors(root / PARAMS):
        return file_digest(root / PARAMS)


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of a file of the project; nothing where there is none."""
    if not path.exists():
        return {}
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise StorageError(
            f"{path}: not YAML ({' '.join(str(error).split())}); restore it with `git checkout {path}`"
        ) from None
