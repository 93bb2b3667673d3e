"""What all benchmarks share: rounds in turn, ratios, and one JSON file per row of the table."""

from __future__ import annotations

import multiprocessing
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline.artifacts import write_json

RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("torch", "pytorch-lightning", "kornia", "ray", "numpy", "pillow", "pyarrow", "scikit-learn")


def seconds_in_turn(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each contender in each round; they take turns, so that a busy machine slows them all."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(warmup + rounds):
        for name, contend in contenders.items():
            start = clock()
            contend()
            if i >= warmup:
                seconds[name].append(clock() - start)
    return seconds


def cpu_clock() -> float:
    """Seconds that processors were at work for this process and those it has waited for: of a machine that others use, too."""
    return sum(os.times()[:4])


def ratio(ours: Sequence[float], peer: Sequence[float]) -> dict[str, float | int]:
    """How many times as long the peer took, round by round: above 1, ours is better. Costs of the same work, both."""
    ratios = [theirs / mine for mine, theirs in zip(ours, peer, strict=True)]
    return {"ratio": statistics.median(ratios), "min": min(ratios), "max": max(ratios), "rounds": len(ratios)}


def peak_anonymous_bytes(work: Callable[..., object], *args: Any) -> int:
    """The most memory of work in a process of its own, and its workers', that no file backs, sampled every 20 ms."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=args)
    process.start()
    peak = 0
    while process.is_alive():
        peak = max(peak, sum(_anonymous_bytes(pid) for pid in _descendants(process.pid or 0)))
        time.sleep(0.02)
    assert process.exitcode == 0
    return peak


def _descendants(pid: int) -> list[int]:
    try:
        children = [
            int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
        ]
    except OSError:
        return []
    return [pid, *(descendant for child in children for descendant in _descendants(child))]


def _anonymous_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


def write_row(row: str, ours: Mapping[str, Any], peers: Mapping[str, Mapping[str, float | int]], **extra: Any) -> Path:
    """Write `benchmarks/results/ROW.json`: numbers of ours, ratios to each peer, and where they were measured."""
    path = RESULTS / f"{row}.json"
    values = {"row": row, "ours": dict(ours), "peers": {name: dict(values) for name, values in peers.items()}}
    write_json(path, values | {"machine": _machine(), "versions": _versions(), "commit": _commit()} | extra)
    print(path.read_text(), end="")
    return path


def _machine() -> dict[str, Any]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"processor": _processor(), "cores": cores, "memory_gb": round(memory / 2**30, 1), "system": platform.system()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """The commit that was measured; "+changes" if the tree was not clean."""
    git = ["git", "-C", str(RESULTS.parent)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    changes = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False)
    return (head.stdout.strip() or "none") + ("+changes" if changes.stdout.strip() else "") if head.returncode == 0 else "none"
