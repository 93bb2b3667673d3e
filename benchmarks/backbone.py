"""A pretrained network's features of images of 224 pixels against the bare network, and a head on features against a DNN.

    python -m benchmarks.backbone --dataset artifacts/prepare    # of the digits

Row backbone_features: a ViT of 12 layers of 192 (the sizes of DeiT-tiny, 5.5 M parameters, drawn by a seed). Ours reads stored
images, makes inputs of them, and writes the features; the peer has its inputs made and calls the network, both 32 at a time.
Row backbone_head: an epoch of a head on 64 stored features against one of our DNN on the digits' 64 pixels, which has the same
layers. One thread, and the processor's time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness import ratio, seconds_in_turn, write_row
from benchmarks.step_peers import lane_of, ours
from benchmarks.train_step import DROPOUT, program_of
from pipeline.backbones.folder import opened
from pipeline.backbones.loading import CHUNK, Extractor
from pipeline.data.dataset import Dataset, Stored, open_dataset
from pipeline.data.features import Made, Network, dataset_features, write_features

IMAGES, SIZE, WIDTH, WIDTHS = 64, 224, 64, [64, 128, 10]
INPUTS = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def vit(folder: Path, size: int, **sizes: Any) -> Path:
    """A network in its published layout."""
    import transformers

    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    torch.manual_seed(0)
    config = transformers.ViTConfig(image_size=size, **sizes)
    transformers.ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({**INPUTS, "size": size}))
    return folder


def features(data: Dataset, folder: Path, rounds: int) -> None:
    """Images of 224 pixels to features on disk."""
    sizes = {"hidden_size": 192, "num_hidden_layers": 12, "num_attention_heads": 3, "intermediate_size": 768}
    made = Made(opened(vit(folder / "tiny", SIZE, **sizes), "image"), replace(data.manifest, shape=[3, SIZE, SIZE]), "cpu")
    network, num = Network(made), itertools.count()
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 3, SIZE, SIZE), dtype=np.uint8)
    np.save(folder / "images.npy", images)
    stored = Stored(np.load(folder / "images.npy", mmap_mode="r"))
    inputs = torch.from_numpy(images).float().div_(127.5).sub_(1)

    def all_features() -> None:
        write_features(stored, network, folder / f"{next(num)}.npy", lambda _: None)

    @torch.no_grad()
    def bare() -> None:
        for at in range(0, IMAGES, CHUNK):
            network.extract.module(pixel_values=inputs[at : at + CHUNK])

    assert isinstance(network.extract, Extractor)
    seconds = seconds_in_turn({"ours": all_features, "bare network": bare}, rounds, clock=time.process_time)
    speeds = {"images_per_cpu_s": IMAGES / statistics.median(seconds["ours"]), "pixels": SIZE, "parameters": 5_524_416}
    write_row("backbone_features", speeds, {"bare network": ratio(seconds["ours"], seconds["bare network"])}, threads=1)


def head(data: Dataset, folder: Path, rounds: int) -> None:
    """An epoch of each."""
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 64, "patch_size": 4}
    made = Made(opened(vit(folder / "small", 8, **sizes), "image"), data.manifest, "cpu")
    of = dataset_features(made, data)
    epochs: dict[str, Callable[[], Any]] = {
        "ours": ours(program_of(WIDTHS, of, 64), lane_of(DROPOUT), of),
        "our DNN on as many pixels": ours(program_of(WIDTHS, data, 64), lane_of(DROPOUT), data),
    }
    seconds = seconds_in_turn(epochs, rounds, clock=time.process_time)
    speeds = {"samples_per_cpu_s": data.manifest.counts["train"] / statistics.median(seconds["ours"]), "widths": WIDTHS}
    peer = {"our DNN on as many pixels": ratio(seconds["ours"], seconds["our DNN on as many pixels"])}
    write_row("backbone_head", speeds, peer, threads=1)


def main() -> None:
    """Both rows, in a scratch folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="artifacts/prepare of the digits")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = open_dataset(options.dataset)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["REGATTA_RUNS"] = f"{scratch}/runs"
        head(data, Path(scratch), 5 * options.rounds)
        features(data, Path(scratch), options.rounds)


if __name__ == "__main__":
    main()
