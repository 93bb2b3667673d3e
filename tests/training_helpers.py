"""Real digits as a prepared dataset, and small programs on them."""

import contextlib
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

from pipeline import artifacts, keyed
from pipeline.data.dataset import FORMAT, Dataset, Manifest, manifest_dict
from pipeline.data.views import Views
from pipeline.kinds.image.keys import ImagePolicy
from pipeline.kinds.inputs import Taken
from pipeline.model.module.spec import ModuleSpec
from pipeline.model.stacked.spec import StackedSpec
from pipeline.train.program import Lane, Program
from pipeline.train.training import Training

OFF = ImagePolicy.model_construct(
    **dict.fromkeys(ImagePolicy.model_fields, 0.0)
    | {"seed": 0, "views": 0, "strength": 1.0, "padding": "zeros", "kornia": []}
    | {"flip_alternates": False, "whole_pixels": False}
)
NONE = Views([], OFF, "none")


def write_digits(folder: Path) -> None:
    """scikit-learn's digits, split by content."""
    bunch = load_digits()
    inputs, labels = np.round(bunch.images * 255 / 16).astype(np.uint8)[:, None], bunch.target.astype(np.int64)
    contents = np.array([keyed.content_id(image.tobytes()) for image in inputs], dtype=np.uint64)
    ids, position = keyed.sample_ids(contents), keyed.split_position(contents)
    split = np.where(position < 0.15, "test", np.where(position < 0.3, "val", "train"))
    order = keyed.storage_order(ids)
    counts, class_counts = {}, {}
    for name in ("train", "val", "test"):
        own = order[split[order] == name]
        (folder / name).mkdir(parents=True)
        for part, values in (("inputs", inputs), ("labels", labels), ("ids", ids)):
            np.save(folder / name / f"{part}.npy", values[own])
        counts[name], class_counts[name] = len(own), np.bincount(labels[own], minlength=10).tolist()
    train = inputs[split == "train"] / 255
    facts = {
        "classes": [str(i) for i in range(10)],
        "shape": [1, 8, 8],
        "fit": {"mean": [float(train.mean())], "std": [float(train.std())]},
    }
    rest = {
        "counts": counts,
        "class_counts": class_counts,
        "source": "digits",
        "source_digest": "s",
        "digest": "d",
        "num_read": 1797,
    }
    manifest = Manifest(format=FORMAT, kind="image", task="single", dtype="uint8", num_rejected=0, notes=[], **facts, **rest)
    artifacts.write_json(folder / "dataset.json", manifest_dict(manifest))


def program(**changes) -> Program:
    """Of a built-in network, or of a module (name) with its keys."""
    spec = {
        "input_shape": (1, 8, 8),
        "num_outputs": 10,
        "channels": (),
        "widths": (32, 16),
        "activation": "relu",
        "norm": "none",
    }
    own = {name: changes.pop(name) for name in list(changes) if name in spec}
    module, keys = changes.pop("module", None), changes.pop("keys", {})
    rest = {
        "loss": "softmax",
        "task": "single",
        "epochs": 3,
        "batch_size": 64,
        "shards": 1,
        "optimizer": "adamw",
        "schedule": "cosine",
    }
    rest |= {"warmup_epochs": 1.0, "limit": None} | changes
    shape, num_outputs = ({**spec, **own}[name] for name in ("input_shape", "num_outputs"))
    of_module = {"name": module, "keys": keys, "compile": False}
    network = ModuleSpec.of(of_module, Taken(shape), num_outputs) if module else StackedSpec(**{**spec, **own}, init="auto")
    return Program(spec=network, own_network=module is not None, **rest)


def lane(seed: int = 0, **changes) -> Lane:
    usual = {"learning_rate": 2e-3, "weight_decay": 0.01, "betas": (0.9, 0.999), "momentum": 0.9, "dropout": 0.2}
    usual |= {"label_smoothing": 0.0, "clip_norm": None, "early_stop": 0, "monitor": "val_loss"}
    return Lane(seed=seed, **(usual | changes))


def training(data: Dataset, lanes, views=NONE, team=None, **changes) -> Training:
    """views: all runs', or a list of each one's own."""
    own = [views] * len(lanes) if isinstance(views, Views) else views
    return Training(program(**changes), lanes, data, own, torch.device("cpu"), team)


def train_to_end(trained: Training) -> Training:
    while not trained.done:
        train_one_epoch(trained)
    return trained


def train_one_epoch(trained: Training) -> None:
    trained.train_epoch()
    trained.end_epoch({name: trained.evaluate(name) for name in ("train_clean", "val")})


class Interrupted(Exception):
    pass


def interrupted(trained: Training, after: int) -> Training:
    """Stopped after so many steps."""
    steps = 0

    def count():
        nonlocal steps
        steps += 1
        if steps == after:
            raise Interrupted

    with contextlib.suppress(Interrupted):
        while not trained.done:
            trained.train_epoch(count)
            trained.end_epoch({name: trained.evaluate(name) for name in ("train_clean", "val")})
    assert not trained.done
    return trained


def gone_on(first: Training, second: Training) -> Training:
    """Another training of the same run that goes on from where one stands, to its end."""
    tensors, progress = first.state()
    second.restore({name: array.copy() for name, array in tensors.items()}, progress)
    second.rows = [list(rows) for rows in first.rows]
    return train_to_end(second)


def untimed(rows):
    return [{name: value for name, value in row.items() if name not in ("seconds", "samples_per_s")} for row in rows]


def equal(one: Training, k: int, other: Training, i: int = 0) -> bool:
    """Weights, best weights and records of run k of one and run i of the other."""
    return (
        torch.equal(one.net.flat[k], other.net.flat[i])
        and torch.equal(one.best.flat[k], other.best.flat[i])
        and untimed(one.rows[k]) == untimed(other.rows[i])
    )
