"""Runs killed at random moments, some of them in the middle of a save, end with the bits of an undisturbed run."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
RUN_CODES = {0, 143, -signal.SIGKILL, -signal.SIGTERM}


def driven(digits, folder, kills, seed):
    """What is told of the undisturbed run and of the killed one."""
    paths = os.pathsep.join(str(folder) for folder in (HERE, HERE.parent, HERE.parents[1]))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-W", "ignore", str(HERE / "kill_driver.py"), str(digits.path), str(kills), str(seed)]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(("kills", "seed"), [(8, 1), pytest.param(40, 2, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_bit_for_bit(digits, tmp_path, kills, seed):
    whole, killed = driven(digits, tmp_path, kills, seed)
    assert set(killed["codes"]) <= RUN_CODES
    assert killed["codes"][-1] == 0
    assert sum(code != 0 for code in killed["codes"]) >= min(4, kills), "the kills did hit"
    assert killed["restarts"] >= 1
    assert killed["digest"] == whole["digest"]
