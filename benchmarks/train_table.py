"""An epoch on a table: ours against a bare torch loop of the same network on the same rows.

    python -m benchmarks.train_table --dataset artifacts/prepare    # of data=table, such as Adult

Both keep the rows as stored, and encode each batch with the same pieces and switches as `pipeline/kinds/table/inputs.py` does:
the inputs of all rows at once would take some fifty times as much memory. One thread each, and the processor's time: what else
the machine does is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import yaml

from benchmarks.harness import ratio, seconds_in_turn, write_row
from benchmarks.step_peers import CONF, DECAY, RATE, lane_of, ours
from benchmarks.train_step import network
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.kinds.table.inputs import input_shape, to_input
from pipeline.kinds.table.keys import TablePolicy
from pipeline.model.stacked.spec import StackedSpec
from pipeline.train.program import Program

WIDTHS, DROPOUT = [256, 128], 0.3
"""Those of conf/model/table.yaml."""


def program_of(data: Dataset, batch: int) -> Program:
    """Our program of the network for two classes."""
    shape = input_shape(data.manifest.fit, data.manifest.shape)
    spec = StackedSpec(shape, 1, (), tuple(WIDTHS), "relu", "none", "auto")
    return Program(spec, "sigmoid", "single", 10**6, batch, 1, "adamw", "constant", 0.0, None)


def bare_loop(data: Dataset, batch: int) -> Callable[[], None]:
    """One epoch of the loop that one would write by hand."""
    train = data.split("train")
    rows, labels = torch.from_numpy(np.array(train.inputs)), torch.from_numpy(np.array(train.labels)).float()
    cast = to_input(data.manifest.fit, data.manifest.shape, "cpu")
    net = network([int(data.manifest.fit["num_inputs"]), *WIDTHS, 1], DROPOUT)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY, fused=True)

    def epoch() -> None:
        net.train()
        order = torch.randperm(len(rows))
        for first in range(0, len(rows), batch):
            taken = order[first : first + batch]
            optimizer.zero_grad()
            logits = net(cast(rows[taken])).squeeze(1)
            F.binary_cross_entropy_with_logits(logits, labels[taken]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    return epoch


def main() -> None:
    """Epochs in turns; the row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="artifacts/prepare of a table with two classes")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    data, batch = open_dataset(options.dataset), 64
    program = program_of(data, batch)
    torch.set_num_threads(1)
    policy = yaml.safe_load((CONF / "augment/table.yaml").read_text())
    epochs = {"ours": ours(program, lane_of(DROPOUT), data, TablePolicy(**policy)), "bare loop": bare_loop(data, batch)}
    seconds = seconds_in_turn(epochs, options.rounds, clock=time.process_time)
    speed = {"samples_per_cpu_s": data.manifest.counts["train"] / statistics.median(seconds["ours"]), "batch_size": batch}
    peers = {"bare loop": ratio(seconds["ours"], seconds["bare loop"])}
    write_row("train_table", speed, peers, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
