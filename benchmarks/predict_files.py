"""`regatta predict` on files: from its start to the answer to one, and how many it answers in bounded memory.

    python -m benchmarks.predict_files start artifacts/train    # after `make run`: the digits' network, an 8 x 8 PNG
    python -m benchmarks.predict_files many MODEL               # of `regatta run data=folder`: JPEGs of 224 x 224

Rows: predict_start, wall seconds of whole processes beside a script that imports torch, loads the weights and answers, checking
nothing; predict_many, answers a second, and the most memory that no file backs, of all its processes.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness import cpu_clock, peak_anonymous_bytes, ratio, seconds_in_turn, write_row
from benchmarks.pictures import digit, encoded, noise
from benchmarks.startup import process
from pipeline.cli import main as regatta

ROUNDS, CPU_ROUNDS, COUNTS = 9, 3, (1_000, 10_000)
DISTINCT = 100
PEER_NAME = "a script of torch and safetensors"
PEER = """
import json, sys
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

folder, file = sys.argv[1:]
with open(f"{folder}/model.json") as described:
    model = json.load(described)
weights, fit = load_file(f"{folder}/best.safetensors"), model["input"]["fit"]
layers = [*(f"dense{i + 1}" for i in range(len(model["model"]["widths"]))), "output"]
x = (torch.from_numpy(np.array(Image.open(file))).float().view(1, -1) / 255 - fit["mean"][0]) / fit["std"][0]
for name in layers:
    x = torch.addmm(weights[f"{name}.bias"], x, weights[f"{name}.weight"])
    x = x if name == "output" else x.relu()
best = x.softmax(1)[0].max(0)
print(f"{file},{model['classes'][best.indices]},{best.values:.8g}")
"""


def start(model: str) -> None:
    """In turns; the row."""
    with tempfile.TemporaryDirectory() as scratch:
        name, content = digit()
        file = Path(scratch) / name
        file.write_bytes(content)
        contenders = {
            "ours": process("-m", "pipeline.cli", "predict", model, str(file)),
            PEER_NAME: process("-c", PEER, model, str(file)),
        }
        seconds = seconds_in_turn(contenders, ROUNDS)
        cpu = seconds_in_turn(contenders, CPU_ROUNDS, clock=cpu_clock)
    own = seconds.pop("ours")
    ours = {"seconds": statistics.median(own), "min_s": min(own), "max_s": max(own)}
    ours |= {"cpu_s": statistics.median(cpu["ours"]), "its_cpu_s": statistics.median(cpu[PEER_NAME])}
    write_row("predict_start", ours, {name: ratio(own, each) for name, each in seconds.items()})


def many(model: str) -> None:
    """Each number of files by itself; the row."""
    ours: dict[str, float] = {}
    for num in COUNTS:
        with photos(num) as folder:
            began = time.perf_counter()
            peak = peak_anonymous_bytes(predicted, model, folder)
            ours |= {f"seconds_{num}": time.perf_counter() - began, f"peak_mb_{num}": round(peak / 2**20, 1)}
    few, most = COUNTS
    ours["samples_per_s"] = (most - few) / (ours[f"seconds_{most}"] - ours[f"seconds_{few}"])  # the start aside
    ours["peak_grows_mb"] = round(ours[f"peak_mb_{most}"] - ours[f"peak_mb_{few}"], 1)
    write_row("predict_many", ours, {})


@contextmanager
def photos(num: int) -> Iterator[Path]:
    """A folder of so many files; some hundred contents recur, which predicting does not look for."""
    with tempfile.TemporaryDirectory() as scratch:
        contents = [encoded(noise(seed), "JPEG") for seed in range(DISTINCT)]
        for i in range(num):
            (Path(scratch) / f"{i:05}.jpg").write_bytes(contents[i % DISTINCT])
        yield Path(scratch)


def predicted(model: str, folder: Path) -> None:
    """The command, whose answers are counted."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "answers.csv"
        assert regatta(["predict", model, str(folder), "--out", str(out)]) == 0
        assert len(out.read_text().splitlines()) == 1 + sum(1 for _ in folder.iterdir())


def main() -> None:
    """One of them."""
    what, model = sys.argv[1:]
    {"start": start, "many": many}[what](model)


if __name__ == "__main__":
    main()
