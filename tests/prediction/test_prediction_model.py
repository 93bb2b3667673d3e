"""A published network answers files, folders, tables, arrays and rows as the evaluation answers the same samples."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from data_samples import encoded, picture
from published import SOURCES, Case, published
from table_samples import table_config, write_lines

from pipeline import artifacts
from pipeline.commands import predict as command
from pipeline.errors import ConfigError, DataError, StorageError
from pipeline.model.predictor import load_predictor
from pipeline.prediction.model import Model
from pipeline.prediction.split import predict

Make = Callable[[str], Case]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    return lambda kind: published(kind, tmp_path, monkeypatch)


@pytest.mark.parametrize("kind", [kind for kind in SOURCES if kind != "digits"])
def test_answers_are_those_of_the_evaluation(kind: str, make: Make) -> None:
    case = make(kind)
    test = case.data.split("test")
    known, _ = predict(load_predictor(case.model), test, 64)
    answers = Model.load(case.model).predict(case.source)
    found = answers.probabilities if answers.numbers is None else answers.numbers
    assert found is not None
    assert answers.problems == []
    place = {_short(name, case): i for i, name in enumerate(answers.names)}
    assert len(place) == len(answers)
    own = [place[_short(name, case)] for name in case.data.sources("test")]
    np.testing.assert_allclose(found[own], known, rtol=1e-5, atol=1e-6)
    if answers.numbers is not None:
        return
    said = [answers.predictions[i] for i in own]
    classes = case.data.manifest.classes
    joined = ["|".join(name for name, p in zip(classes, row, strict=True) if p > 0.5) for row in known]
    single = [classes[i] for i in known.argmax(1)]
    assert said == (joined if case.data.manifest.task == "multi" else single)


def _short(name: str, case: Case) -> str:
    """A sample by what both call it: the name in its folder, or the row."""
    if case.source.suffix == ".csv" and case.data.manifest.kind == "image":  # the rows of the list
        lines = case.source.read_text().splitlines()
        return lines[int(name.rpartition(":")[2]) - 1].partition(",")[0] if ":" in name else name
    return name.removeprefix(f"{case.source}/").rpartition(":")[2]


def test_a_folder_of_new_files_is_answered_and_what_can_not_be_read_is_told(make: Make, tmp_path: Path) -> None:
    case = make("photos")
    new = tmp_path / "new"
    (new / "deep").mkdir(parents=True)
    content = (case.source / "cat" / "0.png").read_bytes()
    for place in ("a.png", "deep/b.png"):
        (new / place).write_bytes(content)
    (new / "bad.png").write_bytes(b"none")
    (new / "cut.png").write_bytes(encoded(picture(5))[:60])
    (new / "README.txt").write_text("no sample")
    (new / "deep16.png").write_bytes(encoded(picture(3).convert("I;16")))
    model = Model.load(case.model)
    answers = model.predict([new, tmp_path / "none", case.source / "cat" / "0.png"])
    assert answers.names == [f"{new}/a.png", f"{new}/deep/b.png", str(case.source / "cat" / "0.png")]
    assert answers.probabilities is not None
    np.testing.assert_allclose(answers.probabilities, answers.probabilities[:1].repeat(3, 0), rtol=1e-5)
    told = dict(answers.problems)
    assert set(told) == {f"{new}/bad.png", f"{new}/cut.png", f"{new}/deep16.png", str(tmp_path / "none")}
    assert told[f"{new}/bad.png"] == "not an image of a format that can be read"
    assert told[f"{new}/deep16.png"] == "has more than 8 bits a value, as no image had that the dataset was made of"
    assert told[str(tmp_path / "none")] == "no such file or folder"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", "a,b\n1,2\n", "a table without the column 'image', in which samples of the kind image came in training"),
        ("t.csv", "", "empty"),
        ("t.parquet", "PAR", "not a whole Parquet file"),
        ("sound.wav", "RIFF", "not an image of a format that can be read"),
    ],
)
def test_other_kinds_are_refused_to_a_network_of_images(name: str, content: str, said: str, make: Make, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    answers = Model.load(make("photos").model).predict(tmp_path / name)
    assert [len(answers), len(answers.problems)] == [0, 1]
    assert said in answers.problems[0][1]


def test_rows_need_no_label_and_all_else_that_was_learned_from(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = make("rows")
    model = Model.load(case.model)
    known = model.predict(case.source)
    frame = pd.read_csv(case.source, dtype=str, keep_default_na=False)
    bare = tmp_path / "bare.csv"
    frame[["joined", "city", "age"]].to_csv(bare, index=False)
    unlabelled, given = model.predict(bare), model.predict(frame[["age", "city", "joined"]])
    assert unlabelled.predictions == known.predictions == given.predictions
    np.testing.assert_array_equal(unlabelled.probabilities, known.probabilities)
    strange = write_lines(tmp_path / "strange.csv", "age,city,joined", ["30,Oslo,2020-01-01", "30,Atlantis,2020-01-01"])
    assert (model.predict(strange).unseen, known.unseen) == (1, 0)
    capsys.readouterr()
    words = {"model": str(case.model), "inputs": [str(strange)], "out": None, "top": 1, "calibrated": False}
    assert command.predict(argparse.Namespace(**words, stood=tmp_path)) == 0
    assert "regatta: 1 of 2 (50 %) have a category that training never saw, taken as another one" in capsys.readouterr().err
    bad = write_lines(tmp_path / "bad.csv", "age,city,joined", ["30,Oslo,2020-01-01", "old,Oslo,2020-01-01", "30,Oslo"])
    answers = model.predict(bad)
    assert answers.names == [f"{bad}:2"]
    assert [name for name, _ in answers.problems] == [f"{bad}:3", f"{bad}:4"]
    assert answers.problems[0][1].startswith("column 'age' says 'old', no finite number")
    lacking = write_lines(tmp_path / "lacking.csv", "age,city", ["30,Oslo"])
    [(_, said)] = model.predict(lacking).problems
    assert "no column 'joined'; there are 'age', 'city'" in said
    (tmp_path / "a.png").write_bytes(encoded(picture(1)))
    [(_, said)] = model.predict(tmp_path / "a.png").problems
    assert said.startswith("no table (.csv, ")


def test_a_header_that_was_told_may_be_without_the_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.prepare.sources.rows import open_rows

    keys = {"header": ["age", "city", "label"]}
    for lines, names in ((["30,Oslo", "31,Rome"], ["age", "city"]), (["30,Oslo,a"], ["age", "city", "label"])):
        path = write_lines(tmp_path / "t.csv", lines[0], lines[1:])
        [portion] = open_rows(path, table_config(path=str(path), **keys)).read()
        assert portion.contents.schema.names == names  # type: ignore[union-attr]
        assert len(portion) == len(lines)


def test_arrays_are_answered_as_stored(make: Make) -> None:
    case = make("photos")
    model, stored = Model.load(case.model), np.array(case.data.split("val").inputs)
    answers = model.predict(stored)
    assert answers.names == [str(i) for i in range(len(stored))]
    np.testing.assert_array_equal(answers.probabilities, model.predict(torch.from_numpy(stored)).probabilities)
    with pytest.raises(DataError, match="expected are uint8"):
        model.predict(stored.astype(np.float32))
    with pytest.raises(DataError, match="no samples"):
        model.predict(stored[:0])


def test_the_threshold_and_the_temperature_travel_with_the_network(make: Make) -> None:
    case = make("photos")
    stored = np.array(case.data.split("val").inputs)
    plain = Model.load(case.model).predict(stored)
    assert plain.probabilities is not None
    with pytest.raises(ConfigError, match=r"no temperature is known; `regatta run` evaluates the network"):
        Model.load(case.model).predict(stored, calibrated=True)
    cut = float(np.median(plain.probabilities[:, 1]))
    kept = {
        "format": 1, "rule": "f1", "temperature": None, "fitted_temperature": 2.0, "task": "single",
        "weights_sha256": artifacts.weights_digest(case.model), "classes": case.data.manifest.classes,
        "cuts": [{"threshold": cut, "kept": True, "open_above": None, "open_to": None}], "shares": None,
        "least_confidence": None,
    }  # fmt: skip
    (case.model / "decision.json").write_text(json.dumps(kept))
    model = Model.load(case.model)
    assert model.rule == "f1"
    answers, scaled = model.predict(stored), model.predict(stored, calibrated=True)
    by_cut = [case.data.manifest.classes[int(p > cut)] for p in plain.probabilities[:, 1]]
    assert answers.predictions == scaled.predictions == by_cut
    assert 0 < by_cut.count("dog") < len(by_cut)
    np.testing.assert_array_equal(answers.probabilities, plain.probabilities)
    odds = plain.probabilities[:, 1] / plain.probabilities[:, 0]
    assert scaled.probabilities is not None
    np.testing.assert_allclose(scaled.probabilities[:, 1] / scaled.probabilities[:, 0], odds**0.5, rtol=1e-4)
    (case.model / "decision.json").write_text(json.dumps(kept | {"weights_sha256": "of another"}))
    with pytest.raises(StorageError, match="was chosen for other weights than these"):
        Model.load(case.model)


def test_a_model_of_an_older_version_says_what_to_do(make: Make) -> None:
    case = make("photos")
    described = artifacts.read_json(case.model / "model.json")
    del described["input"]["data"], described["input"]["details"]
    (case.model / "model.json").write_text(json.dumps(described | {"format": 3}))
    model = Model.load(case.model)
    with pytest.raises(StorageError, match="it does not say how samples are read"):
        model.predict(case.source)
    assert len(model.predict(np.array(case.data.split("val").inputs))) == len(case.data.split("val"))
