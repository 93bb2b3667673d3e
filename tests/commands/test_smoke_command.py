from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from pipeline.commands.smoke import smaller

Command = Callable[..., str]


def files(folder: Path) -> dict[Path, int]:
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and not {"__pycache__", ".git"} & set(path.parts)
    }


def test_every_stage_runs_aside(project: Path, regatta: Command) -> None:
    before = files(project)
    study = "{question: Does it?, baseline: {}, variants: {none: {model.dropout: 0.0}}, seeds: 9}"
    said = regatta("run", "--smoke", "model.widths=[8]", "study=none", f"+study.definitions.tiny={study}")
    assert [line.split()[1] for line in said.splitlines() if line.startswith("smoke: ") and " took " in line] == [
        "prepare", "augment", "train", "evaluate", "study", "report",
    ]  # fmt: skip
    smoke = Path("runs/smoke")
    assert (smoke / "artifacts/report/index.html").exists()
    assert (smoke / "artifacts/study/tiny/effects.json").exists()
    assert "epochs: 2\n" in (smoke / "params.yaml").read_text()
    after = files(project)
    assert {path for path, time in before.items() if after.get(path) != time} == set()
    assert {path.relative_to(project).parts[0] for path in set(after) - set(before)} <= {"runs"}
    assert "has no runs" in regatta("runs")


def test_data_elsewhere_is_read_without_making_its_link(project: Path, tmp_path: Path, regatta: Command) -> None:
    for i in range(30):
        place = tmp_path / "photos" / ("bright" if i % 2 else "dark") / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 6), 150 + i if i % 2 else i).save(place)
    said = regatta("run", "--smoke", "data=folder", f"data.path={tmp_path / 'photos'}", "prepare.limit=3", code=3)
    assert "prepare: reading folder (data/photos)" in said
    assert not Path("data/photos").exists()
    assert Path("runs/smoke/data/photos/dark").is_dir()


def test_a_stage_that_fails_ends_it_with_its_own_code(project: Path, regatta: Command) -> None:
    assert "none for val" in regatta("run", "--smoke", "prepare.limit=20", code=3)


def test_numbers_are_capped_and_the_rest_is_replaced() -> None:
    values = {"a": {"n": 5, "m": 1, "none": None, "flag": "x"}, "b": 1.5}
    assert smaller(values, {"a": {"n": 2, "m": 3, "none": 4, "flag": "y"}}) == {
        "a": {"n": 2, "m": 1, "none": 4, "flag": "y"},
        "b": 1.5,
    }
