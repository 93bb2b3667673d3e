"""What the built-in studies expect, checked on data: every study of conf/study that says what it expects, with its own seeds.

Rows: findings_digits, on the embedded digits; findings_fashion, on 6,000 of Fashion-MNIST's images. Both with the rest of the
configuration as it comes. What the runs contradict is shown in RESULTS.md; the expectation stays as it was. Runs that two
studies share are computed once, so the seconds of a study are those of its own runs. findings_sms and findings_spoken_digits:
the two studies of augmentation that ask without expecting, on short messages without repeats, with synonyms, and on 1,200
spoken digits for 8 epochs, a speaker being of one split alone.

    python -m benchmarks.findings digits
    python -m benchmarks.findings fashion FOLDER     # of Fashion-MNIST's IDX files
    python -m benchmarks.findings texts FOLDER       # of sms_spam.tsv and oewn_synonyms.jsonl.gz
    python -m benchmarks.findings sounds FOLDER      # that holds fsdd_wav.tar.gz, or its WAVs in recordings/
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.harness import write_row
from benchmarks.sounds import TABLE, recordings
from benchmarks.study import CONF, project
from benchmarks.texts import messages
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
TEXTS = ["data=text", "augment=text", "train.threads=1"]
SOUNDS = ["data=audio", "augment=audio", "data.group=speaker", "train.epochs=8", "train.limit=1200", "train.threads=1"]


def built_in() -> dict[str, StudyDefinition]:
    """The studies of conf/study, by name."""
    found: dict[str, StudyDefinition] = {}
    for file in sorted((CONF / "study").glob("*.yaml")):
        for name, values in yaml.safe_load(file.read_text())["definitions"].items():
            found[name] = validated(StudyDefinition, values, f"study.definitions.{name}")
    return found


def expecting() -> dict[str, StudyDefinition]:
    """Those that say what they expect."""
    return {name: definition for name, definition in built_in().items() if definition.expected}


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


def measure(row: str, overrides: list[str], studies: dict[str, StudyDefinition] | None = None) -> None:
    """Studies on one dataset, all that expect something unless given; writes the row."""
    with project(overrides) as values:
        counts = open_dataset(stage_dir("prepare")).manifest.counts
        found = {name: finding(name, definition, values) for name, definition in (studies or expecting()).items()}
    write_row(row, found, {}, num_samples=counts)


def texts(folder: Path) -> None:
    """Do synonyms, swaps and words left out help, with few messages and with all?"""
    own = [*TEXTS, f"data.synonyms={folder / 'oewn_synonyms.jsonl.gz'}"]
    with messages(folder) as path:
        name = "text-augmentation"
        measure("findings_sms", [*own, f"data.path={path}", "data.header=[label,text]"], {name: built_in()[name]})


def sounds(folder: Path) -> None:
    """Does augmentation help of speakers that training never heard?"""
    with recordings(folder) as place:
        name = "audio-augmentation"
        measure("findings_spoken_digits", [*SOUNDS, f"data.path={place / TABLE}"], {name: built_in()[name]})


def main() -> None:
    """Measure one row, computing every run."""
    os.environ.pop("REGATTA_RUNS", None)
    if sys.argv[1] == "digits":
        measure("findings_digits", DIGITS)
    elif sys.argv[1] == "fashion":
        measure("findings_fashion", [*FASHION, f"data.path={Path(sys.argv[2]).resolve()}"])
    else:
        {"texts": texts, "sounds": sounds}[sys.argv[1]](Path(sys.argv[2]).resolve())


if __name__ == "__main__":
    main()
