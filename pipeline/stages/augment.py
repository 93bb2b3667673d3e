"""augment: draw the policy's views of the training samples once, and a picture of what it does."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from pipeline.artifacts import published_dir, stage_dir, write_bytes
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.view_files import check_space, stored_bytes
from pipeline.data.views import write_view_folder
from pipeline.kinds.image.parameters import check_channels
from pipeline.kinds.image.picture import Examples, chosen, label_name, policy_picture
from pipeline.schema.augment import AugmentConfig
from pipeline.stages.entry import read_params, run_stage, section


def run() -> None:
    """Write `artifacts/augment`: views-NNN.npy, augment.json, preview.png."""
    policy = section(read_params(), "augment", AugmentConfig).scaled()
    dataset = open_dataset(stage_dir("prepare"))
    check_channels(policy, dataset.manifest.shape[0])
    train = dataset.split("train")
    num_views = policy.views if policy.active else 0
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(_plan(policy, num_views, len(train), stored_bytes(train.inputs.shape, num_views)), flush=True)
    check_space(stage_dir("augment"), train.inputs.shape, num_views)
    with published_dir(stage_dir("augment")) as folder:
        started = time.monotonic()
        if num := write_view_folder(dataset, policy, folder, device) * len(train):
            seconds = time.monotonic() - started
            print(f"augment: {num:,} images in {seconds:.1f} s ({num / seconds:,.0f} images/s)", flush=True)
        _write_picture(dataset, policy, folder)


def _plan(policy: AugmentConfig, num_views: int, num_samples: int, num_bytes: int) -> str:
    if not policy.active:
        return "augment: every operation is off; training sees the images as they are"
    if not num_views:
        return "augment: augment.views = 0; each batch draws its own copies while training"
    return f"augment: {num_views} augmented copies of {num_samples:,} training images, {num_bytes / 1e6:,.1f} MB"


def _write_picture(dataset: Dataset, policy: AugmentConfig, folder: Path) -> None:
    train = dataset.split("train")
    rows = chosen(train.labels)
    names = [label_name(train.labels[row], dataset.manifest.classes) for row in rows]
    write_bytes(folder / "preview.png", policy_picture(Examples(train.inputs[rows], train.ids[rows], names), policy))


if __name__ == "__main__":
    run_stage("augment", run)
