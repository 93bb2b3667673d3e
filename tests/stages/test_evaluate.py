import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import report_builder as rb
import torch
import yaml
from sklearn import metrics as sk

from pipeline import artifacts
from pipeline.errors import ConfigError, DataError, NumericsError, StorageError
from pipeline.model.objective import chosen_loss, num_outputs
from pipeline.model.stacked.spec import StackedSpec
from pipeline.runs.reads import num_reads
from pipeline.stages import evaluate

KINDS = {
    "ten classes": (rb.digits, "single"),
    "two classes as one logit": (rb.colours, "single"),
    "several labels": (rb.several, "multi"),
}


def save_network(folder: Path, manifest: dict, scale: float = 1.0) -> None:
    """A network with random weights, as train publishes it."""
    classes, task = manifest["classes"], manifest["task"]
    loss = chosen_loss("auto", task, len(classes))
    num = num_outputs(loss, task, len(classes or manifest["targets"]))
    spec = StackedSpec(tuple(manifest["shape"]), num, (), (16,), "relu", "none", "he")
    torch.manual_seed(0)
    weights = {slot.name: scale * torch.randn(slot.shape).numpy() / slot.shape[0] ** 0.5 for slot in spec.layout().slots}
    artifacts.make_dir(folder)
    artifacts.save_tensors(folder / "best.safetensors", weights, {})
    model = {"arch": "dnn", "channels": [], "widths": [16], "activation": "relu", "norm": "none", "init": "he", "loss": loss}
    described = {
        "format": 1,
        "model": model,
        "input": {key: manifest[key] for key in ("kind", "shape", "dtype", "fit")},
        "classes": classes,
        "task": task,
        **{name: manifest[name] for name in ("targets", "target_fit")},
        "num_outputs": spec.num_outputs,
        "weights_sha256": artifacts.file_digest(folder / "best.safetensors"),
        "run": "20261126-100000-abcd",
    }
    artifacts.write_json(folder / "model.json", described)


def prepared(data, task: str, num_test: int | None = None) -> dict:
    images, labels = data()
    order = np.random.default_rng(1).permutation(len(images))
    num = len(order) // 4 if num_test is None else num_test
    cuts = dict(zip(("test", "val", "train"), np.split(order, [num, num + 150]), strict=True))
    classes = [f"class {i}" for i in range(labels.shape[1] if labels.ndim == 2 else labels.max() + 1)]
    rb.write_prepare(Path("artifacts/prepare"), images, labels, classes, task, cuts, "photos/")
    manifest = artifacts.read_json(Path("artifacts/prepare/dataset.json"))
    save_network(Path("artifacts/train"), manifest)
    return manifest


COSTS = {"false_positive": 1.0, "false_negative": 1.0, "abstain": None}
CHOICES = {"threshold": None, "temperature": "reported", "costs": COSTS, "explain": 0}


def write_params(batch_size=64, baseline="none", **choices):
    values = {"batch_size": batch_size, "calibration_bins": 10, "baseline": baseline, **CHOICES, **choices}
    Path("params.yaml").write_text(yaml.safe_dump({"evaluate": values}))


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGATTA_RUNS", raising=False)
    write_params()


def judged():
    evaluate.run()
    table = pq.read_table("artifacts/evaluate/predictions.parquet")
    return artifacts.read_json(Path("artifacts/evaluate/metrics.json")), table


