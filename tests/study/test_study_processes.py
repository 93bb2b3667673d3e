"""Workers of this machine: what they say is plain text, and where they lack memory that is told in a line."""

from __future__ import annotations

import subprocess
import sys

from commands_run import environment

EVIL = """
import multiprocessing
from pipeline.processes import this_process
from pipeline.study import processes
class Job:
    def __getattr__(self, name):
        raise LookupError("\\x1b[2J\\u202e")
if __name__ == "__main__":
    processes._work(Job(), multiprocessing.Pipe()[1], this_process())
"""
LIMITED = """
import resource, types
from pipeline.errors import RegattaError
from pipeline.study.processes import Processes
resource.setrlimit(resource.RLIMIT_AS, (500_000 * 1024, 500_000 * 1024))
try:
    Processes(1).start(types.SimpleNamespace(threads=1, device="cpu"))
except RegattaError as error:
    print(error)
"""


def test_a_workers_traceback_moves_nothing_on_the_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", EVIL], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "LookupError: \\x1b[2J\\u202e"


def test_workers_that_can_not_be_forked_for_lack_of_memory_are_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr, "a library may have a line of its own, as OpenBLAS has"
    [told] = done.stdout.splitlines()
    assert told.startswith("the limit of memory set here, `ulimit -v` = 500,000 kB, is too small (the process that workers ")
    assert "; say `ulimit -v unlimited`" in told
