"""A user's module: training steps per second against the bare torch loop of the same module, and Lightning with a DataLoader.

All three run in one process, in turns, on the same uint8 images: gather, cast and normalise, forward, softmax cross-entropy,
backward, fused AdamW; CPU seconds of the process, one thread. Rows: train_module_mixed (convolutions, BatchNorm, attention
and dropout), train_module_residual (0.5 M parameters, BatchNorm), each at batches of 64 and 256.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from pathlib import Path

import torch

from benchmarks.harness import ratio, write_row
from benchmarks.own_networks import MODELS
from benchmarks.step_peers import in_turns, lane_of
from pipeline import extensions
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.kinds.inputs import Taken
from pipeline.model.module.spec import ModuleSpec
from pipeline.train.program import Program

BATCHES = (64, 256)


def measured(name: str, data: Dataset, batch: int, rounds: int) -> dict[str, list[float]]:
    """Epochs in turns: CPU seconds of ours and of the peers."""
    shape, classes = tuple(data.manifest.shape), len(data.manifest.classes)
    spec = ModuleSpec.of({"name": name, "keys": {}, "compile": False}, Taken(shape), classes)
    program = Program(spec, "softmax", "single", 10**6, batch, 1, "adamw", "constant", 0.0, None)
    return in_turns(program, lane_of(0.0), lambda: MODELS[name](shape, classes), data, rounds, time.process_time)


def main() -> None:
    """Measure and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="artifacts/prepare of the digits")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    extensions.unpack({extensions.FILE: Path(__file__).with_name("own_networks.py").read_bytes()})
    data = open_dataset(options.dataset)
    for name in MODELS:
        speeds: dict[str, float] = {}
        peers: dict[str, dict[str, float | int]] = {}
        for batch in BATCHES:
            times = measured(name, data, batch, options.rounds)
            own = times.pop("ours")
            speeds[f"samples_per_cpu_s_{batch}"] = data.manifest.counts["train"] / statistics.median(own)
            peers |= {f"{peer}, batch {batch}": ratio(own, seconds) for peer, seconds in times.items()}
        write_row(f"train_module_{name.removeprefix('own_')}", speeds, peers, threads=1)
        for peer, found in peers.items():
            print(f"{name}: against {peer}: {found['ratio']:.2f} [{found['min']:.2f}, {found['max']:.2f}]")


if __name__ == "__main__":
    main()
