"""Images are counted and measured by names and headers alone."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from data_samples import class_folders, encoded
from PIL import Image

from pipeline.prepare.suited import suited_at


def table(path, cells):
    pq.write_table(pa.table({"img": cells, "label": [i % 2 for i in range(len(cells))]}), path)
    return path


def test_folders_and_tables_are_counted_and_measured(tmp_path):
    photos = class_folders(tmp_path / "photos", 20)
    (photos / "cat" / "notes.txt").write_text("no image")
    (photos / "cat" / "broken.png").write_bytes(b"none")
    assert suited_at(photos, "folder", "image") == ((), "41 images of about 8 pixels a side")
    wide = table(tmp_path / "wide.parquet", [encoded(Image.new("RGB", (50, 20)))] * 30)
    assert suited_at(wide, "parquet", "img")[1] == "30 images of about 50 pixels a side"
    many = table(tmp_path / "many.parquet", [encoded(Image.new("L", (9, 7)))] * 10_005)
    assert suited_at(many, "parquet", "img") == (
        ("preset=images", "augment.flip=0"),
        "10,000 grey images or more of about 9 pixels a side",
    )
    arrays = table(tmp_path / "arrays.parquet", [np.zeros((5, 8), np.uint8).tolist()] * 3)
    assert suited_at(arrays, "parquet", "img") == ((), "3 images of about 8 pixels a side")


def test_where_no_image_is_nothing_is_said(tmp_path):
    words = table(tmp_path / "words.parquet", ["a.png", "b.png"])
    (tmp_path / "empty").mkdir()
    for path, source, column in (
        (words, "parquet", "img"),
        (words, "parquet", "none"),
        (tmp_path / "empty", "folder", "image"),
    ):
        assert suited_at(path, source, column) == ((), "")
    assert suited_at(words, "text", "img") == ((), "")
