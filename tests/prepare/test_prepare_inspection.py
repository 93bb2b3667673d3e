from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_samples import class_folders, data_config, encoded, picture, prepare_config, table_config, write_table

from pipeline.errors import DataError
from pipeline.prepare import inspection
from pipeline.prepare.inspection import Inspection, inspected


def told(found: Inspection) -> dict[str, list[str]]:
    return dict(found.topics)


def test_all_of_few_samples_are_looked_into(tmp_path: Path) -> None:
    class_folders(tmp_path, 40)
    found = inspected(data_config("folder", path=str(tmp_path)), prepare_config(), 1)
    assert found.refusal is None
    assert told(found)["samples"] == ["80 (all looked into, 16 of them decoded)"]
    assert told(found)["stored as"] == ["3 x 8 x 8 of uint8 a sample"]
    assert [(own.label, len(own.rows)) for own in found.examples] == [("cat", 8), ("dog", 8)]
    for own in found.examples:
        for name, row in zip(own.names, own.rows, strict=True):
            number = int(Path(name).stem) + (1000 if own.label == "dog" else 0)
            assert (row.transpose(1, 2, 0) == np.asarray(picture(number))).all()


def test_the_splits_are_those_of_prepare(tmp_path: Path, build) -> None:  # type: ignore[no-untyped-def]
    class_folders(tmp_path, 60)
    counts = build("folder", path=str(tmp_path)).manifest.counts
    found = inspected(data_config("folder", path=str(tmp_path)), prepare_config(), 1)
    assert told(found)["splits"] == [f"train {counts['train']}, val {counts['val']}, test {counts['test']} (cut by content)"]


def test_of_many_samples_every_nth_is_looked_into_and_all_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(tmp_path, 60)
    monkeypatch.setattr(inspection, "MOST_SAMPLES", 50)
    found = inspected(data_config("folder", path=str(tmp_path)), prepare_config(), 1)
    assert told(found)["samples"] == ["120 (40 looked into, one of 3, 16 of them decoded)"]
    assert told(found)["classes"] == ["2 classes (cat: 60, dog: 60)"]
    assert told(found)["splits"][0].endswith("(cut by content, of those looked into)")


def test_where_time_ends_the_rest_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(tmp_path, 100)
    monkeypatch.setattr(inspection, "MEETING_S", -1.0)
    found = inspected(data_config("folder", path=str(tmp_path)), prepare_config(), 1)
    assert told(found)["samples"] == ["the first 128, which are counted; there are more (all looked into, 16 of them decoded)"]


def test_a_refusal_does_not_hide_the_rest(tmp_path: Path) -> None:
    class_folders(tmp_path, 20)
    (tmp_path / "cat" / "large.png").write_bytes(encoded(picture(1, (16, 8))))
    found = inspected(data_config("folder", path=str(tmp_path)), prepare_config(), 1)
    assert found.refusal is not None
    assert found.refusal.startswith("data.size = null, but the images have 2 different sizes")
    assert "splits" in told(found)
    assert told(found)["contents"][0] == "width x height: 8 x 8: 40, 16 x 8: 1"
    assert found.examples == []


def test_damage_that_decoding_alone_finds_is_told(tmp_path: Path) -> None:
    class_folders(tmp_path, 6)
    whole = (tmp_path / "cat" / "1.png").read_bytes()
    (tmp_path / "cat" / "1.png").write_bytes(whole[: len(whole) // 2])
    found = inspected(data_config("folder", path=str(tmp_path)), prepare_config(max_bad_fraction=0.5), 1)
    assert len(found.examples[0].rows) + len(found.examples[1].rows) == 11
    assert "cat/1.png" in told(found)["not taken"][0]
    assert found.refusal is None
    strict = inspected(data_config("folder", path=str(tmp_path)), prepare_config(max_bad_fraction=0.05), 1)
    assert strict.refusal is not None
    assert strict.refusal.startswith("1 of 12 (8.33 %) samples that were decoded here can't be taken")


def test_given_splits_and_what_is_left_out(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", 20)
    class_folders(tmp_path / "test", 10, start=50)
    (tmp_path / "test" / "cat" / "copy.png").write_bytes((tmp_path / "train" / "cat" / "1.png").read_bytes())
    found = inspected(data_config("folder", path=str(tmp_path)), prepare_config(), 1)
    assert told(found)["splits"][0].endswith("test 21 (as given)")
    assert "exact copy of test/cat/copy.png in the test split: train/cat/1.png" in told(found)["left out"][0]


def test_a_source_that_can_not_be_opened_is_the_error_of_prepare(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", [["file", "kind"], ["a.png", "a"]])
    with pytest.raises(DataError, match=r"no column 'image', which data.image names, and no column 'label'"):
        inspected(data_config("csv", path=str(tmp_path / "t.csv")), prepare_config(), 1)


def test_numbers_have_no_classes(tmp_path: Path) -> None:
    rows = [["x", "label"], *([str(i * i % 97), f"{i / 7:.3f}"] for i in range(60))]
    found = inspected(table_config(write_table(tmp_path / "t.csv", rows)), prepare_config(), 1)
    assert told(found)["numbers"] == ["label: from 0 to 8.429, mean 4.2143"]
    assert "classes" not in told(found)
    assert [(own.label, len(own.rows)) for own in found.examples] == [("samples", 16)]
