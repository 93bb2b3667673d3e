"""Run one study: a baseline and its variants over shared seeds, and what their differences say."""

from __future__ import annotations

import sys

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.artifacts import published_dir, stage_dir, write_json
from pipeline.data.dataset import open_dataset
from pipeline.errors import ConfigError
from pipeline.schema.model import ModelConfig
from pipeline.schema.study import StudyConfig
from pipeline.schema.train import TrainConfig
from pipeline.stages.entry import read_params, run_stage, section
from pipeline.study.plan import cells
from pipeline.study.run import compute, effects, sentences, table
from pipeline.train.fit import open_views


def run(name: str) -> None:
    """Read artifacts/prepare and artifacts/augment, write artifacts/study/NAME."""
    params = read_params()
    definitions = section(params, "study", StudyConfig).definitions
    if name not in definitions:
        raise ConfigError(f"study {name!r}: not defined; defined are {', '.join(definitions) or 'none'}")
    chosen = cells(definitions[name], section(params, "model", ModelConfig), section(params, "train", TrainConfig))
    data, views = open_dataset(stage_dir("prepare")), open_views(stage_dir("augment"))
    results = compute(chosen, data, views)
    found = effects(name, definitions[name].question, chosen, results)
    with published_dir(stage_dir("study") / name) as place:
        pq.write_table(pa.Table.from_pylist(table(chosen, results)), place / "cells.parquet")
        write_json(place / "effects.json", found)
    for line in sentences(found):
        print(f"study {name}: {line}", flush=True)


if __name__ == "__main__":
    run_stage(f"study-{sys.argv[1]}", lambda: run(sys.argv[1]))
