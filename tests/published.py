"""Small networks of every kind, trained and published as a run publishes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import class_folders, data_config, encoded, picture, prepare_config
from run_helpers import configs, run
from series_samples import OFF, OWN, built, write_series
from sound_samples import audio_config, audio_policy, write_classes
from table_samples import HEADER, people, policy, table_config, write_lines
from text_samples import policy as text_policy
from text_samples import reviews, text_config, write_jsonl

from pipeline import extensions
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.views import Views
from pipeline.prepare.build import build_dataset
from pipeline.runs.record import publish
from pipeline.train.fit import fit
from pipeline.train.program import program_of

DENSE = {"model__widths": [8]}
POOLED = {"model__arch": "module", "model__name": "pooled", "model__widths": [], "model__dropout": 0.0}


class Case(NamedTuple):
    """Data as somebody has them, the dataset, and the published network."""

    source: Path
    data: Dataset
    model: Path


def published(kind: str, folder: Path, patch: pytest.MonkeyPatch) -> Case:
    """Data, the dataset and a trained network of a kind, one of SOURCES, in a folder that becomes the current one."""
    patch.chdir(folder)
    source, data, views, network = SOURCES[kind](folder, patch)
    train = {"train__epochs": 2, "train__batch_size": 20, "train__save_every_s": 0.0, "train__threads": 1, **network}
    model, config = configs(**train)
    trained = _fitted(model, config, data, views)
    publish(trained, folder / "train", model, data.manifest, program_of(model, config, data.manifest)[0])
    return Case(source, data, folder / "train")


def _fitted(model: Any, config: Any, data: Dataset, views: Views | None) -> Any:
    if views is None:
        return run(data, train__epochs=2, train__batch_size=20, model__widths=[8])[0]
    return fit(model, config, data, views, lambda _: _NoTracker())


class _NoTracker:
    def log(self, epoch: int, rows: Any) -> None: ...

    def finish(self, summary: Any, exit_code: int) -> None: ...


Made = tuple[Path, Dataset, Views | None, dict[str, Any]]


def _dataset(folder: Path, data: Any) -> Dataset:
    folder.mkdir()
    build_dataset(data, prepare_config(val_fraction=0.2, test_fraction=0.2), folder, "code", 1)
    return open_dataset(folder)


def _photos(folder: Path, _: Any) -> Made:
    source = class_folders(folder / "photos", 40)
    return source, _dataset(folder / "data", data_config("folder", path=str(source), size=6, resize="crop")), None, DENSE


def _digits(folder: Path, _: Any) -> Made:
    (folder / "digits").mkdir()
    return folder / "digits", _dataset(folder / "data", data_config("digits")), None, DENSE


def _several(folder: Path, _: Any) -> Made:
    rows = [{"image": encoded(picture(i)), "label": [["x"], ["y"], ["x", "y"]][i % 3]} for i in range(90)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "several.parquet")
    source = folder / "several.parquet"
    return source, _dataset(folder / "data", data_config("parquet", path=str(source))), None, DENSE


def _named(folder: Path, _: Any) -> Made:
    class_folders(folder / "named", 40)
    lines = [f"{name}/{i}.png,{name}" for name in ("cat", "dog") for i in range(40)]
    source = write_lines(folder / "named" / "list.csv", "image,label", lines)
    return source, _dataset(folder / "data", data_config("csv", path=str(source))), None, DENSE


def _rows(folder: Path, _: Any) -> Made:
    source = write_lines(folder / "t.csv", HEADER, people(120))
    views = Views([], policy(), "none")
    return source, _dataset(folder / "data", table_config(path=str(source), ignore=["name"])), views, DENSE


def _number(folder: Path, _: Any) -> Made:
    rows = [f"{i % 17}.5,{i % 5},{('Bern', 'Basel')[i % 2]},{i * 2.5}" for i in range(120)]
    source = write_lines(folder / "n.csv", "area,rooms,town,label", rows)
    return source, _dataset(folder / "data", table_config(path=str(source))), Views([], policy(), "none"), DENSE


def _series(form: str) -> Callable[..., Made]:
    def call(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
        (folder / "own").mkdir()
        (folder / "own" / extensions.FILE).write_bytes(OWN.read_bytes())
        monkeypatch.setattr(extensions, "_unpacked", [folder / "own"])
        source = write_series(folder / "series.parquet", 120)
        data = built(source, folder / "data", form)
        return source, data, OFF, POOLED if data.manifest.lengths else DENSE

    return call


def _texts(folder: Path, _: Any, **keys_of_data: Any) -> Made:
    (folder / "conf").symlink_to(Path(__file__).resolve().parents[1] / "conf")  # which its keys are composed of
    source = write_jsonl(folder / "texts.jsonl", reviews(120))
    data = _dataset(folder / "data", text_config(path=str(source), **keys_of_data))
    keys = {"width": 4, "hidden": 4, "dropout": 0.0, "token_dropout": 0.0}
    return source, data, Views([], text_policy(), "none"), {**POOLED, "model__name": "bag", "model__keys": keys}


def _hashed_texts(folder: Path, _: Any) -> Made:
    source, data, views, network = _texts(folder, None, vocabulary="hashed")
    assert data.manifest.fit["numbers"] == ""  # no n-gram is kept
    return source, data, views, network


def _byte_pairs(folder: Path, _: Any) -> Made:
    source, data, views, network = _texts(folder, None, tokens="bytepairs", pairs=280, length=8)
    return source, data, views, {**network, "model__name": "textcnn", "model__keys": {"width": 4, "channels": 2}}


def _words(folder: Path, _: Any) -> Made:
    source, data, views, network = _texts(folder, None, tokens="words")
    return source, data, views, {**network, "model__name": "transformer", "model__keys": {"width": 8, "heads": 2, "layers": 1}}


def _sounds(folder: Path, _: Any) -> Made:
    source = write_classes(folder / "sounds", 20)
    data = _dataset(folder / "data", audio_config(path=str(source)))
    return source, data, Views([], audio_policy(), "none"), DENSE


SOURCES: dict[str, Callable[..., Made]] = {
    "texts": _texts,
    "texts, hashed": _hashed_texts,
    "texts as byte pairs": _byte_pairs,
    "texts as words": _words,
    "sounds": _sounds,
    "digits": _digits,
    "photos": _photos,
    "several labels in Parquet": _several,
    "photos named by a table": _named,
    "rows": _rows,
    "a number": _number,
    "own kind, own module": _series("ragged windows"),
    "own kind, ragged": _series("ragged"),
    "own kind, windows": _series("windows"),
    "own kind, plain": _series("plain"),
}
