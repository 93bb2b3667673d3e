"""Artifacts as the other stages leave them, from a network that is really trained (in plain numpy, in a second)."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image
from sklearn.datasets import load_digits

from pipeline.artifacts import read_json, write_csv, write_json
from pipeline.config import merged
from pipeline.data.dataset import FORMAT, Manifest, Split, manifest_dict, open_dataset
from pipeline.evaluation import classes as ev
from pipeline.metrics import MEASURES
from pipeline.model.objective import Scale
from pipeline.schema.evaluate import EvaluateConfig
from pipeline.schema.study import StudyDefinition
from pipeline.stages.evaluate import judge_classes, judge_numbers
from pipeline.study.effects import Outcome, effects
from pipeline.study.result import Result
from pipeline.study.tables import cells_table, curves_table

DATASET = "0d9b6f1ac2e14d0a9f7b3c5d8e6f1a2b"

LONG_CLASSES = [
    *(f"Acquisition_of_customer_identification_{i:02d}" for i in range(14)),
    "Ποικιλία αμπέλου με πολύ μακρύ όνομα",
    "сорт винограда с очень длинным названием",
    "一種名字非常長的葡萄品種的照片",
    "صنف من العنب باسم طويل جدا",
    "a",
    "ß",
]
"""20 names, some of which have no place to break, some of other scripts."""
LONG_FILE = "photographs-of-the-second-campaign/vineyard-north-slope/" + 20 * "x" + "-日本語の写真-" + 30 * "y" + "_"
LONG_VARIANTS = [f"regularised-with-a-very-long-name-{i:02d}-abcd" for i in range(11)]

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "$\\frac{1}{0}$ & co", "plain\x00\x0b\u202ename"]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def forward(weights, x):
    layers = [x]
    for w, b in weights[:-1]:
        layers.append(np.maximum(layers[-1] @ w + b, 0))
    return layers, layers[-1] @ weights[-1][0] + weights[-1][1]


def fitted(x, targets, task, epochs, widths=(48, 32), rate=0.1, batch=32, seed=0):
    """Yield after each epoch: weights and the mean gradient norm of each layer. SGD with momentum."""
    rng = np.random.default_rng(seed)
    sizes = [x.shape[1], *widths, targets.shape[1]]
    weights = [(rng.normal(0, np.sqrt(2 / a), (a, b)), np.zeros(b)) for a, b in itertools.pairwise(sizes)]
    speeds = [(0 * w, 0 * b) for w, b in weights]
    for _ in range(epochs):
        norms = []
        order = rng.permutation(len(x))
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            layers, z = forward(weights, x[rows])
            p = {"multi": sigmoid, "single": softmax, "number": lambda z: z}[task](z)
            delta = (p - targets[rows]) / (len(rows) * (1 if task == "single" else targets.shape[1]))
            grads = []
            for i in reversed(range(len(weights))):
                grads.insert(0, (layers[i].T @ delta, delta.sum(axis=0)))
                delta = (delta @ weights[i][0].T) * (layers[i] > 0)
            norms.append([np.sqrt((w**2).sum() + (b**2).sum()) for w, b in grads])
            speeds = [(0.9 * s - rate * g, 0.9 * t - rate * h) for (s, t), (g, h) in zip(speeds, grads, strict=True)]
            weights = [(w + s, b + t) for (w, b), (s, t) in zip(weights, speeds, strict=True)]
        yield weights, np.mean(norms, axis=0)


def scores(weights, x, labels, task):
    if task == "number":
        z = forward(weights, x)[1]
        return z, float(((z - labels) ** 2).mean()), float(np.abs(z - labels).mean())
    p = sigmoid(forward(weights, x)[1]) if task == "multi" else softmax(forward(weights, x)[1])
    p = np.clip(p, 1e-9, 1 - 1e-9)
    if task == "multi":
        loss = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean()
    else:
        loss = -np.log(p[np.arange(len(p)), labels]).mean()
    accuracy = ev.sample_accuracy(labels, ev.predicted_labels(p, task)).mean()
    return p.astype(np.float32), float(loss), float(accuracy)


@cache
def digits():
    data = load_digits()
    return (data.images * 15.9375).astype(np.uint8)[:, None], data.target.astype(np.int64)


@cache
def colours(num=600):
    """(3, 32, 32) discs and squares in noise: two classes."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, num)
    yy, xx = np.mgrid[:32, :32]
    images = rng.integers(0, 150, (num, 3, 32, 32))
    for i, label in enumerate(labels):
        y, x, r, c = *rng.integers(8, 24, 2), rng.integers(4, 8), rng.integers(0, 255, (3, 1))
        inside = (yy - y) ** 2 + (xx - x) ** 2 < r * r if label else np.maximum(abs(yy - y), abs(xx - x)) < r
        images[i, :, inside] = c[:, 0]
    return images.astype(np.uint8), labels.astype(np.int64)


