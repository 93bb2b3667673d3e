"""What `regatta verify` shows, and that it would notice."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.commands.verify import Outcome, equal_rows, equal_state, largest_difference
from pipeline.config import read_values
from pipeline.schema.reading import flat

ROWS = [{"epoch": epoch, "split": split, "loss": 1 / epoch} for epoch in (1, 2) for split in ("train", "val")]


def trained_as(loss=0.5, weight=1.0):
    rows = [row | {"loss": loss} if (row["epoch"], row["split"]) == (2, "val") else row for row in ROWS]
    return Outcome(rows, {"parameters": np.array([[weight, -4.0]], np.float32)}, 0, 1.0)


def test_a_difference_of_one_bit_is_noticed():
    one = trained_as()
    assert equal_state(one, trained_as()) == ("2 numbers, same bits", True)
    assert equal_state(one, trained_as(weight=np.nextafter(np.float32(1), np.float32(2)))) == ("differ in parameters", False)
    assert equal_rows(one, trained_as(), "val") == ("0.500000, same bits", True)
    assert equal_rows(one, trained_as(loss=0.5 + 1e-16 * 2), "val") == ("differ from epoch 2 on", False)
    assert largest_difference(one, trained_as(weight=1.5)) == pytest.approx(0.125)


def test_it_needs_prepared_data_and_several_workers(project, command):
    assert "cluster.workers = 1: there is nothing to compare" in command("verify", code=2)
    assert "say `regatta run` first" in command("verify", "cluster.workers=2", code=2)
    assert "min_workers = 3 must not exceed" in command("verify", "cluster.workers=2", "cluster.min_workers=3", code=2)


@pytest.mark.slow
@pytest.mark.parametrize("from_a_run", [False, True])
def test_two_workers_are_shown_to_train_what_one_does(trained, regatta, from_a_run):
    [run] = Path("runs").glob("2*")
    start = (f"model.init_from={run}", "model.freeze=1", "train.unfreeze_epoch=2") if from_a_run else ()
    before = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    values = dict(flat(read_values()))
    said = regatta("verify", "cluster.workers=2", *start)
    assert said.count("same bits  ") == 4
    assert said.count(" yes") == 5
    assert "the same with a worker lost on the way, 1 restart" in said
    assert "Several workers train what one trains" in said
    assert dict(flat(read_values())) == values
    assert subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout == before
    assert not Path("runs/verify").exists()
    assert (run / "best.safetensors").exists()
