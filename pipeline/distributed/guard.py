"""Ends a cluster of this machine that has lost who started it, and removes its folder.

usage: guard.py FOLDER, a program of its own. It waits for a byte: an end without one means that its starter was killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time

import psutil

MARK = "REGATTA_CLUSTER"
"""The cluster's folder, in the environment of whatever it starts."""
END_S = 10.0
"""So long processes may take to be gone once killed."""


def end_cluster(folder: str) -> None:
    """Kill what belongs to a cluster, those included that are started meanwhile, and remove its folder."""
    until = time.monotonic() + END_S
    while (found := members(folder)) and time.monotonic() < until:
        for one in found:
            with contextlib.suppress(psutil.Error):  # it has ended by itself
                one.kill()
        psutil.wait_procs(found, timeout=0.5)
    shutil.rmtree(folder, ignore_errors=True)  # what is left is tried again by the next cluster


def members(folder: str) -> list[psutil.Process]:
    """The processes of a cluster, but for who has started it."""
    return [one for one in psutil.process_iter() if one.pid != os.getpid() and _belongs(one, folder)]


def _belongs(one: psutil.Process, folder: str) -> bool:
    """By its environment, or by a log: Ray's agents write their new names over their environment."""
    try:
        if one.uids().real != os.getuid():
            return False
        if one.environ().get(MARK) == folder:
            return True
        return one.name().startswith("ray::") and any(file.path.startswith(f"{folder}/") for file in one.open_files())
    except (psutil.Error, OSError):  # it has gone, or is a zombie
        return False


if __name__ == "__main__" and not sys.stdin.buffer.read(1):
    end_cluster(sys.argv[1])
