from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from data_samples import class_folders, data_config, prepare_config
from run_helpers import configs, run

from pipeline import cli
from pipeline.data.dataset import open_dataset
from pipeline.prepare.build import build_dataset
from pipeline.runs.record import publish
from pipeline.train.program import program_of


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the photos and a network trained on them."""
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        photos = class_folders(folder / "photos", 20)
        (folder / "data").mkdir()
        keys = data_config("folder", path=str(photos))
        build_dataset(keys, prepare_config(val_fraction=0.2, test_fraction=0.2), folder / "data", "code", 1)
        data, network = open_dataset(folder / "data"), {"model__widths": [8], "train__batch_size": 20}
        fitted, config = run(data, train__epochs=2, **network)
        publish(fitted, folder / "train", config, data.manifest, program_of(*configs(**network), data.manifest)[0])
    return folder


def call(*words: str | Path) -> int:
    return cli.main(["predict", *map(str, words)])


def test_nothing_is_imported_that_an_answer_does_not_need(model: Path) -> None:
    heavy = {"pytorch_lightning", "torchmetrics", "transformers", "kornia", "ray", "wandb", "pandas", "sklearn", "scipy"}
    image = next((model / "photos" / "dog").glob("*.png"))
    code = f"import sys; from pipeline import cli; cli.main(sys.argv[1:]); sys.exit(str(sorted({heavy} & set(sys.modules))))"
    command = [sys.executable, "-c", code, "predict", str(model / "train"), str(image)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.stderr.splitlines()[-1] == "[]"
    assert str(image) in done.stdout


@pytest.mark.usefixtures("project")
def test_answers_go_to_the_terminal_and_what_fails_is_named(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model / "photos" / "dog" / "bad.png").write_bytes(b"none")
    try:
        assert call(model / "train", model / "photos" / "dog", model / "none.png") == 3
    finally:
        (model / "photos" / "dog" / "bad.png").unlink()
    said = capsys.readouterr()
    head, *rows = csv.reader(io.StringIO(said.out))
    assert head == ["input", "prediction", "class_1", "probability_1", "class_2", "probability_2"]
    assert len(rows) == 20
    assert {row[0] for row in rows} == {f"{model}/photos/dog/{i}.png" for i in range(20)}
    for _, prediction, first, p, second, q in rows:
        assert {first, second} == {"cat", "dog"}
        assert prediction == first
        assert float(p) + float(q) == pytest.approx(1.0)
        assert float(p) >= float(q)
    assert said.err.splitlines()[-3:] == [
        f"regatta: {model}/photos/dog/bad.png: not an image of a format that can be read",
        f"regatta: {model}/none.png: no such file or folder",
        "regatta: no answer for 2 of 22",
    ]


@pytest.mark.usefixtures("project")
def test_files_of_another_kind_in_a_folder_are_named(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(model / "photos" / "dog", photos / "dog")
    (photos / "notes.txt").write_text("of a walk")
    assert call(model / "train", photos) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 21
    assert said.err.splitlines()[-1] == f"regatta: 1 file of another kind passed over: {photos}/notes.txt"
    for name in ("a.md", "b.csv", "c.json"):
        (photos / "dog" / name).write_text("none")
    assert call(model / "train", photos) == 0
    first = f"{photos}/notes.txt, {photos}/dog/a.md, {photos}/dog/b.csv and 1 more"
    assert capsys.readouterr().err.splitlines()[-1] == f"regatta: 4 files of another kind passed over: {first}"


@pytest.mark.usefixtures("project")
def test_where_nothing_is_answered_nothing_is_written(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even the names of columns; a file that was there stays."""
    bad = [tmp_path / f"{i}.png" for i in range(2)]
    for path in bad:
        path.write_bytes(b"none")
    for suffix in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"p.{suffix}"
        assert call(model / "train", *bad, "--out", out) == 3
        assert not list(tmp_path.glob("p.*"))
        assert capsys.readouterr().err.endswith(f"regatta: no answer for any of 2; {out} is not written\n")
    (tmp_path / "p.csv").write_text("before")
    assert call(model / "train", *bad, "--out", tmp_path / "p.csv") == 3
    assert (tmp_path / "p.csv").read_text() == "before"
    capsys.readouterr()
    assert call(model / "train", *bad) == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        *(f"regatta: {path}: not an image of a format that can be read" for path in bad),
        "regatta: no answer for any of 2",
    ]


