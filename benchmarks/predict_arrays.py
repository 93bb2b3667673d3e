"""Predicting the same arrays: a published network's `Model.predict` against the bare torch network of the same layers.

    python -m benchmarks.predict_arrays MODEL DATASET    # artifacts/train, artifacts/prepare: of images, a dense network

Ours checks the arrays, casts them, takes answers by the rule and names them; the peer casts, normalises, and takes the softmax.
One thread each, and the processor's time: what else the machine does is not counted.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import ratio, seconds_in_turn, write_row
from benchmarks.train_step import network
from pipeline.data.dataset import open_dataset
from pipeline.prediction.model import Model

NUM, ROUNDS = 50_000, 7


def main() -> None:
    """In turns; the row."""
    model, data = Model.load(sys.argv[1]), open_dataset(Path(sys.argv[2]))
    torch.set_num_threads(1)
    own = np.array(data.split("train").inputs)
    arrays = own[np.arange(NUM) % len(own)]
    fit, widths = data.manifest.fit, model.described["model"]["widths"]
    net = network([int(np.prod(own.shape[1:])), *widths, len(model.classes)]).eval()

    @torch.no_grad()
    def bare() -> None:
        for at in range(0, NUM, model.batch):
            rows = torch.from_numpy(arrays[at : at + model.batch]).float()
            net((rows - 255 * fit["mean"][0]) / (255 * fit["std"][0])).softmax(1).numpy()

    seconds = seconds_in_turn({"ours": lambda: model.predict(arrays), "bare network": bare}, ROUNDS, clock=time.process_time)
    speed = {"samples_per_cpu_s": NUM / statistics.median(seconds["ours"]), "widths": widths, "batch_size": model.batch}
    write_row("predict_arrays", speed, {"bare network": ratio(seconds["ours"], seconds["bare network"])}, threads=1)


if __name__ == "__main__":
    main()
