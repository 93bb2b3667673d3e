"""evaluate: the best model on the test split, which is read here, once, and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import (
    kept_dir,
    make_dir,
    published_dir,
    read_json,
    runs_root,
    stage_dir,
    write_csv,
    write_json,
    write_parquet,
)
from pipeline.baselines.measured import against_baselines, in_words
from pipeline.data.dataset import Dataset, Manifest, Split, open_dataset
from pipeline.errors import DataError, StorageError
from pipeline.evaluation.allowed import check_rule
from pipeline.evaluation.answers import FILE, Answers, described
from pipeline.evaluation.classes import Floats, Ints
from pipeline.evaluation.costs import Costs, mistakes_in_words
from pipeline.evaluation.curves import areas
from pipeline.evaluation.decisions import COSTS, decided_by, priced
from pipeline.evaluation.judged import AREAS, at_fitted_temperature, judged, judged_numbers, mean_areas
from pipeline.evaluation.numbers import error_ranges
from pipeline.evaluation.tables import (
    Samples,
    confusion_table,
    missed_in_words,
    numbers_table,
    predictions_table,
    thresholds_table,
)
from pipeline.kinds.occlusion import occlusion_of
from pipeline.prediction.split import predict
from pipeline.runs.reads import counted_read
from pipeline.schema.evaluate import EvaluateConfig
from pipeline.stages.entry import read_params, run_stage, section

if TYPE_CHECKING:
    from pipeline.model.predictor import Predictor


TABLES = "tables"
"""A folder of what is counted of the test samples: which ones depends on what is predicted."""


def run() -> None:
    """Judge the best model and write metrics.json, predictions.parquet and tables."""
    from pipeline.model.predictor import load_predictor

    config = section(read_params(), "evaluate", EvaluateConfig)
    dataset = open_dataset(stage_dir("prepare"))
    test = opened_test_split(dataset)
    check_rule(config, dataset.manifest.task, len(dataset.manifest.classes), len(dataset.split("val")) > 0)
    predictor = load_predictor(stage_dir("train"))
    check_classes(predictor.classes, dataset.manifest.classes)
    check_classes(predictor.targets, dataset.manifest.targets, "numbers")
    model = read_json(stage_dir("train") / "model.json")
    asked = f"{len(predictor.classes)} classes" if predictor.classes else f"the number {', '.join(predictor.targets)}"
    print(f"evaluate: {who_answers(predictor)} on {len(test)} test samples, {asked}", flush=True)
    made_of = {"dataset": dataset.manifest.digest, "weights": model["weights_sha256"]}
    occlusion = occlusion_of(dataset.manifest.kind) if config.explain else None
    read = counted_read(made_of["dataset"], made_of["weights"])
    with read as test_reads, published_dir(stage_dir("evaluate")) as folder:
        answers, loss = predict(predictor, test, config.batch_size)
        make_dir(folder / TABLES)
        if predictor.task == "number":
            said, found, answering = answers, judge_numbers(folder, dataset, test, answers), None
        else:
            held_out = dataset.split("val")
            validated = predict(predictor, held_out, config.batch_size)[0] if len(held_out) else None
            said, found, answering = judge_classes(folder, dataset, test, answers, validated, config)
            write_json(folder / TABLES / FILE, described(replace(answering, weights=made_of["weights"])))
        if occlusion:
            from pipeline.explanation.worst import explain

            explain(folder / TABLES, occlusion, predictor, dataset, answers, answering, config.explain, config.batch_size)
        metrics = {"loss": loss, **found, "num_samples": len(test), "test_reads": test_reads, **made_of}
        baseline = against_baselines(dataset, said) if config.baseline == "auto" else None
        metrics |= {"baseline": baseline} if baseline else {}
        write_json(folder / "metrics.json", metrics)
    if len(predictor.nets) == 1:  # what several runs answer together is no single one's
        keep(model["run"], metrics)
    print(f"evaluate: {scores_in_words(metrics)}", flush=True)
    if baseline:
        print(f"evaluate: {in_words(baseline)}", flush=True)


def who_answers(predictor: Predictor) -> str:
    """Who answers, in words."""
    num = len(predictor.nets)
    who = f"the mean of {num} networks" if num > 1 else "the best model"
    return f"{who}, each sample and its mirror image," if predictor.mirror else who


def judge_classes(
    folder: Path,
    dataset: Dataset,
    test: Split,
    probabilities: NDArray[Any],
    validated: NDArray[Any] | None,
    config: EvaluateConfig,
) -> tuple[Ints, dict[str, Any], Answers]:
    """Write predictions and tables; what is predicted, the metrics of probabilities (N, classes), and how answers are taken.

    validated: those of the validation samples, on which thresholds are chosen and the temperature is fitted; None:
    there are none.
    """
    manifest, labels = dataset.manifest, np.asarray(test.labels)
    task, known = manifest.task, np.asarray(dataset.split("val").labels)
    about: dict[str, Any] = {"threshold": config.threshold} if config.threshold else {}
    if validated is not None:
        scaled, held_out, scores = at_fitted_temperature(labels, probabilities, known, validated, task)
        about |= scores
        if config.temperature == "used":
            probabilities, validated = scaled, held_out
            about |= {"loss": about["scaled_loss"]}
    costs = Costs(**config.costs.model_dump())
    decision = decided_by(config.threshold, costs, known, validated, task, training_shares(manifest))
    if config.threshold == COSTS:
        about |= priced(costs, labels, probabilities, decision)
    about |= {"least_confidence": least} if (least := decision.least_confidence) is not None else {}
    predictions = decision.predictions(probabilities)
    left_open = decision.left_open(probabilities)
    table = predictions_table(samples_of(dataset, test), manifest.classes, task, predictions, probabilities, left_open)
    write_parquet(folder / "predictions.parquet", table)
    write_csv(folder / TABLES / "confusion.csv", *confusion_table(labels, predictions, manifest.classes))
    rows = areas(labels, probabilities, manifest.classes)
    write_csv(folder / TABLES / "areas.csv", AREAS, rows)
    if decision.thresholds:
        if task == "single":
            print(f"evaluate: {config.threshold}: {mistakes_in_words(manifest.classes)}", flush=True)
        write_csv(folder / TABLES / "thresholds.csv", *thresholds_table(decision.thresholds, manifest.classes))
        if line := missed_in_words(decision.thresholds, manifest.classes):
            print(f"evaluate: {line}", flush=True)
    metrics = {
        **judged(labels, predictions, probabilities, task, config.calibration_bins),
        **mean_areas(rows),
        **about,
    }
    temperature = about["temperature"] if config.temperature == "used" else None
    own = Answers("", config.threshold, manifest.classes, decision, temperature, about.get("temperature"))
    return predictions, metrics, own


def training_shares(manifest: Manifest) -> Floats:
    """(C,) of each class in the training split; of one that it lacks, of half a sample."""
    num = manifest.counts["train"]
    shares: Floats = np.maximum(np.array(manifest.class_counts["train"]) / num, 0.5 / num)
    return shares


def judge_numbers(folder: Path, dataset: Dataset, test: Split, predicted: NDArray[Any]) -> dict[str, Any]:
    """Write the predictions and the errors of small and large numbers apart; the metrics of numbers (N, targets)."""
    actual, names = np.asarray(test.labels).reshape(predicted.shape), dataset.manifest.targets
    table = numbers_table(samples_of(dataset, test), names, dataset.manifest.task, predicted)
    write_parquet(folder / "predictions.parquet", table)
    columns = ["target", "from", "to", "count", "mae", "bias"]
    write_csv(folder / TABLES / "ranges.csv", columns, error_ranges(names, actual, predicted))
    return judged_numbers(actual, predicted, names, dataset.manifest.target_fit["std"])


def samples_of(dataset: Dataset, test: Split) -> Samples:
    """The test samples as tables name them."""
    return Samples(np.asarray(test.ids), dataset.sources("test"), np.asarray(test.labels))


def scores_in_words(metrics: Mapping[str, Any]) -> str:
    """What was found, for the terminal."""
    names = {"accuracy": "accuracy", "mae": "mean absolute error", "rmse": "root mean squared error", "r2": "R2",
             "loss": "loss", "macro_f1": "macro-F1", "mean_average_precision": "mean average precision",
             "roc_area": "area under ROC", "temperature": "temperature", "cost": "cost of an answer",
             "abstained": "share left open", "risk": "share wrong of the others"}  # fmt: skip
    return ", ".join(f"{words} {metrics[name]:.4f}" for name, words in names.items() if metrics.get(name) is not None)


def opened_test_split(dataset: Dataset) -> Split:
    """The test split; DataError where it is empty."""
    test = dataset.split("test")
    if len(test) == 0:
        raise DataError(
            "the test split is empty, so the model can't be judged; set prepare.test_fraction above 0 (now no sample was put "
            "aside), or give data.test_path, and run again"
        )
    return test


def check_classes(known: list[str], present: list[str], what: str = "classes") -> None:
    """StorageError where the model was trained on other classes than the dataset has, or other numbers."""
    if known != present:
        place = f"{stage_dir('train')}/model.json"
        raise StorageError(
            f"{place}: the model's {len(known)} {what} are not the {len(present)} of the dataset; run `dvc repro train`"
        )


def keep(run: str, metrics: Mapping[str, Any]) -> None:
    """The metrics beside the run that they are of, where it is here: in a clone that has pulled the weights it is not."""
    folder = kept_dir(run) / stage_dir("evaluate")
    if (runs_root() / run).is_dir():
        make_dir(folder)
        write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run_stage("evaluate", run)
