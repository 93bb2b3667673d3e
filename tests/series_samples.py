"""Series of numbers that rise or fall, prepared as a dataset of the kind in own_kinds.py."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from data_samples import DATA, prepare_config
from own_kinds import SeriesPolicy

from pipeline import extensions
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.views import Views, views_digest
from pipeline.kinds.image.keys import ImageData
from pipeline.kinds.inputs import Taken
from pipeline.kinds.keys import data_section
from pipeline.model.module.spec import ModuleSpec
from pipeline.prepare.build import build_dataset
from pipeline.schema.data import DataConfig

OWN = Path(__file__).with_name("own_kinds.py")
SHARED = [name for name in DATA if name in DataConfig.model_fields or name not in ImageData.model_fields]
FORMS = {
    "ragged windows": {"window": 8, "even": False},
    "ragged": {"window": None, "even": False},
    "windows": {"window": 8, "even": True},
    "plain": {"window": None, "even": True},
}
"""What rows are like, by keys of `data`."""


def numbers(i: int) -> list[float]:
    """Of 3 to 29: those of odd samples rise, those of even ones fall."""
    length = 3 + (11 * i) % 27
    drift = (1 if i % 2 else -1) * np.linspace(-0.5, 1.5, length)
    return [float(value) for value in drift + np.random.default_rng(i).normal(0, 0.7, length)]


def write_series(path: Path, num: int = 200) -> Path:
    """A table of them."""
    table = {"series": [numbers(i) for i in range(num)], "label": [("fall", "rise")[i % 2] for i in range(num)]}
    pq.write_table(pa.table(table), path)
    return path


def install(folder: Path) -> None:
    """`extensions.py` of this process has the kind."""
    folder.mkdir(exist_ok=True)
    shutil.copyfile(OWN, folder / extensions.FILE)
    extensions._unpacked.append(folder)


def section(path: Path, form: str, **changes: Any) -> Any:
    """The checked keys of `data`."""
    own = {"kind": "series", "source": "parquet", "path": str(path), "series": "series", **FORMS[form], **changes}
    return data_section({"data": {name: DATA[name] for name in SHARED} | own})


def built(table: Path, folder: Path, form: str, workers: int = 1, **changes: Any) -> Dataset:
    folder.mkdir(parents=True)
    build_dataset(section(table, form, **changes), prepare_config(val_fraction=0.2), folder, "code", workers)
    return open_dataset(folder)


def policy(**changes: Any) -> SeriesPolicy:
    return SeriesPolicy(**({"seed": 5, "views": 0, "strength": 1.0, "scale": 0.3, "cut": 0.4} | changes))


def drawn(**changes: Any) -> Views:
    own = policy(**changes)
    return Views([], own, views_digest(own, "cpu"))


OFF = Views([], SeriesPolicy(seed=0, views=0, strength=1.0), "none")


def spec_for(data: Dataset, name: str, num_outputs: int = 1, **keys: Any) -> ModuleSpec:
    """Of a module of own_kinds.py on this data."""
    manifest = data.manifest
    lengths = tuple(manifest.lengths) if manifest.lengths else None
    taken = Taken(tuple(manifest.shape), lengths)
    return ModuleSpec.of({"name": name, "keys": keys, "compile": False}, taken, num_outputs)
