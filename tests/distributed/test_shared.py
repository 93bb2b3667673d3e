"""Data on its way to workers elsewhere: all of a split's arrays, whatever its rows are like."""

import numpy as np
import pytest
from series_samples import OWN, built, write_series

from pipeline import extensions
from pipeline.data.dataset import Stored
from pipeline.distributed.shared import SharedData, in_memory


@pytest.mark.parametrize("form", ["ragged windows", "ragged", "windows", "plain"])
def test_every_array_is_shared(tmp_path, monkeypatch, form):
    (tmp_path / extensions.FILE).write_bytes(OWN.read_bytes())
    monkeypatch.setattr(extensions, "_unpacked", [tmp_path])
    data = built(write_series(tmp_path / "series.parquet", 60), tmp_path / "data", form)
    shared = SharedData.of(data, ("train", "val"))
    for name in ("train", "val"):
        own, other = data.split(name), shared.split(name)
        for part in ("inputs", "labels", "ids", "rows", "offsets"):
            one, same = getattr(own, part), getattr(other, part)
            assert (one is None) == (same is None), part
            assert one is None or (type(same) is np.ndarray and np.array_equal(one, same)), part


def test_stored_views_are_too():
    plain, ragged = Stored(np.arange(3)), Stored(np.arange(3), np.array([0, 1, 3]))
    assert in_memory(plain).offsets is None
    assert in_memory(ragged).offsets.tolist() == [0, 1, 3]
