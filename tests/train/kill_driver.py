"""A program of its own: one run undisturbed, and the same started again and again and killed, until it ends.

usage: kill_driver.py DATASET NUM_KILLS SEED, in an empty folder. Forked children share the imports. Prints a line of JSON
for each of the two: exit codes, restarts, digest of the final state.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from run_helpers import NoTracker, configs
from training_helpers import NONE

from pipeline import artifacts
from pipeline.data.dataset import open_dataset
from pipeline.errors import ENDS
from pipeline.runs.find import all_runs
from pipeline.train.fit import fit

SLOW_SYNC_S = 0.02
"""A sync takes this long, so that a good part of the kills hits a save."""


def child(dataset: str, told: int) -> None:
    synced = os.fsync
    os.fsync = lambda descriptor: (time.sleep(SLOW_SYNC_S), synced(descriptor), os.write(told, b"."))[1]
    changes = {"train__epochs": 12, "model__widths": [32], "train__save_every_s": 0.0, "train__threads": 1, "train__shards": 2}
    model, train = configs(**changes)
    try:
        fit(model, train, open_dataset(Path(dataset)), NONE, lambda folder: NoTracker())
    except ENDS as error:
        os._exit(error.exit_code)
    os._exit(0)


def attempt(dataset: str, draw: random.Random | None) -> int:
    heard, told = os.pipe()
    pid = os.fork()
    if not pid:
        child(dataset, told)
    os.close(told)
    if draw is not None:
        os.read(heard, 1)  # something has been written, however busy the machine is
        time.sleep(draw.uniform(0.0, 0.8))
        os.kill(pid, signal.SIGTERM if draw.random() < 0.3 else signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    os.close(heard)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    dataset, num_kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    for name, num in (("whole", 0), ("killed", num_kills)):
        os.environ["REGATTA_RUNS"] = name
        print(json.dumps(driven(dataset, num, random.Random(seed))))


def driven(dataset: str, num_kills: int, draw: random.Random) -> dict[str, object]:
    codes = [attempt(dataset, draw) for _ in range(num_kills)]
    codes.append(attempt(dataset, None))
    found = [(folder, facts) for folder, facts in all_runs() if facts["state"] == "finished"]
    folder, facts = found[0]
    tensors, _ = artifacts.load_tensors(folder.state)
    best, _ = artifacts.load_tensors(folder.path / "best.safetensors")
    rows = [
        {k: v for k, v in row.items() if k not in ("seconds", "samples_per_s")} for row in artifacts.read_jsonl(folder.metrics)
    ]
    values = [{name: array.tobytes().hex() for name, array in part.items()} for part in (tensors, best)]
    left = [path.name for path in folder.path.iterdir() if "partial" in path.name]
    return {"codes": codes, "restarts": facts["restarts"], "digest": artifacts.digest([*values, rows]), "left": left}


if __name__ == "__main__":
    main()
