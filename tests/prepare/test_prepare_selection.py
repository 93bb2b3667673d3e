"""Which equal contents are copies, and which are equal by chance."""

from __future__ import annotations

from pathlib import Path

from data_samples import prepare_config, table_config, write_table

from pipeline.data.dataset import Manifest
from pipeline.prepare.build import build_dataset


def prepared(folder: Path, rows: list[list[str]], **data: object) -> Manifest:
    path = write_table(folder / "t.csv", [["x", "y", "label", "part"], *rows])
    (folder / "out").mkdir(exist_ok=True)
    return build_dataset(table_config(path, **{"ignore": ["part"]} | data), prepare_config(), folder / "out", "code", 1)


def said(manifest: Manifest, words: str) -> bool:
    return any(words in note for note in manifest.notes)


def few_cells(i: int) -> list[str]:
    """One of 12 rows; the label depends on more than they say."""
    return [str(i % 3), "abcd"[i % 4], "no" if i % 5 else "yes", "test" if i % 7 == 0 else "train"]


def test_rows_that_are_equal_by_chance_are_samples_of_their_own(tmp_path: Path) -> None:
    manifest = prepared(tmp_path, [few_cells(i) for i in range(600)])
    assert sum(manifest.counts.values()) == 600
    assert manifest.counts["test"] in range(40, 80)
    assert said(manifest, "600 of 600 (100 %) samples have the content of another one, often with another label")
    assert manifest.num_rejected == 0
    assert not said(manifest, "exact copies")
    assert (tmp_path / "out" / "rejected.csv").read_text() == "source,row,reason\n", "they dispute nothing"


def test_given_splits_keep_them_all(tmp_path: Path) -> None:
    manifest = prepared(tmp_path, [few_cells(i) for i in range(600)], split="part", ignore=[])
    assert manifest.counts["test"] == 86
    assert sum(manifest.counts.values()) == 600


def test_rows_that_come_again_with_their_label_are_copies(tmp_path: Path) -> None:
    rows = [[str(i % 300), "abcd"[i % 4], "no" if i % 5 else "yes", "train"] for i in range(600)]
    manifest = prepared(tmp_path, rows)
    assert said(manifest, "300 samples are exact copies of others in their split")
    assert not said(manifest, "by chance")
    given = prepared(
        tmp_path, [[*row[:3], "test" if i >= 500 else "train"] for i, row in enumerate(rows)], split="part", ignore=[]
    )
    assert said(given, "100 samples were left out as exact copies of samples of a later split")
