from pathlib import Path

import pytest
import report_builder as rb

from pipeline.errors import ConfigError, StorageError
from pipeline.stages import report


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rb.build(tmp_path, epochs=4)


def contents():
    return {path.name: path.read_bytes() for path in Path("artifacts/report").rglob("*") if path.is_file()}


def test_it_writes_the_page_and_its_figures_or_leaves_the_old_ones():
    report.run()
    first = contents()
    assert {"index.html", "curves.png", "confusion.png", "gradients.png", "calibration.png"} <= set(first)
    assert first["index.html"].startswith(b"<!doctype html>")
    path = Path("artifacts/train/metrics.jsonl")
    path.write_text(path.read_text().replace('"epoch": 4, "split": "val", "loss": ', '"epoch": 4, "split": "val", "loss": 1'))
    report.run()
    second = contents()
    assert second["curves.png"] != first["curves.png"]
    assert second["confusion.png"] == first["confusion.png"]
    Path("artifacts/evaluate/metrics.json").write_text("{")
    with pytest.raises(StorageError, match=r"metrics\.json"):
        report.run()
    assert contents() == second


def test_an_unknown_key_is_refused():
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("num_mistakes: 24", "num_mistake: 24"))
    with pytest.raises(ConfigError, match=r"report\.num_mistakes"):
        report.run()
