"""A folder with prepared digits, and studies on them."""

from pathlib import Path

import yaml
from training_helpers import OFF, write_digits

from pipeline import artifacts
from pipeline.config import composed
from pipeline.data.dataset import open_dataset
from pipeline.data.views import write_view_folder
from pipeline.schema.base import validated
from pipeline.schema.study import StudyDefinition
from pipeline.study.processes import Processes
from pipeline.study.run import compute, cores, open_materials, plan

CONF = Path(__file__).resolve().parents[2] / "conf"


def make_project(folder: Path) -> None:
    write_digits(folder / "artifacts" / "prepare")
    (folder / "artifacts" / "augment").mkdir()
    write_view_folder(open_dataset(folder / "artifacts" / "prepare"), OFF, folder / "artifacts" / "augment", None)
    (folder / "values.yaml").write_text(yaml.safe_dump(composed(CONF, ["augment=none", "train.device=cpu"])))


def definition(variants, seeds=3, **more) -> StudyDefinition:
    quick = {"train.epochs": 3, "train.warmup_epochs": 1.0, "model.widths": [16]} | more.pop("baseline", {})
    own = {"question": "?", "baseline": quick, "variants": variants, "seeds": seeds}
    return validated(StudyDefinition, own | more, "study")


def planned_study(chosen: StudyDefinition, tables=None, accept_code=False):
    values = yaml.safe_load(Path("values.yaml").read_text())
    return plan("s", chosen, values, open_materials(values), tables, accept_code=accept_code)


def run_study(seeds: int, epochs: int = 3):
    chosen = definition({"none": {"model.dropout": 0.0}}, seeds, baseline={"train.epochs": epochs})
    return compute(planned_study(chosen), Processes(cores()))


def by_hash() -> dict:
    return {file.stem: artifacts.read_json(file) for file in (artifacts.runs_root() / "cells").glob("*.json")}