@cache
def many(num=3000, num_classes=77):
    """(1, 8, 8) noisy prototypes of 77 classes."""
    rng = np.random.default_rng(4)
    prototypes = rng.integers(0, 256, (num_classes, 64))
    labels = np.r_[np.arange(num_classes).repeat(6), rng.integers(0, num_classes, num - 6 * num_classes)]
    images = prototypes[labels] + rng.normal(0, 150, (num, 64))
    return images.clip(0, 255).astype(np.uint8).reshape(num, 1, 8, 8), labels.astype(np.int64)


@cache
def several(num=800):
    """(1, 12, 12) bars; four labels, any number of them."""
    rng = np.random.default_rng(5)
    labels = (rng.random((num, 4)) < [0.5, 0.3, 0.2, 0.4]).astype(np.uint8)
    images = rng.integers(0, 140, (num, 1, 12, 12))
    for k, where in enumerate([np.s_[2:4, :], np.s_[8:10, :], np.s_[:, 2:4], np.s_[:, 8:10]]):
        images[labels[:, k] == 1, 0, where[0], where[1]] += 70
    return images.clip(0, 255).astype(np.uint8), labels


@cache
def ink():
    """The digits, how much ink each has and how far right it lies."""
    images, _ = digits()
    pixels = images[:, 0].astype(np.float64)
    return images, np.stack([pixels.mean((1, 2)), (pixels @ np.arange(8)).sum(1) / pixels.sum((1, 2))], axis=1)


def build(
    root: Path,
    data=None,
    classes=None,
    task="single",
    epochs=30,
    rate=0.02,
    prefix="digits:",
    studies=True,
    evaluate=None,
    **changes,
) -> Path:
    """Write every artifact below root/artifacts; `changes` go into run.json, `evaluate` into its keys."""
    images, labels = data or digits()
    if task == "number":
        classes = ["ink", "right"][: labels.shape[1]]
    classes = classes or [str(c) for c in range(int(labels.max()) + 1)]
    rng = np.random.default_rng(0)
    order = rng.permutation(len(images))
    cuts = {"train": order[: int(0.6 * len(order))]}
    cuts["val"], cuts["test"] = np.array_split(order[len(cuts["train"]) :], 2)
    artifacts = root / "artifacts"
    write_prepare(artifacts / "prepare", images, labels, classes, task, cuts, prefix)
    write_augment(artifacts / "augment", images[cuts["train"][:3]])
    if task == "number":
        labels = (labels - labels[cuts["train"]].mean(0)) / labels[cuts["train"]].std(0)
    weights = write_train(artifacts / "train", images, labels, classes, task, cuts, epochs, rate, changes)
    write_evaluate(artifacts / "evaluate", artifacts / "prepare", weights, task, evaluate)
    if studies:
        write_study(artifacts / "study")
    write_project(root, studies)
    return artifacts


