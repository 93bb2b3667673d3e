"""`preset=images`: training steps of the network airbench against the bare torch loop of the same network, and Lightning.

    python -m benchmarks.train_images FOLDER     # of cifar10_train.parquet, of which some thousand images are taken

All run in one process, in turns, on the same uint8 images, in bfloat16 where this processor has it, channels last: gather,
cast and normalise, forward, softmax cross-entropy with label smoothing, backward, fused SGD; CPU seconds of the process.
Nothing is augmented on any side. Beside them ours in float32, and what augment=images takes of ours.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import torch

from benchmarks.harness import ratio, write_row
from benchmarks.step_peers import in_turns, ours
from pipeline import networks
from pipeline.config import composed
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.kinds.keys import data_section, policy_section
from pipeline.model.module.spec import ModuleSpec
from pipeline.model.net import FULL
from pipeline.prepare.build import build_dataset
from pipeline.schema.base import validated
from pipeline.schema.model import ModelConfig
from pipeline.schema.prepare import PrepareConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.program import Program, program_of

IMAGES = 4096
FLOAT32, AUGMENTED = "ours in float32", "ours with augment=images"


def in_float32(program: Program) -> Program:
    """The same in float32."""
    assert isinstance(program.spec, ModuleSpec)
    return dataclasses.replace(program, precision=FULL, spec=dataclasses.replace(program.spec, precision=FULL))


def measured(folder: Path, scratch: Path, rounds: int) -> tuple[Dataset, Program, dict[str, list[float]]]:
    """Epochs in turns: CPU seconds of each."""
    values = composed(overrides=["data=parquet", "preset=images"])
    values["data"]["train_path"] = str(folder / "cifar10_train.parquet")
    values["prepare"]["limit"] = IMAGES
    build_dataset(data_section(values), validated(PrepareConfig, values["prepare"], "prepare"), scratch, "benchmark")
    data = open_dataset(scratch)
    model, train = validated(ModelConfig, values["model"], "model"), validated(TrainConfig, values["train"], "train")
    program, lane = program_of(model, train, data.manifest)
    program = dataclasses.replace(program, epochs=10**6)
    others = {FLOAT32: ours(in_float32(program), lane, data), AUGMENTED: ours(program, lane, data, policy_section(values))}
    shape, classes, network = tuple(data.manifest.shape), len(data.manifest.classes), networks.function("airbench")
    times = in_turns(program, lane, lambda: network(shape, classes, **model.keys), data, rounds, time.process_time, others)
    return data, program, times


def main() -> None:
    """Measure and write the row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        data, program, times = measured(options.folder, Path(scratch), options.rounds)
    num, own, augmented = data.manifest.counts["train"], times.pop("ours"), times.pop(AUGMENTED)
    speed = {
        "samples_per_cpu_s": num / statistics.median(own),
        "num_train": num,
        "batch_size": program.batch_size,
        "precision": program.precision,
        "augmentation_costs": ratio(own, augmented)["ratio"] - 1,
    }
    peers = {name: ratio(own, seconds) for name, seconds in times.items()}
    write_row("train_images", speed, peers, threads=options.threads)


if __name__ == "__main__":
    main()
