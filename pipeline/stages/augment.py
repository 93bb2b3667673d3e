"""augment: draw the policy's views of the training samples once, and a picture of what it does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.artifacts import published_dir, stage_dir, write_bytes
from pipeline.data import examples
from pipeline.data.alone import check_alone
from pipeline.data.dataset import Dataset, label_name, open_dataset
from pipeline.data.view_files import check_space, drawn_copies, stored_bytes
from pipeline.data.views import write_view_folder
from pipeline.kinds.keys import keys_of
from pipeline.kinds.showing import Examples, showing_of
from pipeline.kinds.views import told, views_of
from pipeline.schema.augment import AugmentConfig
from pipeline.stages.entry import read_params, run_stage, section
from pipeline.wording import counted

NUM_SAMPLES = 6
"""In the picture."""


def run() -> None:
    """Write `artifacts/augment`: views-NNN.npy, augment.json, and what the report shows: preview.png, examples.npz."""
    dataset = open_dataset(stage_dir("prepare"))
    policy = section(read_params(), "augment", keys_of(dataset.manifest.kind).POLICY).scaled()
    views_of(dataset.manifest.kind).check_policy(policy, dataset.manifest.shape)
    check_alone(dataset, policy)
    train = dataset.split("train")
    num_views = policy.views if policy.active else 0
    noun = showing_of(dataset.manifest.kind).NOUN
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(_plan(policy, noun, num_views, len(train), stored_bytes(train.stored, num_views)), flush=True)
    for line in told(dataset.manifest.kind, policy, dataset.manifest.fit):
        print(f"augment: {line}", flush=True)
    check_space(stage_dir("augment"), train.stored, num_views)
    with published_dir(stage_dir("augment")) as folder:
        started = time.monotonic()
        if num := write_view_folder(dataset, policy, folder, device) * len(train):
            seconds = time.monotonic() - started
            print(f"augment: {num:,} {noun} in {seconds:.1f} s ({num / seconds:,.0f} {noun}/s)", flush=True)
        _write_shown(dataset, policy, folder)


def _plan(policy: AugmentConfig, noun: str, num_views: int, num_samples: int, num_bytes: int) -> str:
    if not policy.active:
        return f"augment: every operation is off; training sees the {noun} as they are"
    if not num_views:
        return "augment: augment.views = 0; each batch draws its own copies while training"
    copies = counted(num_views, "augmented copy")
    return f"augment: {copies} of {num_samples:,} training {noun}, {num_bytes / 1e6:,.1f} MB"


def _write_shown(dataset: Dataset, policy: AugmentConfig, folder: Path) -> None:
    """The kind's picture of the policy; samples beside copies where it has none, or shows copies in its own way."""
    train, showing = dataset.split("train"), showing_of(dataset.manifest.kind)
    content = showing.preview(_examples(dataset, chosen(train.labels)), policy)
    if content:
        write_bytes(folder / "preview.png", content)
    if policy.active and (content is None or hasattr(showing, "shown_copy")):
        samples = chosen(train.labels, examples.SAMPLES)
        names = _examples(dataset, samples).names
        drawn = drawn_copies(dataset, policy, samples, examples.COPIES)
        pairs = zip(names, drawn, strict=True)
        examples.write_examples(folder, [examples.Example(name, row[0], row[1:]) for name, row in pairs])


def _examples(dataset: Dataset, samples: NDArray[np.int64]) -> Examples:
    train = dataset.split("train")
    names = [label_name(train.labels[row], dataset.manifest) for row in samples]
    return Examples([train.sample(row) for row in samples], train.ids[samples], names)


def chosen(labels: NDArray[Any], num: int = NUM_SAMPLES) -> NDArray[np.int64]:
    """Positions of the samples to show: the first of each class in turn, by class; of several-label samples, the first ones.

    Of numbers, evenly from the smallest to the largest.
    """
    if labels.ndim == 1 and labels.dtype.kind == "f":
        return np.argsort(labels, kind="stable")[np.linspace(0, len(labels) - 1, min(num, len(labels))).astype(np.int64)]
    if labels.ndim > 1:
        return np.arange(min(num, len(labels)), dtype=np.int64)
    order = np.argsort(labels, kind="stable")
    ranked = labels[order]
    turn = np.arange(len(order)) - np.searchsorted(ranked, ranked)
    picked = order[np.lexsort((ranked, turn))][:num]
    return picked[np.lexsort((picked, labels[picked]))].astype(np.int64)


if __name__ == "__main__":
    run_stage("augment", run)