def build_long(root: Path) -> Path:
    """Names as long as people have them: 12 variants of 40 letters, 20 classes, file names of 120 letters."""
    images, labels = many(2000, len(LONG_CLASSES))
    artifacts = build(root, (images, labels), LONG_CLASSES, epochs=3, prefix=LONG_FILE, studies=False)
    names = [
        "κανονικοποίηση-με-πολύ-μακρύ-όνομα-εδώ-1",
        *(f"regularised-with-a-very-long-name-{i:02d}-abcd" for i in range(11)),
    ]
    variants = [
        (Variant(name, {"model.dropout": round(0.05 * (i + 1), 2), "model.widths": [96, 64]}), 0.02 * (i % 5 - 2), 1.0 + i)
        for i, name in enumerate(names)
    ]
    question = "Which of a dozen regularisations with_names_that_have_no_place_to_break_in_them helps most?"
    expected = {names[1]: "helps", names[2]: "hurts"}
    write_study(
        artifacts / "study", "regularisation-in-a-dozen-ways", Definition(question, None, expected, margin=0.004), variants
    )
    write_study(artifacts / "study", definition=DROPOUT)
    return artifacts


def class_counts(labels, num_classes):
    return [int(n) for n in (labels.sum(axis=0) if labels.ndim == 2 else np.bincount(labels, minlength=num_classes))]


def write_prepare(folder, images, labels, classes, task, cuts, prefix):
    for split, rows in cuts.items():
        (folder / split).mkdir(parents=True)
        for name, array in {"inputs": images[rows], "labels": labels[rows], "ids": rows.astype(np.uint64) * 7919}.items():
            np.save(folder / split / f"{name}.npy", array)
        columns = {"id": pa.array(rows.astype(np.uint64) * 7919), "source": [f"{prefix}{row}" for row in rows]}
        pq.write_table(pa.table(columns), folder / split / "samples.parquet")
    pixels = images[cuts["train"]] / 255
    manifest = Manifest(
        format=FORMAT,
        kind="image",
        task=task,
        classes=list(classes) if task != "number" else [],
        targets=list(classes) if task == "number" else [],
        target_fit={
            "mean": np.atleast_1d(labels[cuts["train"]].mean(0)).tolist(),
            "std": np.atleast_1d(labels[cuts["train"]].std(0)).tolist(),
        }
        if task == "number"
        else {},
        shape=list(images.shape[1:]),
        dtype="uint8",
        fit={"mean": pixels.mean(axis=(0, 2, 3)).tolist(), "std": pixels.std(axis=(0, 2, 3)).tolist()},
        counts={split: len(rows) for split, rows in cuts.items()},
        class_counts={
            split: class_counts(labels[rows], len(classes)) if task != "number" else [] for split, rows in cuts.items()
        },
        source="digits",
        source_digest="5f1c2ad09c1d4f7f8a3e0a1b2c3d4e5f",
        digest=DATASET,
        num_read=len(images) + 3,
        num_rejected=3,
        notes=[
            "2 contents appear with two labels: see rejected.csv",
            "11 samples are exact copies of others and stay in one split",
        ],
    )
    write_json(folder / "dataset.json", manifest_dict(manifest))
    rows = [["scans/<b>7</b>.png", "", "truncated: ends after 812 of 1,204 bytes"], ["scans/huge.png", "", "89,478,485 pixels"]]
    write_csv(folder / "rejected.csv", ["source", "row", "reason"], [*rows, ["digits:1017", "1017", "copy of a test sample"]])


def write_augment(folder, images):
    folder.mkdir(parents=True)
    tiles = [np.hstack([np.roll(image.transpose(1, 2, 0), shift, axis=(0, 1)) for shift in (0, 1, -1, 2)]) for image in images]
    picture = np.vstack(tiles)
    picture = np.repeat(np.repeat(picture, 8, axis=0), 8, axis=1)
    Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(folder / "preview.png")
    write_json(folder / "augment.json", {"views": 4})


