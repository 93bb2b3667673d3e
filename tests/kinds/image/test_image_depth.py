from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_samples import encoded
from PIL import Image

from pipeline.data.dataset import Dataset
from pipeline.errors import DataError
from pipeline.kinds.image.decoding import ImageRule, inspect
from pipeline.kinds.image.depth import COLOUR, EIGHT, FLOAT, WHOLE, Range, common_range

Build = Callable[..., Dataset]


def common(*depths: tuple[int, int, int], bits: int | None = None) -> Range | None:
    return common_range(np.array(depths), bits, str)


def test_a_range_maps_its_ends_and_rounds_between() -> None:
    values = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(Range(0, 65535).eight_bits(values), (values.astype(int) + 128) // 257)
    assert np.array_equal(Range(0, 255).eight_bits(values[:256]), np.arange(256))
    assert Range(0, 1023).eight_bits(np.array([0, 2, 3, 512, 1016, 1023])).tolist() == [0, 0, 1, 128, 253, 255]
    assert Range(0, 1).eight_bits(np.arange(256) / np.float32(255)).tolist() == list(range(256))


def test_the_fewest_bits_that_hold_the_largest_value_of_all() -> None:
    assert common((EIGHT, 0, 0)) is None
    assert common((EIGHT, 0, 0), (WHOLE, 3, 1016), (WHOLE, 0, 5)) == Range(0, 1023)
    assert common((WHOLE, 0, 1023)) == common((WHOLE, 0, 512)) == Range(0, 1023)
    assert common((WHOLE, 0, 1024)) == Range(0, 2047)
    assert common((WHOLE, 0, 9)) == Range(0, 255)
    assert common((WHOLE, 0, 65535)) == Range(0, 65535)
    assert common((WHOLE, -1024, 3071)) == Range(-1024, 3071)
    assert common((FLOAT, 0, 1)) == common((FLOAT, 0, 0)) == Range(0, 1)
    assert common((FLOAT, 0, 250)) == Range(0, 255)
    assert common((WHOLE, 0, 900), bits=12) == Range(0, 4095)


def test_whole_numbers_and_floats_have_no_common_range() -> None:
    with pytest.raises(DataError, match=r"whole numbers of more than 8 bits \(such as 0\) and others floats \(1\)"):
        common((WHOLE, 0, 900), (FLOAT, 0, 1))


def colour_of_16_bits(value: int) -> bytes:
    """A PNG of 2 x 2 pixels (W3C PNG, 11.2.2: colour type 2)."""
    rows = b"".join(b"\0" + np.full((2, 3), value, ">u2").tobytes() for _ in range(2))
    bodies = (b"IHDR" + struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0), b"IDAT" + zlib.compress(rows), b"IEND")
    chunks = [struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) for body in bodies]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_dark_colour_of_16_bits_is_refused_since_its_lower_bits_are_lost() -> None:
    found = inspect(colour_of_16_bits(1016), ImageRule(100, None, "pad"))
    assert found[3:6] == (COLOUR, 0, 1023)
    with pytest.raises(DataError, match=r"2 colour images of 16 bits \(such as 1\) hold values below 1024 only"):
        common((EIGHT, 0, 0), (COLOUR, 0, 1023), (COLOUR, 0, 511))
    assert common((COLOUR, 0, 1023), (COLOUR, 0, 65535), (WHOLE, 0, 900)) == Range(0, 1023)
    assert common((COLOUR, 0, 65535)) is None


def tens(root: Path, num: int = 20) -> Path:
    """Folders of 16-bit PNG files whose values go to 1016: 8 x the values of 8-bit ones."""
    for c, name in enumerate("ab"):
        (root / name).mkdir(parents=True)
        for i in range(num):
            values = np.random.default_rng(100 * c + i).integers(0, 128, (6, 6), dtype=np.uint16)
            values[0, 0] = 127 if (c, i) == (1, 3) else 0
            (root / name / f"{i}.png").write_bytes(encoded(Image.fromarray(values * 8)))
    return root


def test_ten_bits_in_sixteen_are_scaled_by_the_datasets_range(tmp_path: Path, build: Build) -> None:
    dataset = build("folder", path=str(tens(tmp_path / "photos")))
    assert dataset.manifest.fit["value_range"] == [0, 1023]
    for split in ("train", "val", "test"):
        for pixels, name in zip(dataset.split(split).inputs, dataset.sources(split), strict=True):
            values = np.asarray(Image.open(tmp_path / "photos" / name)).astype(float)
            assert np.abs(pixels[0] - values * 255 / 1023).max() <= 0.5
    [note] = [note for note in dataset.manifest.notes if "more than 8 bits" in note]
    assert note.startswith("40 images of more than 8 bits: 0 to 1023 became 0 to 255, since the largest value is 1016 (in ")
    told = build("folder", path=str(tmp_path / "photos"), bits=12)
    assert told.manifest.fit["value_range"] == [0, 4095]
    assert told.manifest.digest != dataset.manifest.digest
    assert "0 to 4095 became 0 to 255, by data.bits = 12" in " ".join(told.manifest.notes)


def test_a_limit_does_not_change_the_range(tmp_path: Path, build: Build) -> None:
    tens(tmp_path)
    (tmp_path / "a" / "bright.png").write_bytes(encoded(Image.fromarray(np.full((6, 6), 4000, np.uint16))))
    assert build("folder", {"limit": 6}, path=str(tmp_path)).manifest.fit["value_range"] == [0, 4095]


@pytest.mark.parametrize(
    ("kind", "factor", "found"),
    [(pa.int64(), 1, [0, 255]), (pa.int32(), 4, [0, 1023]), (pa.uint16(), 257, [0, 65535]), (pa.float32(), 1 / 255, [0, 1])],
)
def test_arrays_of_parquet_go_by_the_same_rule(tmp_path: Path, build: Build, kind: Any, factor: float, found: Any) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4))
    images[:, 0, 0] = 255

    def dataset(name: str, values: Any, kind: Any) -> Dataset:
        column = pa.array(values.tolist(), pa.list_(pa.list_(kind)))
        pq.write_table(pa.table({"image": column, "label": [f"{i % 2}" for i in range(40)]}), tmp_path / name)
        return build("parquet", path=str(tmp_path / name))

    scaled, plain = dataset("t.parquet", images * factor, kind), dataset("u.parquet", images, pa.uint8())
    assert scaled.manifest.fit["value_range"] == found
    assert plain.manifest.fit["value_range"] is None
    pixels = {
        name: x for s in ("train", "val", "test") for name, x in zip(scaled.sources(s), scaled.split(s).inputs, strict=True)
    }
    for i in range(40):
        assert np.abs(pixels[f"t.parquet:{i}"][0].astype(int) - images[i]).max() <= 1
    if factor == 1:
        assert all(np.array_equal(scaled.split(s).ids, plain.split(s).ids) for s in ("train", "val", "test"))
