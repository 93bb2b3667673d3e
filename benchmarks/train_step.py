"""Training steps per second: ours against a bare torch loop of the same arithmetic and Lightning's Trainer with a DataLoader.

All three run in one process, in turns, on the same uint8 images: gather, cast and normalise, forward with dropout, softmax
cross-entropy, backward, fused AdamW. Rows: train_step_digits, train_step_fashion (the latter needs the IDX files of
Fashion-MNIST in the folder given by --fashion).
"""

from __future__ import annotations

import argparse
import logging
import statistics
import warnings
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from benchmarks.harness import ratio, write_row
from benchmarks.step_peers import in_turns, lane_of
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.model.stacked.spec import StackedSpec
from pipeline.train.program import Program, threads_for

DROPOUT = 0.2


def network(widths: list[int], dropout: float = DROPOUT) -> nn.Sequential:
    """The peers' network."""
    layers: list[nn.Module] = [nn.Flatten()]
    for a, b in pairwise(widths[:-1]):
        layers += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def program_of(widths: list[int], data: Dataset, batch: int) -> Program:
    """Our program of the same network."""
    spec = StackedSpec(tuple(data.manifest.shape), widths[-1], (), tuple(widths[1:-1]), "relu", "none", "auto")
    return Program(spec, "softmax", "single", 10**6, batch, 1, "adamw", "constant", 0.0, None)


def measure(row: str, data: Dataset, widths: list[int], batch: int, rounds: int, threads: int) -> None:
    """Epochs in turns; ratios per round."""
    torch.set_num_threads(threads)
    times = in_turns(program_of(widths, data, batch), lane_of(DROPOUT), lambda: network(widths), data, rounds)
    num = data.manifest.counts["train"]
    for name, seconds in times.items():
        print(row, name, f"{num / statistics.median(seconds):,.0f} samples/s")
    own = times.pop("ours")
    speeds = {"samples_per_s": num / statistics.median(own)}
    write_row(row, speeds, {name: ratio(own, seconds) for name, seconds in times.items()}, threads=torch.get_num_threads())


def main() -> None:
    """Prepare the data in a scratch folder, measure, write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="artifacts/prepare of the dataset")
    parser.add_argument("--row", choices=["digits", "fashion"], required=True)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, help="of all three; the usual number of ours unless given")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    data = open_dataset(options.dataset)
    widths, batch = ([64, 128, 64, 10], 64) if options.row == "digits" else ([784, 512, 256, 10], 256)
    threads = options.threads or threads_for(program_of(widths, data, batch))
    measure(f"train_step_{options.row}", data, widths, batch, options.rounds, threads)


if __name__ == "__main__":
    main()
