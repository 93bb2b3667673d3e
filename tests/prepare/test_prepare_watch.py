from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import DataError
from pipeline.prepare.watch import Watch


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(b"x")
    (tmp_path / "photos" / "dog" / "nowhere.png").symlink_to("late.png")
    return tmp_path / "photos"


def test_what_stays_as_it_is_is_fine(photos: Path) -> None:
    watch = Watch([photos, photos / "cat" / "1.png"])
    watch.check("prepare")


@pytest.mark.parametrize("change", ["add", "remove", "grow", "rewrite", "rename", "target", "link"])
def test_each_change_is_named(photos: Path, change: str) -> None:
    (photos / "cat" / "link.png").symlink_to(photos.parent / "target.png")
    (photos.parent / "target.png").write_bytes(b"x")
    os.utime(photos / "cat" / "2.png", ns=(0, 0))
    watch = Watch([photos])
    name = {"add": "cat/3.png", "remove": "cat/2.png", "grow": "cat/2.png", "rewrite": "cat/2.png", "rename": "cat/0.png"}
    match change:
        case "add":
            (photos / "cat/3.png").touch()
        case "remove":
            (photos / "cat/2.png").unlink()
        case "grow":
            (photos / "cat/2.png").write_bytes(b"xy")
        case "rewrite":
            (photos / "cat/2.png").write_bytes(b"y")
        case "rename":
            (photos / "cat/2.png").rename(photos / "cat/0.png")
        case "target":
            (photos.parent / "target.png").write_bytes(b"xy")
        case "link":
            (photos / "dog/late.png").write_bytes(b"x")
    expected = name.get(change, "cat/link.png" if change == "target" else "dog/late.png")
    more = " and 1 more" if change in ("rename", "link") else ""
    with pytest.raises(DataError, match=f"photos/{expected}{more}: changed while prepare was reading"):
        watch.check("prepare")
