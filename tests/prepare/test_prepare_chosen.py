"""What lies in a path where `data.source=auto`: a folder of classes, a table that names files, Parquet files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import data_config, encoded, picture, write_table

from pipeline.errors import ConfigError, DataError
from pipeline.prepare.sources import open_source
from pipeline.prepare.sources.chosen import chosen_source


def test_files_by_their_suffix(tmp_path: Path) -> None:
    for name, source in (("a.CSV", "csv"), ("a.tsv", "csv"), ("a.parquet", "parquet")):
        (tmp_path / name).touch()
        assert chosen_source(tmp_path / name, data_config("auto")) == source
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"a\.png: neither a folder nor a table \(\.csv, \.tsv, \.parquet\)"):
        chosen_source(tmp_path / "a.png", data_config("auto"))


def test_folders_by_what_is_in_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "classes" / name).mkdir(parents=True)
        (tmp_path / "classes" / name / "0.png").write_bytes(encoded(picture(0)))
    write_table(tmp_path / "classes" / "list.csv", [["image", "label"], ["a/0.png", "x"]])
    (tmp_path / "listed" / "all").mkdir(parents=True)
    for i in range(2):
        (tmp_path / "listed" / "all" / f"{i}.png").write_bytes(encoded(picture(i)))
    write_table(tmp_path / "listed" / "list.csv", [["image", "label"], ["all/0.png", "x"], ["all/1.png", "y"]])
    (tmp_path / "shards").mkdir()
    pq.write_table(pa.table({"image": [encoded(picture(0))], "label": ["x"]}), tmp_path / "shards" / "0.parquet")
    for folder, source in (("classes", "folder"), ("listed", "csv"), ("shards", "parquet")):
        assert chosen_source(tmp_path / folder, data_config("auto")) == source
    [portion] = open_source(data_config("auto", path=str(tmp_path / "listed"))).read()
    assert list(portion.labels) == [("x",), ("y",)]
    assert chosen_source(tmp_path / "listed", data_config("auto", image="file")) == "folder"  # a table of something else


def test_what_the_source_that_is_there_has_not(tmp_path: Path) -> None:
    config = data_config("auto", path=str(tmp_path), group="speaker")
    with pytest.raises(ConfigError, match=r"data\.path = .*: source = folder has no columns for group"):
        chosen_source(tmp_path, config)