def write_train(folder, images, labels, classes, task, cuts, epochs, rate, changes):
    flat = images.reshape(len(images), -1) / 255 - 0.3
    targets = np.eye(len(classes))[labels] if task == "single" else labels.astype(float)
    measure = MEASURES[task]
    train, val = cuts["train"], cuts["val"]
    clean, rows, best = train[: len(val)], [], (np.inf, 0, None, 0.0)
    for epoch, (weights, norms) in enumerate(fitted(flat[train], targets[train], task, epochs, rate=rate), start=1):
        (_, t_loss, t_acc), (_, v_loss, v_acc) = (scores(weights, flat[part], labels[part], task) for part in (clean, val))
        layers = {name: float(norm) for name, norm in zip(("dense1", "dense2", "output"), norms, strict=True)}
        running = {
            "epoch": epoch,
            "split": "train",
            "loss": 1.25 * t_loss + 0.01,
            measure: 0.99 * t_acc,
            "learning_rate": 1e-3,
        }
        speed = {"seconds": 0.05, "samples_per_s": 20_000.0 + 500 * (epoch % 3)}
        rows.append({**running, "grad_norm": float(np.linalg.norm(norms)), "layer_grad_norms": layers, **speed})
        rows.append({"epoch": epoch, "split": "train_clean", "loss": t_loss, measure: t_acc})
        rows.append({"epoch": epoch, "split": "val", "loss": v_loss, measure: v_acc})
        if v_loss < best[0]:
            best = (v_loss, epoch, weights, v_acc)
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = {
        "id": "20261123-184500-1a2b3c4d",
        "state": "finished",
        "stop_reason": "epochs",
        "hashes": {k: f"{k[0]}0c5e1f2a3b4c5d6e7f8091a2b3c4d5e" for k in ("run", "config", "dataset", "views", "code")}
        | {"dataset": DATASET},
        "seed": 0,
        "commit": "3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a",
        "versions": {"python": "3.11.7", "torch": "2.13.0", "regatta": "0.1.0"},
        "device": "cpu",
        "num_threads": 2,
        "monitor": "val_loss",
        "best_epoch": best[1],
        "best_val_loss": best[0],
        f"best_val_{measure}": best[3],
        "num_epochs": epochs,
        "num_parameters": int(sum(w.size + b.size for w, b in best[2])),
        "samples_per_s": 20_500.0,
        "wall_s": 2.31,
        "restarts": 0,
        "started": "2026-11-23T18:45:00+00:00",
        "finished": "2026-11-23T18:45:03+00:00",
        **changes,
    }
    write_json(folder / "run.json", run)
    described = {"format": 1, "model": {"loss": "squared"}, "classes": list(classes), "task": task}
    write_json(folder / "model.json", {**described, "weights_sha256": "ab" * 32})
    return best[2]


def inputs_of(split: Split):
    return np.asarray(split.inputs).reshape(len(split), -1) / 255 - 0.3


def write_evaluate(folder, prepared, weights, task, changes=None):
    """changes: of `evaluate.*`."""
    dataset = open_dataset(prepared)
    test: Split = dataset.split("test")
    labels, inputs = np.asarray(test.labels), inputs_of(test)
    (folder / "tables").mkdir(parents=True)
    if task == "number":
        scale = Scale.of(dataset.manifest.target_fit)
        z, loss, _ = scores(weights, inputs, scale.standardised(labels), task)
        metrics = judge_numbers(folder, dataset, test, scale.in_units(z))
        made_of = {"dataset": DATASET, "weights": "ab" * 32}
        write_json(folder / "metrics.json", {"loss": loss, **metrics, "num_samples": len(test), "test_reads": 1, **made_of})
        return
    p, loss, _ = scores(weights, inputs, labels, task)
    held_out, config = dataset.split("val"), EvaluateConfig(**{**project_params()["evaluate"], **(changes or {})})
    validated = scores(weights, inputs_of(held_out), np.asarray(held_out.labels), task)[0]
    metrics = judge_classes(folder, dataset, test, p, validated, config)[1]
    made_of = {"dataset": DATASET, "weights": "ab" * 32}
    write_json(folder / "metrics.json", {"loss": loss, **metrics, "num_samples": len(test), "test_reads": 1, **made_of})


