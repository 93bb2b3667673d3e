from __future__ import annotations

from pathlib import Path

import numpy as np
from table_samples import table_config, write_lines

from pipeline.kinds.reading import reading_of
from pipeline.prepare.scan import scan
from pipeline.prepare.sources import open_source


def test_names_of_many_are_those_of_each(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "t.csv", "a,label", ["1,x", "2,y", "3", "4,x"])
    samples = scan(open_source(table_config(path=str(path))), reading_of("table"), table_config(path=str(path)), 1)
    names = samples.names(np.array([3, 0, 2])).to_pylist()
    assert names == [samples.name(i) for i in (3, 0, 2)] == ["t.csv:4", "t.csv:2", "t.csv:5"]
