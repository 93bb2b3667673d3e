"""What the built-in studies expect, checked on data: every study of conf/study that says what it expects, with its own seeds.

Rows: findings_digits, on the embedded digits; findings_fashion, on 6,000 of Fashion-MNIST's images. Both with the rest of the
configuration as it comes. What the runs contradict is shown in RESULTS.md; the expectation stays as it was. Runs that two
studies share are computed once, so the seconds of a study are those of its own runs.

    python -m benchmarks.findings digits
    python -m benchmarks.findings fashion FOLDER     # of Fashion-MNIST's IDX files
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.harness import write_row
from benchmarks.study import CONF, project
from pipeline.artifacts import stage_dir
from pipeline.data.dataset import open_dataset
from pipeline.schema.base import validated
from pipeline.schema.study import StudyDefinition
from pipeline.study.effects import effects
from pipeline.study.plan import variants
from pipeline.study.processes import Processes
from pipeline.study.run import compute, cores, open_materials, plan

DIGITS = ["augment=light", "train.threads=1"]
"""Overrides: `project` takes the augmentation out, and the last override of a group wins. One thread per run: its last bits
depend on the number, which by default is that of the machine's cores where batches are large."""
FASHION = [*DIGITS, "data=idx", "prepare.limit=6000"]


def expecting() -> dict[str, StudyDefinition]:
    """The studies of conf/study that say what they expect, by name."""
    found: dict[str, StudyDefinition] = {}
    for file in sorted((CONF / "study").glob("*.yaml")):
        for name, values in yaml.safe_load(file.read_text())["definitions"].items():
            found[name] = validated(StudyDefinition, values, f"study.definitions.{name}")
    return {name: definition for name, definition in found.items() if definition.expected}


def finding(name: str, definition: StudyDefinition, values: dict[str, Any]) -> dict[str, Any]:
    """What the runs of a study say, in the folder of `project`."""
    started = time.perf_counter()
    outcomes = compute(plan(name, definition, values, open_materials(values)), Processes(cores()))
    seconds = time.perf_counter() - started
    found = effects(name, definition, variants(definition), outcomes)
    keys = ("verdict", "difference", "expected", "as_expected")
    return {
        **{key: found[key] for key in ("question", "finding", "agreement", "sentences")},
        "variants": {variant["name"]: {key: variant[key] for key in keys} for variant in found["variants"]},
        "num_runs": len(outcomes),
        "seconds": round(seconds, 1),
    }


def measure(row: str, overrides: list[str]) -> None:
    """All studies on one dataset; writes the row."""
    with project(overrides) as values:
        counts = open_dataset(stage_dir("prepare")).manifest.counts
        found = {name: finding(name, definition, values) for name, definition in expecting().items()}
    write_row(row, found, {}, num_samples=counts)


def main() -> None:
    """Measure one row, computing every run."""
    os.environ.pop("REGATTA_RUNS", None)
    if sys.argv[1] == "digits":
        measure("findings_digits", DIGITS)
    else:
        measure("findings_fashion", [*FASHION, f"data.path={Path(sys.argv[2]).resolve()}"])


if __name__ == "__main__":
    main()
