"""`prepare` on a made CSV of 1,000,000 rows x 50 columns (360 MB), against pandas reading it and leaving it at that.

    python -m benchmarks.prepare_table [NUM_ROWS]

30 columns of measured numbers (three of them with gaps), 10 of whole numbers, 9 of categories, one of dates, and a label. The
peer guesses types as it reads: no identity, no account of rows, no splits, no statistics, no files. Aim: 100,000 rows a
second on 2 cores, and 1 GB of memory beyond the mapped output.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.harness import peak_anonymous_bytes, ratio, write_row
from pipeline.config import composed
from pipeline.kinds.keys import data_section
from pipeline.prepare.build import build_dataset
from pipeline.schema.base import validated
from pipeline.schema.prepare import PrepareConfig

NUM_ROWS = 1_000_000
PORTION = 50_000
WORDS = np.array([f"word {i}" for i in range(40)])


def write_table(path: Path, num: int) -> None:
    """The table, the same every time."""
    rng = np.random.default_rng(0)
    with pacsv.CSVWriter(path, _portion(rng, 1).schema) as writer:
        for at in range(0, num, PORTION):
            writer.write_table(_portion(rng, min(PORTION, num - at)))


def _portion(rng: np.random.Generator, num: int) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for i in range(30):
        values = np.round(rng.normal(0, 100, num), 4)
        columns[f"measured{i}"] = pa.array(values, mask=rng.random(num) < 0.05 if i < 3 else None)
    columns |= {f"count{i}": pa.array(rng.integers(0, 10 ** (1 + i % 4), num)) for i in range(10)}
    columns |= {f"word{i}": pa.array(WORDS[rng.integers(0, 4 * i + 3, num)]) for i in range(9)}
    columns["day"] = pa.array(np.datetime64("2020-01-01") + rng.integers(0, 1000, num)).cast(pa.string())
    columns["label"] = pa.array(np.where(rng.random(num) < 0.5, "yes", "no"))
    return pa.table(columns)


def prepare(table: Path, out: Path) -> None:
    """All of `prepare`, into an empty folder."""
    values = composed(overrides=["data=table"])
    values["data"]["path"] = str(table)
    build_dataset(data_section(values), validated(PrepareConfig, values["prepare"], "prepare"), out, "benchmark")


def main() -> None:
    """Measure once and write the row: it takes a minute and 600 MB."""
    num = int(sys.argv[1]) if len(sys.argv) > 1 else NUM_ROWS
    scratch = Path(tempfile.mkdtemp(prefix="prepare-table-"))
    try:
        write_table(scratch / "table.csv", num)
        peer, ours, cpu, peak = [], [], [], 0
        for name in ("a", "b"):
            started = time.perf_counter()
            pd.read_csv(scratch / "table.csv")
            peer.append(time.perf_counter() - started)
            (scratch / name).mkdir()
            started, used = time.perf_counter(), _child_cpu_s()
            peak = max(peak, peak_anonymous_bytes(prepare, scratch / "table.csv", scratch / name))
            ours.append(time.perf_counter() - started)
            cpu.append(_child_cpu_s() - used)
            shutil.rmtree(scratch / name)
        seconds = {"seconds": min(ours), "rows_per_s": num / min(ours), "cpu_s": min(cpu)}
        seconds |= {"peak_mb_beyond_output": round(peak / 2**20, 1)}
        aim = {"rows_per_s": 100_000, "peak_mb": 1024}
        write_row("prepare_table", {"rows": num, "columns": 50, **seconds}, {"pandas.read_csv": ratio(ours, peer)}, aim=aim)
    finally:
        shutil.rmtree(scratch)


def _child_cpu_s() -> float:
    """Of the processes that have ended: what the work takes when others share the cores."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