@pytest.mark.usefixtures("project")
def test_csv_json_lines_and_parquet_say_the_same(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in ("csv", "jsonl", "parquet"):
        assert call(model / "train", model / "photos", "--top", "1", "--out", tmp_path / f"p.{suffix}") == 0
        assert capsys.readouterr().out == f"40 answers are in {tmp_path}/p.{suffix}\n"
    table = pq.read_table(tmp_path / "p.parquet").to_pylist()
    assert [*table[0]] == ["input", "prediction", "class_1", "probability_1"]
    assert [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()] == table
    with (tmp_path / "p.csv").open() as file:
        rows = [row | {"probability_1": pytest.approx(float(row["probability_1"]), rel=1e-6)} for row in csv.DictReader(file)]
    assert table == rows
    assert sorted(path.name for path in tmp_path.glob("p.*")) == ["p.csv", "p.jsonl", "p.parquet"]


@pytest.mark.usefixtures("project")
def test_stdin_is_one_input(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    image = model / "photos" / "cat" / "3.png"
    stdin = io.TextIOWrapper(io.BytesIO(image.read_bytes()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert call(model / "train", "-", image) == 0
    _, piped, named = csv.reader(io.StringIO(capsys.readouterr().out))
    assert (piped[0], named[0]) == ("stdin", str(image))
    assert piped[1:] == named[1:]


@pytest.mark.usefixtures("project")
def test_the_two_files_of_a_model_are_all_it_needs(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bare").mkdir()
    for name in ("model.json", "best.safetensors"):
        shutil.copyfile(model / "train" / name, tmp_path / "bare" / name)
    image = model / "photos" / "cat" / "3.png"
    assert call(tmp_path / "bare", image) == 0
    bare = capsys.readouterr().out
    assert call(model / "train", image) == 0
    assert bare == capsys.readouterr().out


@pytest.mark.usefixtures("project")
def test_one_of_several_networks_says_that_it_answers_alone(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = json.loads((model / "train" / "model.json").read_text())["run"]
    together = Path("artifacts/train/model.json")
    together.parent.mkdir(parents=True)
    for members, said in (([own, "other"], True), (["none", "other"], False)):
        together.write_text(json.dumps({"members": [{"id": run} for run in members]}))
        assert call(model / "train", model / "photos" / "cat" / "3.png") == 0
        alone = "answers of one network alone; artifacts/train answers with the mean of 2, of which it is one"
        assert (alone in capsys.readouterr().err) == said


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nothing", "photos"], 2, "/nothing: no such folder; name the folder of a trained network, such as artifacts/train"),
        (["train/model.json", "photos"], 2, "/train/model.json: a file; name the folder of a trained network"),
        (["photos", "photos"], 5, "no model.json in it; name the folder of a trained network, such as artifacts/train"),
        (["train", "photos", "--out", "p.xlsx"], 2, "the suffix says how answers are written: .csv, .jsonl, .parquet"),
        (["train", "photos", "--out", "nowhere/p.csv"], 2, "/nowhere; make it (`mkdir -p`), then repeat"),
        (["train", "photos", "--top", "0"], 2, "--top 0: at least one class is named"),
        (["train", "photos", "--calibrated"], 2, "no temperature is known"),
        (["train", "empty"], 3, "no file in it that may be a sample"),
    ],
)
def test_mistakes_are_told(words: list[str], code: int, said: str, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model / "empty").mkdir(exist_ok=True)
    paths = [word if word.startswith("--") or word == "0" else model / word for word in words]
    assert call(*paths) == code
    assert said in capsys.readouterr().err
    assert not list(model.glob("p.xlsx*"))