@pytest.mark.parametrize("kind", KINDS)
def test_metrics_equal_scikit_learns_on_the_written_predictions(kind):
    data, task = KINDS[kind]
    prepared(data, task)
    metrics, table = judged()
    labels, predictions = (np.array(table[name].to_pylist()) for name in ("label", "prediction"))
    p = np.array(table["probabilities"].to_pylist())
    assert np.array_equal(labels, np.load("artifacts/prepare/test/labels.npy"))
    assert metrics["num_samples"] == len(labels)
    assert metrics["dataset"] == artifacts.read_json(Path("artifacts/prepare/dataset.json"))["digest"]
    assert metrics["weights"] == artifacts.file_digest(Path("artifacts/train/best.safetensors"))
    assert metrics["macro_f1"] == pytest.approx(sk.f1_score(labels, predictions, average="macro", zero_division=0))
    if task == "multi":
        assert np.array_equal(predictions, p > 0.5)
        assert metrics["accuracy"] == pytest.approx(1 - sk.hamming_loss(labels, predictions))
        assert metrics["exact_match"] == sk.accuracy_score(labels, predictions)
        columns = [sk.log_loss(labels[:, k], p[:, k], labels=[0, 1]) for k in range(p.shape[1])]
        assert metrics["loss"] == pytest.approx(np.mean(columns), rel=1e-5)
    else:
        assert np.allclose(p.sum(axis=1), 1)
        assert np.array_equal(predictions, p.argmax(axis=1))
        assert metrics["accuracy"] == pytest.approx(sk.accuracy_score(labels, predictions))
        assert metrics["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, predictions))
        assert metrics["loss"] == pytest.approx(
            sk.log_loss(labels, p / p.sum(axis=1, keepdims=True), labels=range(p.shape[1])), rel=1e-5
        )
        assert np.allclose(table["confidence"].to_numpy(), p.max(axis=1))
        assert "exact_match" not in metrics


@pytest.mark.parametrize("batch_size", [1, 7, 449, 10_000])
def test_every_sample_is_counted_once_in_any_batch(batch_size):
    prepared(rb.digits, "single")
    Path("params.yaml").write_text(
        yaml.safe_dump({"evaluate": {"batch_size": batch_size, "calibration_bins": 10, "baseline": "none", **CHOICES}})
    )
    _, table = judged()
    ids = np.load("artifacts/prepare/test/ids.npy")
    assert np.array_equal(table["id"].to_numpy(), ids)
    assert len(set(ids.tolist())) == len(ids) == 449
    assert table["source"].to_pylist() == [f"photos/{i // 7919}" for i in ids.tolist()]
    write_params()
    assert np.allclose(
        np.array(judged()[1]["probabilities"].to_pylist()), np.array(table["probabilities"].to_pylist()), atol=1e-6
    )


def test_a_sample_that_no_batch_reached_would_be_noticed(monkeypatch):
    """The promise broken on purpose: a predictor that loses the last row of each batch."""
    from pipeline.model.predictor import Predictor

    prepared(rb.digits, "single")
    whole = Predictor.sample_logits
    monkeypatch.setattr(Predictor, "sample_logits", lambda self, rows, num_rows: whole(self, rows, num_rows)[:-1])
    with pytest.raises((ValueError, RuntimeError)):
        evaluate.run()
    assert not Path("artifacts/evaluate").exists()


def test_the_same_inputs_give_the_same_bytes():
    prepared(rb.several, "multi")
    judged()
    before = {name: Path("artifacts/evaluate", name).read_bytes() for name in ("predictions.parquet", "tables/confusion.csv")}
    judged()
    assert before == {name: Path("artifacts/evaluate", name).read_bytes() for name in before}


def test_confusion_is_that_of_scikit_learn():
    manifest = prepared(rb.digits, "single")
    _, table = judged()
    rows = artifacts.read_csv(Path("artifacts/evaluate/tables/confusion.csv"))
    expected = sk.confusion_matrix(table["label"].to_numpy(), table["prediction"].to_numpy(), labels=range(10))
    found = np.zeros((10, 10), dtype=int)
    for row in rows:
        found[manifest["classes"].index(row["actual"]), manifest["classes"].index(row["predicted"])] = int(row["count"])
    assert np.array_equal(found, expected)


def test_confusion_of_several_labels_has_four_rows_per_label():
    prepared(rb.several, "multi")
    judged()
    rows = artifacts.read_csv(Path("artifacts/evaluate/tables/confusion.csv"))
    assert [(row["label"], row["actual"], row["predicted"]) for row in rows[:4]] == [
        ("class 0", a, b) for a in "01" for b in "01"
    ]
    assert sum(int(row["count"]) for row in rows) == 4 * 200


def test_each_reading_of_the_test_split_is_counted_for_its_dataset(monkeypatch, tmp_path):
    prepared(rb.digits, "single")
    assert judged()[0]["test_reads"] == 1
    assert judged()[0]["test_reads"] == 2
    manifest = artifacts.read_json(Path("artifacts/prepare/dataset.json"))
    artifacts.write_json(Path("artifacts/prepare/dataset.json"), {**manifest, "digest": "another"})
    assert judged()[0]["test_reads"] == 1
    reads = artifacts.read_jsonl(Path("runs/test-reads.jsonl"))
    assert [read["dataset"] for read in reads] == [manifest["digest"]] * 2 + ["another"]
    assert {read["weights"] for read in reads} == {artifacts.file_digest(Path("artifacts/train/best.safetensors"))}
    monkeypatch.setenv("REGATTA_RUNS", str(tmp_path / "shared"))
    assert judged()[0]["test_reads"] == 1


def test_the_metrics_are_kept_beside_the_run_where_it_is_here(monkeypatch, tmp_path):
    prepared(rb.digits, "single")
    kept = Path("runs/20261126-100000-abcd/kept/artifacts/evaluate/metrics.json")
    judged()
    assert not kept.exists()
    Path("runs/20261126-100000-abcd").mkdir(parents=True)
    metrics, _ = judged()
    assert artifacts.read_json(kept) == metrics


def test_an_empty_test_split_is_an_error_that_says_what_to_do():
    prepared(rb.digits, "single", num_test=0)
    with pytest.raises(DataError, match=r"the test split is empty.*prepare\.test_fraction"):
        evaluate.run()
    assert not Path("runs").exists()
    assert not Path("artifacts/evaluate").exists()


def test_weights_for_other_classes_are_refused():
    manifest = prepared(rb.digits, "single")
    artifacts.write_json(Path("artifacts/prepare/dataset.json"), {**manifest, "classes": manifest["classes"][::-1]})
    with pytest.raises(StorageError, match="dvc repro train"):
        evaluate.run()


def test_a_flipped_bit_in_the_weights_is_noticed():
    prepared(rb.digits, "single")
    path = Path("artifacts/train/best.safetensors")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"best\.safetensors"):
        evaluate.run()


