"""evaluate: the best model on the test split, which is read here, once, and counted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
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
from pipeline.errors import ConfigError, DataError, NumericsError, StorageError
from pipeline.evaluation import classes as ev
from pipeline.evaluation.answers import FILE, Answers, described
from pipeline.evaluation.costs import Costs, mistakes_in_words
from pipeline.evaluation.curves import areas
from pipeline.evaluation.decisions import (
    BALANCED,
    COSTS,
    at_temperature,
    decided_by,
    logits_of,
    loss_of,
    priced,
    temperature_of,
)
from pipeline.evaluation.mistakes import largest_errors, surest_mistakes
from pipeline.evaluation.numbers import determination, error_ranges, mean_absolute_error, root_mean_squared_error
from pipeline.evaluation.thresholds import Thresholds
from pipeline.explanation.record import Answer, write_explanations, write_importance
from pipeline.kinds.occlusion import Occlusion, occlusion_of, part_names
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
    check_rule(config, dataset.manifest, len(dataset.split("val")) > 0)
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
            explain(folder / TABLES, occlusion, predictor, dataset, answers, answering, config)
        metrics = {"loss": loss, **found, "num_samples": len(test), "test_reads": test_reads, **made_of}
        baseline = against_baselines(dataset, said) if config.baseline == "auto" else None
        metrics |= {"baseline": baseline} if baseline else {}
        write_json(folder / "metrics.json", metrics)
    if len(predictor.nets) == 1:  # what several runs answer together is no single one's
        keep(model["run"], metrics)
    print(f"evaluate: {scores_in_words(metrics)}", flush=True)
    if baseline:
        print(f"evaluate: {in_words(baseline)}", flush=True)


def explain(
    folder: Path,
    occlusion: Occlusion,
    predictor: Predictor,
    dataset: Dataset,
    given: NDArray[Any],
    answering: Answers | None,
    config: EvaluateConfig,
) -> None:
    """Write what the worst mistakes came from and, of columns, how much answers depend on each.

    given: the network's probabilities (N, classes) of the test samples, or numbers.
    """
    from pipeline.explanation.asked import Asked
    from pipeline.explanation.parts import explained
    from pipeline.explanation.permutation import importances

    test, temperature = dataset.split("test"), answering.temperature if answering else None
    asked = Asked(predictor, temperature, config.batch_size)
    worst = worst_answers(dataset.manifest, np.asarray(test.labels), given, answering, config.explain)
    found = explained(asked, occlusion, test, dataset.split("train"), worst)
    write_explanations(folder, found)
    names = part_names(occlusion, dataset.manifest.fit)
    if names and test.rows is None and test.offsets is None:
        decision = answering.decision if answering else None
        write_importance(folder, importances(asked, decision, occlusion, names, test))


def worst_answers(
    manifest: Manifest,
    labels: NDArray[Any],
    given: NDArray[Any],
    answering: Answers | None,
    num: int,
) -> list[Answer]:
    """The surest wrong answers, one per sample; of numbers those that are furthest off."""
    if answering is None:
        actual = labels.reshape(given.shape)
        worst, yes = largest_errors(actual, given, manifest.target_fit["std"], num), given > actual
    else:
        predictions = answering.predictions(given)
        worst = surest_mistakes(labels, predictions, answering.probabilities(given), num)
        yes = predictions == 1 if predictions.ndim == 2 else np.ones_like(given, bool)
    pairs = zip(worst.samples.tolist(), worst.of.tolist(), strict=True)
    return [Answer(sample, of, bool(yes[sample, of])) for sample, of in pairs]


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
) -> tuple[ev.Ints, dict[str, Any], Answers]:
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
    write_predictions(folder / "predictions.parquet", dataset, test, predictions, probabilities, left_open)
    write_confusion(folder / TABLES / "confusion.csv", labels, predictions, manifest.classes)
    rows = areas(labels, probabilities, manifest.classes)
    write_csv(folder / TABLES / "areas.csv", AREAS, rows)
    if decision.thresholds:
        if task == "single":
            print(f"evaluate: {config.threshold}: {mistakes_in_words(manifest.classes)}", flush=True)
        write_thresholds(folder / TABLES / "thresholds.csv", decision.thresholds, manifest.classes)
    metrics = {
        **judged(labels, predictions, probabilities, task, config.calibration_bins),
        **mean_areas(rows),
        **about,
    }
    temperature = about["temperature"] if config.temperature == "used" else None
    own = Answers("", config.threshold, manifest.classes, decision, temperature, about.get("temperature"))
    return predictions, metrics, own


AREAS = ["class", "positives", "roc_area", "roc_area_low", "roc_area_high", "average_precision",
         "average_precision_low", "average_precision_high"]  # fmt: skip


def mean_areas(rows: Sequence[Sequence[Any]]) -> dict[str, float]:
    """Means over the classes that can be told apart on test samples; with its interval where that is one."""
    found: dict[str, float] = {}
    for name in ("roc_area", "average_precision"):
        place = AREAS.index(name)
        known = [row[place : place + 3] for row in rows if row[place] is not None]
        if known:
            found[f"mean_{name}" if len(rows) > 1 else name] = float(np.mean([own[0] for own in known]))
        if len(rows) == 1 and known:
            found |= {f"{name}_low": known[0][1], f"{name}_high": known[0][2]}
    return found


def check_rule(config: EvaluateConfig, manifest: Manifest, validated: bool) -> None:
    """ConfigError where the data does not let answers be taken so. validated: whether there are validation samples."""
    rule, costs, num = config.threshold, config.costs, len(manifest.classes)
    if manifest.task == "number":
        check_of_numbers(config)
        return
    if (rule not in (None, BALANCED) or config.temperature == "used") and not validated:
        raise ConfigError(
            "evaluate.threshold and evaluate.temperature need validation samples, and there are none; set "
            "prepare.val_fraction above 0"
        )
    if manifest.task == "multi" or num == 2 or rule in (None, BALANCED):
        return
    if rule != COSTS:
        raise ConfigError(
            f"evaluate.threshold = {rule!r}: of {num} classes the most probable one is answered, without a threshold; "
            "forget it with `regatta run '~evaluate.threshold'`, or leave unsure answers open with "
            "`regatta run evaluate.threshold=costs evaluate.costs.abstain=0.2`"
        )
    if costs.false_positive != costs.false_negative:
        raise ConfigError(
            f"evaluate.costs: false_positive = {costs.false_positive:g}, false_negative = {costs.false_negative:g}; of "
            f"{num} classes a mistake is a false positive of one and a false negative of another: give both the same cost"
        )


def check_of_numbers(config: EvaluateConfig) -> None:
    """ConfigError where what is of classes alone is asked for; costs are read with a threshold alone."""
    if config.threshold is not None:
        raise ConfigError(
            f"evaluate.threshold = {config.threshold!r}: the labels are numbers, and only of classes answers are given by a "
            "threshold or by costs; forget it with `regatta run '~evaluate.threshold' '~evaluate.costs'`"
        )
    if config.temperature == "used":
        raise ConfigError(
            "evaluate.temperature = 'used': the labels are numbers, and only probabilities of classes have a temperature; "
            "forget it with `regatta run '~evaluate.temperature'`"
        )


def at_fitted_temperature(
    labels: NDArray[Any],
    probabilities: NDArray[Any],
    known: NDArray[Any],
    validated: NDArray[Any],
    task: str,
) -> tuple[NDArray[np.float32], NDArray[np.float32], dict[str, float]]:
    """Probabilities of test and validation samples at the temperature that fits the latter best; it, and the losses."""
    temperature = temperature_of(known, validated, task)
    scaled, logits = at_temperature(probabilities, task, temperature)
    held_out, its_logits = at_temperature(validated, task, temperature)
    return (
        scaled,
        held_out,
        {
            "temperature": temperature,
            "scaled_loss": loss_of(labels, logits, task),
            "val_loss": loss_of(known, logits_of(validated, task), task),
            "scaled_val_loss": loss_of(known, its_logits, task),
        },
    )


def training_shares(manifest: Manifest) -> ev.Floats:
    """(C,) of each class in the training split; of one that it lacks, of half a sample."""
    num = manifest.counts["train"]
    shares: ev.Floats = np.maximum(np.array(manifest.class_counts["train"]) / num, 0.5 / num)
    return shares


THRESHOLDS = ["class", "threshold", "positives", "shared", "kept", "open_above", "open_to"]


def write_thresholds(path: Path, thresholds: Thresholds, classes: list[str]) -> None:
    """One row per label, or one for the second of two classes; what is not to be had is said."""
    names = classes if len(thresholds.cuts) == len(classes) else classes[1:]
    rows = [
        (
            name,
            cut.threshold,
            int(thresholds.positives[i]),
            "yes" if i in thresholds.shared else "no",
            "yes" if cut.kept else "no",
            cut.open_above,
            cut.open_to,
        )
        for i, (name, cut) in enumerate(zip(names, thresholds.cuts, strict=True))
    ]
    write_csv(path, THRESHOLDS, rows)
    if thresholds.missed:
        missed = [names[i] for i in thresholds.missed]
        print(f"evaluate: no threshold keeps the rule on validation samples for {', '.join(missed[:5])}"
              f"{', ...' if len(missed) > 5 else ''}; the nearest ones are taken", flush=True)  # fmt: skip


def judge_numbers(folder: Path, dataset: Dataset, test: Split, predicted: NDArray[Any]) -> dict[str, Any]:
    """Write the predictions and the errors of small and large numbers apart; the metrics of numbers (N, targets)."""
    actual, names = np.asarray(test.labels).reshape(predicted.shape), dataset.manifest.targets
    write_numbers(folder / "predictions.parquet", dataset, test, predicted)
    columns = ["target", "from", "to", "count", "mae", "bias"]
    write_csv(folder / TABLES / "ranges.csv", columns, error_ranges(names, actual, predicted))
    return judged_numbers(actual, predicted, dataset.manifest)


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


def predict(predictor: Predictor, test: Split, batch_size: int) -> tuple[NDArray[Any], float]:
    """Probabilities (N, classes) or numbers (N, targets) in stored order, and the mean loss; every sample once, by all of its
    rows.
    """
    import torch

    from pipeline.data.batches import Inputs, judged_batches

    of_numbers = predictor.task == "number"
    width, dtype = (len(predictor.targets), np.float64) if of_numbers else (len(predictor.classes), np.float32)
    answers = np.full((len(test), width), np.nan, dtype)
    losses = np.full(len(test), np.nan)
    inputs = Inputs([test.stored], torch.device("cpu"), resident=False)
    for batch in judged_batches(test, batch_size):
        labels = torch.from_numpy(np.array(test.labels[batch.samples]))
        logits = predictor.sample_logits(inputs.take(batch.rows), batch.num_rows)
        answers[batch.samples] = (predictor.numbers if of_numbers else predictor.probabilities)(logits).cpu().numpy()
        losses[batch.samples] = predictor.losses(logits, labels).cpu().numpy()
    broken = ~np.isfinite(losses) | ~np.isfinite(answers).all(axis=1)
    if broken.any():
        raise NumericsError(
            f"{int(broken.sum())} of {len(test)} test samples give no finite loss; train with a smaller train.learning_rate"
        )
    return answers, float(math.fsum(losses) / len(losses))


def judged(
    labels: NDArray[Any], predictions: ev.Ints, probabilities: NDArray[np.float32], task: str, num_bins: int
) -> dict[str, float]:
    """All metrics but the loss. Where a sample has several labels, `accuracy` is the share of labels that are right."""
    confidence, right = ev.decision_confidence(probabilities, predictions), labels == predictions
    bins = ev.reliability_bins(confidence.ravel(), right.ravel(), num_bins)
    scores = ev.class_scores(labels, predictions, probabilities.shape[1])
    of_task = {"balanced_accuracy": ev.balanced_accuracy(scores)}
    if task == "multi":
        of_task = {"exact_match": ev.exact_match(labels, predictions), "micro_f1": ev.micro_f1(labels, predictions)}
    return {
        "accuracy": float(ev.sample_accuracy(labels, predictions).mean()),
        **of_task,
        "macro_f1": ev.macro_f1(scores),
        "calibration_error": ev.calibration_error(bins),
        "mean_confidence": float(confidence.mean()),
    }


def judged_numbers(actual: NDArray[Any], predicted: NDArray[Any], manifest: Manifest) -> dict[str, Any]:
    """All metrics of numbers (N, T) but the loss, with their intervals of 95 %.

    Of several numbers in deviations of the training split, which they can be averaged in, and each one's own in its own unit.
    """
    scale = np.array(manifest.target_fit["std"]) if len(manifest.targets) > 1 else 1.0
    found: dict[str, Any] = _scores(actual / scale, predicted / scale)
    if len(manifest.targets) > 1:
        pairs = zip(manifest.targets, actual.T[:, :, None], predicted.T[:, :, None], strict=True)
        found["by_target"] = {name: _scores(own, said) for name, own, said in pairs}
    return found


def _scores(actual: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float | None]:
    every = {"mae": mean_absolute_error, "rmse": root_mean_squared_error, "r2": determination}
    scores = {name: score(actual, predicted) for name, score in every.items()}
    return {
        f"{name}{end}": value
        for name, score in scores.items()
        for end, value in (("", score.value), ("_low", score.low), ("_high", score.high))
    }


def write_predictions(
    path: Path,
    dataset: Dataset,
    test: Split,
    predictions: ev.Ints,
    probabilities: NDArray[np.float32],
    left_open: ev.Mask | None,
) -> None:
    """One row per test sample in stored order; the class names are in the file's metadata.

    left_open: which answers are not given; the prediction is then what it would have been. None: all are.
    """
    import pyarrow as pa

    task = dataset.manifest.task
    columns = {
        "id": pa.array(np.asarray(test.ids), pa.uint64()),
        "source": pa.array(dataset.sources("test"), pa.string()),
        "label": _column(np.asarray(test.labels, dtype=np.int64)),
        "prediction": _column(predictions),
        "confidence": pa.array(ev.sample_confidence(probabilities, predictions).astype(np.float32)),
        "probabilities": _column(probabilities),
        "abstained": _column(np.zeros(predictions.shape, bool) if left_open is None else left_open),
    }
    meta = {"classes": json.dumps(dataset.manifest.classes), "task": task}
    write_parquet(path, pa.table(columns).replace_schema_metadata(meta))


def write_numbers(path: Path, dataset: Dataset, test: Split, predicted: NDArray[Any]) -> None:
    """One row per test sample in stored order, in the data's own units; the names of the numbers are in the file's metadata."""
    import pyarrow as pa

    columns = {
        "id": pa.array(np.asarray(test.ids), pa.uint64()),
        "source": pa.array(dataset.sources("test"), pa.string()),
        "label": _column(np.asarray(test.labels)),
        "prediction": _column(predicted.reshape(np.shape(test.labels))),
    }
    meta = {"targets": json.dumps(dataset.manifest.targets), "task": dataset.manifest.task}
    write_parquet(path, pa.table(columns).replace_schema_metadata(meta))


def _column(values: NDArray[Any]) -> Any:
    import pyarrow as pa

    if values.ndim == 1:
        return pa.array(values)
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values).ravel()))


def write_confusion(path: Path, labels: NDArray[Any], predictions: ev.Ints, classes: list[str]) -> None:
    """One row per pair (actual, predicted) that occurs; where a sample has several labels, a row per label as well."""
    if labels.ndim == 1:
        matrix = ev.confusion_matrix(labels, predictions, len(classes))
        write_csv(
            path, ["actual", "predicted", "count"], [[classes[i], classes[j], matrix[i, j]] for i, j in np.argwhere(matrix)]
        )
        return
    counts = ev.label_confusion(labels, predictions)
    rows = [[classes[c], i, j, counts[c, i, j]] for c, i, j in np.ndindex(counts.shape)]
    write_csv(path, ["label", "actual", "predicted", "count"], rows)


if __name__ == "__main__":
    run_stage("evaluate", run)