@dataclass(frozen=True)
class Variant:
    name: str
    changes: dict
    against: str = "baseline"
    start: str | None = None


def Definition(question, finding=None, expected=None, seeds=5, **keys):
    """Unchecked: names that no schema takes are shown all the same."""
    own = {"question": question, "finding": finding, "expected": expected or {}, "seeds": seeds}
    return StudyDefinition.model_construct(**own, **keys)


DROPOUT = Definition(
    "Does dropout help, and how much?",
    "Without dropout a small network overfits.",
    {"no-dropout": "hurts", "wide": "hurts", "no-augment": "helps"},
    margin=0.004,
)
DROPOUT_VARIANTS = [
    (Variant("no-dropout", {"model.dropout": 0.0}), 0.03, 1.0),
    (Variant("no-augment", {"augment.rotate": 0.0}), 0.004, 0.6),
    (Variant("wide", {"model.widths": [96, 64]}), -0.03, 2.1),
    (Variant("tanh", {"model.activation": "tanh"}), 0.0, 1.1),
]


def write_study(folder, name="dropout", definition=DROPOUT, variants=DROPOUT_VARIANTS, failing=("tanh", 2), epochs=12, **basis):
    """A study with made-up runs, judged and written as the study stage does. Variants: (variant, shift, relative time)."""
    rng = np.random.default_rng(7)
    every = [(Variant("baseline", {"train.epochs": epochs}, ""), 0.0, 1.0), *variants]
    noise = rng.normal(0, 0.004, definition.seeds)
    outcomes = [
        Outcome(variant.name, seed, study_run(variant, seed, shift + noise[seed], time, epochs, rng, failing), seed == 1)
        for variant, shift, time in every
        for seed in range(definition.seeds)
    ]
    found = effects(name, definition, [variant for variant, _, _ in every], outcomes, contrasts(variants))
    params = {section: project_params()[section] for section in ("model", "train", "augment", "prepare")}
    basis = {"study": study_definition(definition), **params, "dataset": DATASET, **basis}
    (folder / name).mkdir(parents=True)
    write_json(folder / name / "effects.json", {**found, "basis": basis})
    pq.write_table(cells_table(outcomes), folder / name / "cells.parquet")
    pq.write_table(curves_table(outcomes), folder / name / "curves.parquet")


SIZES = {"samples": {"all": {}, "5": {"train.per_class": 5}}}
GAINS = {"photos-all": 0.0, "photos-5": -0.05, "sketches-all": 0.0, "sketches-5": 0.05}
"""Differences in loss: of few samples photos help and sketches do harm."""


def write_transfer(folder, name="transfer", **keys):
    """A study of two sources and two sizes with made-up runs; its `effects.json`."""
    own = {"sources": {"photos": "run-1", "sketches": "run-2"}, "factors": SIZES, "grid": "full", **keys}
    few = {variant: variant.endswith("5") for variant in GAINS}
    start = {variant: variant.partition("-")[0] if own["sources"] else None for variant in ("scratch-5", *GAINS)}
    variants = [(Variant("scratch-5", {}, start=start["scratch-5"]), 0.2, 1.0)]
    variants += [
        (Variant(variant, {}, "scratch-5" if few[variant] else "baseline", start[variant]), gain + 0.2 * few[variant], 1.0)
        for variant, gain in GAINS.items()
    ]
    write_study(folder, name, Definition("?", **own), variants, ("", 0))
    return read_json(folder / name / "effects.json")


def contrasts(variants):
    """What each variant has in place of what the project has."""
    now = {f"{section}.{key}": value for section, values in project_params().items() for key, value in values.items()}
    return {
        variant.name: {
            key: {"variant": value, "reference": now[key], "now": now[key]} for key, value in variant.changes.items()
        }
        for variant, _, _ in variants
        if variant.changes.keys() <= now.keys()
    }