def test_a_loss_that_is_not_finite_keeps_the_old_artifacts():
    manifest = prepared(rb.digits, "single")
    judged()
    before = Path("artifacts/evaluate/metrics.json").read_bytes()
    save_network(Path("artifacts/train"), manifest, scale=1e30)
    with pytest.raises(NumericsError, match="no finite loss"):
        evaluate.run()
    assert Path("artifacts/evaluate/metrics.json").read_bytes() == before


def test_predictions_carry_the_names_of_the_classes():
    manifest = prepared(rb.digits, "single")
    _, table = judged()
    assert json.loads(table.schema.metadata[b"classes"]) == manifest["classes"]
    assert [str(field.type) for field in table.schema] == [
        "uint64",
        "string",
        "int64",
        "int64",
        "float",
        "list<element: float>",
        "bool",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_simple_methods_are_judged_on_the_same_samples(kind, capsys):
    prepared(*KINDS[kind])
    assert "baseline" not in judged()[0]
    write_params(baseline="auto")
    metrics = judged()[0]
    found = metrics["baseline"]
    assert found["network_score"] == pytest.approx(metrics["accuracy"])
    assert found["difference"] == pytest.approx(metrics["accuracy"] - found["score"])
    assert found["difference_low"] <= found["difference"] <= found["difference_high"]
    assert found["better"] == "baseline", "the network was never trained"
    assert f"{found['words']}: accuracy {found['score']:.4f}" in capsys.readouterr().out
    assert judged()[0]["baseline"] == found


def test_importing_the_stage_imports_no_torch():
    code = "import sys, pipeline.stages.evaluate; assert not {'torch', 'pandas', 'sklearn', 'pyarrow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_reading_that_has_shown_nothing_does_not_count_and_a_killed_one_does():
    manifest = prepared(rb.digits, "single")
    assert judged()[0]["test_reads"] == 1
    save_network(Path("artifacts/train"), manifest, scale=1e30)
    with pytest.raises(NumericsError):
        evaluate.run()
    assert num_reads(Path("runs/test-reads.jsonl"), manifest["digest"]) == 1
    save_network(Path("artifacts/train"), manifest)
    assert judged()[0]["test_reads"] == 2
    code = (
        "import os\nfrom pipeline.stages import evaluate\nevaluate.predict = lambda *_: os.kill(os.getpid(), 9)\nevaluate.run()"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=env, capture_output=True).returncode == -9
    assert judged()[0]["test_reads"] == 4


@pytest.mark.parametrize("targets", [1, 2])
def test_numbers_are_judged_in_their_own_units(targets):
    images, labels = rb.ink()
    labels = labels[:, :targets] * 40 + 1000
    order = np.random.default_rng(1).permutation(len(images))
    cuts = dict(zip(("test", "val", "train"), np.split(order, [300, 400]), strict=True))
    stored = labels[:, 0] if targets == 1 else labels
    rb.write_prepare(Path("artifacts/prepare"), images, stored, ["ink", "right"][:targets], "number", cuts, "photos/")
    manifest = artifacts.read_json(Path("artifacts/prepare/dataset.json"))
    save_network(Path("artifacts/train"), manifest)
    metrics, table = judged()
    actual, predicted = (np.array(table[name].to_pylist()).reshape(-1, targets) for name in ("label", "prediction"))
    assert np.array_equal(actual, labels[cuts["test"]])
    assert json.loads(table.schema.metadata[b"targets"]) == manifest["targets"]
    scale = np.array(manifest["target_fit"]["std"]) if targets > 1 else 1.0
    assert metrics["mae"] == pytest.approx(sk.mean_absolute_error(actual / scale, predicted / scale))
    assert metrics["r2"] == pytest.approx(sk.r2_score(actual, predicted))
    assert metrics["r2_low"] < metrics["r2"] < metrics["r2_high"]
    standardised = (actual - predicted) / np.array(manifest["target_fit"]["std"])
    assert metrics["loss"] == pytest.approx((standardised**2).mean(), rel=1e-4)
    assert "accuracy" not in metrics
    own = {name: sk.mean_absolute_error(*pair) for name, *pair in zip(manifest["targets"], actual.T, predicted.T, strict=True)}
    assert {name: each["mae"] for name, each in metrics.get("by_target", {}).items()} == (
        pytest.approx(own) if targets > 1 else {}
    )
    rows = artifacts.read_csv(Path("artifacts/evaluate/tables/ranges.csv"))
    assert sum(int(row["count"]) for row in rows) == 300 * targets
    write_params(explain=2)
    evaluate.run()
    off = np.abs(actual - predicted) / np.array(manifest["target_fit"]["std"])
    worst = np.argsort(-off.max(axis=1), kind="stable")[:2].tolist()
    found = artifacts.read_json(Path("artifacts/evaluate/tables/explanations.json"))["explained"]
    assert [(one["sample"], one["of"]) for one in found] == [(row, off[row].argmax()) for row in worst]
    assert [one["before"] for one in found] == pytest.approx([predicted[row, off[row].argmax()] for row in worst], rel=1e-6)


def validated():
    """Labels and probabilities of the validation samples, as the stage would predict them."""
    from pipeline.data.dataset import open_dataset
    from pipeline.model.predictor import load_predictor

    split = open_dataset(Path("artifacts/prepare")).split("val")
    return np.asarray(split.labels), evaluate.predict(load_predictor(Path("artifacts/train")), split, 64)[0]


def test_thresholds_of_several_labels_are_chosen_on_validation():
    prepared(rb.several, "multi")
    labels, p = validated()
    write_params(threshold="f1")
    metrics, table = judged()
    own = {
        row["class"]: float(row["threshold"]) for row in artifacts.read_csv(Path("artifacts/evaluate/tables/thresholds.csv"))
    }
    for k, (name, threshold) in enumerate(own.items()):
        best = max(sk.f1_score(labels[:, k], p[:, k] > t) for t in [0.0, *p[:, k]])
        assert sk.f1_score(labels[:, k], p[:, k] > threshold) == pytest.approx(best), name
    test, said = (np.array(table[name].to_pylist()) for name in ("label", "prediction"))
    chances = np.array(table["probabilities"].to_pylist())
    assert np.array_equal(said, chances > np.array(list(own.values())))
    assert metrics["micro_f1"] == pytest.approx(sk.f1_score(test, said, average="micro"))
    assert metrics["mean_average_precision"] == pytest.approx(sk.average_precision_score(test, chances))
    assert metrics["mean_roc_area"] == pytest.approx(sk.roc_auc_score(test, chances))


def test_the_threshold_of_two_classes_is_that_of_the_second(capsys):
    prepared(rb.colours, "single")
    labels, p = validated()
    write_params(threshold="recall>=0.9")
    metrics, table = judged()
    said = "'class 1' is the positive class, the second of the two: a false positive is 'class 0' taken for 'class 1'"
    assert f"evaluate: recall>=0.9: {said}" in capsys.readouterr().out
    [row] = artifacts.read_csv(Path("artifacts/evaluate/tables/thresholds.csv"))
    assert (row["class"], row["kept"]) == ("class 1", "yes")
    assert sk.recall_score(labels, p[:, 1] > float(row["threshold"])) >= 0.9
    chances = np.array(table["probabilities"].to_pylist())
    assert np.array_equal(table["prediction"].to_numpy(), chances[:, 1] > float(row["threshold"]))
    kept = artifacts.read_json(Path("artifacts/evaluate/tables/decision.json"))
    assert (kept["temperature"], kept["fitted_temperature"]) == (None, metrics["temperature"])
    assert np.allclose(table["confidence"].to_numpy(), chances[np.arange(len(chances)), table["prediction"].to_numpy()])
    assert metrics["roc_area"] == pytest.approx(sk.roc_auc_score(table["label"].to_numpy(), chances[:, 1]))
    assert metrics["roc_area_low"] < metrics["roc_area"] < metrics["roc_area_high"]
    assert metrics["threshold"] == "recall>=0.9"


@pytest.mark.parametrize(
    ("source", "task", "keys"),
    [
        (rb.several, "multi", {"threshold": "f1"}),
        (rb.colours, "single", {"threshold": "recall>=0.9", "temperature": "used"}),
        (rb.colours, "single", {"threshold": "balanced"}),
        (rb.digits, "single", {}),
    ],
)
def test_answers_travel_with_the_weights(source, task, keys):
    from pipeline.data.dataset import open_dataset
    from pipeline.model.predictor import load_predictor

    prepared(source, task)
    write_params(**keys)
    _, table = judged()
    predictor, file = load_predictor(Path("artifacts/train")), Path("artifacts/evaluate/tables/decision.json")
    answers = predictor.answers(file)
    given = evaluate.predict(predictor, open_dataset(Path("artifacts/prepare")).split("test"), 64)[0]
    said = np.array(table["prediction"].to_pylist())
    assert np.array_equal(answers.predictions(given), said)
    np.testing.assert_allclose(answers.probabilities(given), np.array(table["probabilities"].to_pylist()), rtol=1e-6)
    names = answers.names(given)
    classes = predictor.classes
    assert names == [[classes[i] for i in np.flatnonzero(row)] if task == "multi" else classes[row] for row in said]
    other = artifacts.read_json(file) | {"weights_sha256": "0" * 64}
    artifacts.write_json(file, other)
    with pytest.raises(StorageError, match="was chosen for other weights than these; say `dvc repro evaluate`"):
        predictor.answers(file)


def test_a_threshold_of_many_classes_is_refused():
    prepared(rb.digits, "single")
    write_params(threshold="f1")
    with pytest.raises(ConfigError, match="of 10 classes the most probable one is answered"):
        evaluate.run()
    assert not Path("artifacts/evaluate").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_answers_of_least_cost_are_written_with_those_left_open(kind):
    data, task = KINDS[kind]
    prepared(data, task)
    write_params(threshold="costs", costs=COSTS | {"abstain": 0.2})
    metrics, table = judged()
    labels, said, left_open = (np.array(table[name].to_pylist()) for name in ("label", "prediction", "abstained"))
    wrong = said != labels
    assert left_open.any()
    assert metrics["abstained"] == left_open.mean()
    assert metrics["risk"] == (pytest.approx(wrong[~left_open].mean()) if not left_open.all() else None)
    costs = np.where(left_open, 0.2, wrong)
    assert metrics["cost"] == pytest.approx((costs.sum(1) if task == "multi" else costs).mean())
    assert metrics["cost_low"] <= metrics["cost"] <= metrics["cost_high"]
    assert metrics["accuracy"] == pytest.approx(1 - wrong.mean())  # of all, as they would be answered
    p = np.array(table["probabilities"].to_pylist())
    if kind == "ten classes":
        assert np.array_equal(left_open, p.max(1) <= metrics["least_confidence"])
        return
    rows = artifacts.read_csv(Path("artifacts/evaluate/tables/thresholds.csv"))
    low, high = (np.array([float(row[name]) for row in rows]) for name in ("open_above", "open_to"))
    chances = p[:, -len(rows) :]
    assert np.array_equal(left_open.reshape(chances.shape), (chances > low) & (chances <= high))


def test_without_a_cost_of_abstaining_every_answer_is_given():
    prepared(rb.colours, "single")
    write_params(threshold="costs", costs=COSTS | {"false_negative": 9.0})
    metrics, table = judged()
    assert not any(table["abstained"].to_pylist())
    assert "abstained" not in metrics
    labels, said = (table[name].to_numpy() for name in ("label", "prediction"))
    assert metrics["cost"] == pytest.approx((9.0 * (said < labels) + (said > labels)).mean())


def test_costs_of_two_sorts_are_refused_of_many_classes():
    prepared(rb.digits, "single")
    write_params(threshold="costs", costs=COSTS | {"false_negative": 9.0})
    with pytest.raises(ConfigError, match="of 10 classes a mistake is a false positive of one"):
        evaluate.run()


@pytest.mark.parametrize("kind", KINDS)
def test_the_temperature_is_reported_and_used_on_request(kind):
    data, task = KINDS[kind]
    manifest = prepared(data, task)
    save_network(Path("artifacts/train"), manifest, scale=3.0)
    plain, before = judged()
    write_params(temperature="used")
    used, after = judged()
    assert plain["temperature"] == used["temperature"] > 1
    assert used["loss"] == plain["scaled_loss"] < plain["loss"]
    assert used["scaled_val_loss"] == plain["scaled_val_loss"] < plain["val_loss"] == used["val_loss"]
    p = np.array(after["probabilities"].to_pylist())
    labels = np.array(after["label"].to_pylist())
    if task == "single":
        assert before["prediction"].to_pylist() == after["prediction"].to_pylist()
        assert used["loss"] == pytest.approx(
            sk.log_loss(labels, p / p.sum(1, keepdims=True), labels=range(p.shape[1])), rel=1e-4
        )
    else:
        losses = [sk.log_loss(labels[:, k], p[:, k], labels=[0, 1]) for k in range(p.shape[1])]
        assert used["loss"] == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_as_if_classes_were_equally_frequent(kind):
    data, task = KINDS[kind]
    manifest = prepared(data, task)
    write_params(threshold="balanced")
    _, table = judged()
    p, said = (np.array(table[name].to_pylist()) for name in ("probabilities", "prediction"))
    shares = np.array(manifest["class_counts"]["train"]) / manifest["counts"]["train"]
    assert np.array_equal(said, p > shares if task == "multi" else (p / shares).argmax(axis=1))


def test_a_network_of_a_balanced_training_answers_by_the_true_shares():
    from pipeline.model.predictor import load_predictor

    prepared(rb.digits, "single")
    plain = load_predictor(Path("artifacts/train"))
    path = Path("artifacts/train/model.json")
    shares = [0.55, *[0.05] * 9]
    artifacts.write_json(path, {**artifacts.read_json(path), "balance": {"mode": "weights", "shares": shares}})
    x = torch.from_numpy(np.load("artifacts/prepare/test/inputs.npy")[:5])
    torch.testing.assert_close(
        load_predictor(Path("artifacts/train")).logits(x), plain.logits(x) + torch.log(torch.tensor(shares))
    )


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (
            {"threshold": "costs", "costs": COSTS | {"false_negative": 9.0}},
            "evaluate.threshold = 'costs': the labels are numbers",
        ),
        ({"threshold": "balanced"}, "evaluate.threshold = 'balanced': the labels are numbers"),
        ({"temperature": "used"}, "evaluate.temperature = 'used': the labels are numbers"),
    ],
)
def test_what_is_of_classes_alone_is_refused_of_numbers_before_the_test_split_is_read(choices, said):
    images, labels = rb.ink()
    cuts = dict(zip(("test", "val", "train"), np.split(np.arange(len(images)), [100, 200]), strict=True))
    rb.write_prepare(Path("artifacts/prepare"), images, labels[:, 0], ["ink"], "number", cuts, "photos/")
    write_params(**choices)
    with pytest.raises(ConfigError, match=re.escape(said)):
        evaluate.run()
    assert not Path("artifacts/evaluate").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_surest_mistakes_came_from_is_written_the_same_each_time(kind):
    data, task = KINDS[kind]
    prepared(data, task)
    evaluate.run()
    tables = Path("artifacts/evaluate/tables")
    assert not (tables / "explanations.json").exists()
    write_params(explain=3)
    _, table = judged()
    found = artifacts.read_json(tables / "explanations.json")["explained"]
    assert len(found) == 3
    assert not (tables / "columns.csv").exists(), "images have none"
    rows = table.to_pylist()
    for one in found:
        row = rows[one["sample"]]
        said, p = row["prediction"], row["probabilities"]
        given = said[one["of"]] if task == "multi" else 1
        assert (said != row["label"]) if task != "multi" else given != row["label"][one["of"]]
        confidence = p[one["of"]] if given else 1 - p[one["of"]]
        assert 1 / (1 + np.exp(-one["before"])) == pytest.approx(confidence, abs=1e-5)
        assert len(one["after"]) == 49
    before = (tables / "explanations.json").read_bytes()
    evaluate.run()
    assert (tables / "explanations.json").read_bytes() == before