def study_run(variant, seed, shift, time, epochs, rng, failing):
    failed, fade = (
        (variant.name, seed) == failing,
        {"tanh": 0.5, "sigmoid": 0.1}.get(variant.changes.get("model.activation"), 0.9),
    )
    rows, best = [], (np.inf, 0, 0.0)
    for epoch in range(1, epochs + 1):
        train = 0.05 + 1.8 * np.exp(-epoch / 3) + rng.normal(0, 0.002)
        val = train + 0.04 + (shift + rng.normal(0, 0.003)) * (1 - np.exp(-epoch / 2)) + 0.0015 * max(0, epoch - 9)
        depth = len(variant.changes.get("model.widths", [0, 0, 0]))
        norms = {f"dense{i + 1}": float(fade ** (depth - i) * (0.3 + 1 / epoch)) for i in range(depth)}
        more = {"learning_rate": 0.01, "grad_norm": 1.0, "layer_grad_norms": {**norms, "output": 0.3 + 1 / epoch}}
        speed = {"seconds": 0.1 * time, "samples_per_s": 1e4 / time}
        rows.append({"epoch": epoch, "split": "train", "loss": 1.2 * train, "accuracy": 0.9, **more, **speed})
        rows.append({"epoch": epoch, "split": "train_clean", "loss": train, "accuracy": 0.95})
        rows.append({"epoch": epoch, "split": "val", "loss": None if failed and epoch > 3 else val, "accuracy": 1 - val / 4})
        best = min(best, (val, epoch, train))
    metrics = {"val_loss": best[0], "val_accuracy": 1 - best[0] / 4, "best_epoch": best[1], "train_loss": best[2],
               "gap": best[0] - best[2], "seconds": 0.1 * time * epochs}  # fmt: skip
    about = {"hash": f"{variant.name}-{seed}", "without_code": "w", "code": "c", "device": "cpu", "num_threads": 1,
             "num_together": 10, "ended": "not_finite" if failed else "epochs",
             "val_samples": "v", "test_samples": None}  # fmt: skip
    failure = "the validation loss was not finite in epoch 4: lower train.learning_rate" if failed else None
    return Result.from_json({**about, "failure": failure, "metrics": metrics, "rows": rows})


def study_definition(definition):
    return {"question": definition.question, "finding": definition.finding, "expected": definition.expected,
            "metric": definition.metric, "margin": definition.margin, "test": False, "seeds": definition.seeds,
            "baseline": {"train.epochs": 12}, "variants": {}, "factors": definition.factors,
            "sources": definition.sources, "grid": definition.grid}  # fmt: skip


def write_project(root, studies=True):
    params = project_params()
    params["study"] = {"definitions": {"dropout": study_definition(DROPOUT)} if studies else {}}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (root / "conf").mkdir()
    (root / "conf" / "overrides.yaml").write_text("# @package _global_\nmodel:\n  dropout: 0.2\ntrain:\n  epochs: 30\n")
    stages = ("prepare", "augment", "train", "evaluate", "report")
    outs = {s: [{"path": f"artifacts/{s}", "hash": "md5", "md5": f"{i}" * 32 + ".dir"}] for i, s in enumerate(stages)}
    lock = {"schema": "2.0", "stages": {stage: {"cmd": "python", "outs": out} for stage, out in outs.items()}}
    (root / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))


def project_params():
    """The project's own, as committed, with what the made-up training has."""
    params = yaml.safe_load((Path(__file__).resolve().parents[2] / "params.yaml").read_text())
    changes = {
        "prepare": {"val_fraction": 0.2, "test_fraction": 0.2},
        "model": {"widths": [48, 32]},
        "train": {"epochs": 30, "batch_size": 32, "learning_rate": 0.001},
        "study": {"definitions": {}},
    }
    return merged(params, changes)
