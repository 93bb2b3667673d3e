from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline import cli
from pipeline.commands.compose import apply, change, changed, changes_told, overrides_now
from pipeline.config import read_values

Command = Callable[..., str]


def call(*words: str) -> int:
    return cli.main(words)


def test_composing_a_clone_changes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (project / "params.yaml").read_bytes()
    assert call("compose") == 0
    assert capsys.readouterr().out == "params.yaml is what conf/ says\n"
    assert (project / "params.yaml").read_bytes() == before


def test_an_edit_of_conf_reaches_the_parameters(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project / "conf" / "model" / "dnn.yaml"
    file.write_text(file.read_text().replace("dropout: 0.2", "dropout: 0.3"))
    assert call("compose") == 0
    assert capsys.readouterr().out == "params.yaml: model.dropout: 0.2 -> 0.3\n"
    assert "dropout: 0.3" in (project / "params.yaml").read_text()


def test_parameters_edited_by_hand_are_not_overwritten_without_a_word(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = project / "params.yaml"
    edit = file.read_text().replace("  dropout: 0.2\n  init", "  dropout: 0.4\n  init")
    file.write_text(edit)
    assert call("compose") == 2
    said = capsys.readouterr()
    assert "composing conf/ would change:\n  model.dropout: 0.4 -> 0.2" in said.out
    assert "--force" in said.err
    assert file.read_text() == edit
    assert call("compose", "--force") == 0
    assert "  dropout: 0.2\n  init" in file.read_text()


def test_an_edit_that_says_the_same_is_taken(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project / "params.yaml"
    whole = file.read_text()
    file.write_text(whole.partition("\n")[2])
    assert call("compose") == 0
    assert capsys.readouterr().out == "params.yaml is what conf/ says\n"
    assert file.read_text() == whole


def test_the_answer_yes_overwrites(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project / "params.yaml"
    file.write_text(file.read_text().replace("  dropout: 0.2\n  init", "  dropout: 0.4\n  init"))
    monkeypatch.setattr("sys.stdin", _Terminal("n"))
    assert call("compose") == 2
    monkeypatch.setattr("sys.stdin", _Terminal("y"))
    assert call("compose") == 0
    assert "  dropout: 0.2\n  init" in file.read_text()


class _Terminal:
    def __init__(self, answer: str) -> None:
        self.answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        return self.answer + "\n"


def test_parameters_that_are_missing_or_torn_are_composed(project: Path) -> None:
    file = project / "params.yaml"
    whole = file.read_text()
    file.unlink()
    assert call("compose") == 0
    assert file.read_text() == whole
    file.write_text(whole[:100])
    assert call("compose") == 2
    assert call("compose", "--force") == 0
    assert file.read_text() == whole


def test_a_mistake_in_conf_is_refused_before_anything_is_written(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (project / "params.yaml").read_text()
    (project / "conf" / "overrides.yaml").write_text("# @package _global_\nmodel:\n  dropuot: 0.5\ntrain:\n  epochs: 0\n")
    assert call("compose") == 2
    said = capsys.readouterr().err
    assert "model.dropuot: unknown key (value 0.5); did you mean model.dropout?" in said
    assert "train.epochs = 0: should be greater than or equal to 1" in said
    assert (project / "params.yaml").read_text() == before


def test_a_resolver_in_the_parameters_is_named_by_its_key(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = project / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("seed: 0", "seed: ${oc.env:HOME}", 1))
    assert params.read_text() != before
    for words in (["compose"], ["run"], ["run", "train.epochs=3"]):
        assert call(*words) == 2
        said = capsys.readouterr()
        assert "seed = '${oc.env:HOME}': nothing is replaced here: write the value itself, or compose" in said.err
        assert said.err.startswith("regatta: params.yaml: ")
        assert said.out == ""
    assert call("compose", "--force") == 0
    assert params.read_text() == before


def test_a_study_that_comes_or_goes_is_one_line() -> None:
    one = {"question": "?", "baseline": {"train.epochs": 1}, "seeds": 3}
    before = {"study": {"on_run": None, "definitions": {"a": one, "b": one}}, "train": {"epochs": 4}}
    after = {"study": {"on_run": None, "definitions": {"b": {**one, "seeds": 5}, "c": one}}, "train": {"epochs": 8}}
    assert changed(before, after) == [
        "study a: removed",
        "study c: added",
        "study.definitions.b.seeds: 3 -> 5",
        "train.epochs: 4 -> 8",
    ]
    none = {**before, "study": {"on_run": None, "definitions": {}}}
    assert changed(before, none) == ["study a: removed", "study b: removed"]
    assert changed(none, before) == ["study a: added", "study b: added"]
    assert changed({"study": 3}, {"study": {"definitions": {}}}) == ["study: 3 -> (none)", "study.definitions: (none) -> {}"]


def test_keys_that_only_repeat_the_path_are_not_told() -> None:
    def values(path: str, train: str) -> dict[str, Any]:
        return {"data": {"path": path, "train_path": train, "val_path": path, "label": "label"}}

    assert changed(values("data/a", "data/a"), values("data/b", "data/b")) == ["data.path: data/a -> data/b"]
    assert changed(values("data/a", "data/a"), values("data/a", "data/t")) == ["data.train_path: data/a -> data/t"]
    assert changed(values("data/a", "data/t"), values("data/b", "data/b")) == [
        "data.path: data/a -> data/b",
        "data.train_path: data/t -> data/b",
    ]


def test_keys_of_another_file_are_one_line(project: Path) -> None:
    (project / "data" / "t.csv").write_text("a,b,label\n1.5,x,p\n2.5,y,q\n")
    new = change(["data=table", "data.path=data/t.csv", "train.epochs=3"])
    lines = changes_told(read_values() or {}, overrides_now(), new)
    assert len(lines) <= 8
    assert "study dropout: removed" in lines
    assert "data.path: conf/data/digits.yaml -> data/t.csv" in lines
    assert "train.epochs: 40 -> 3" in lines, "what was said is told by itself"
    [model] = [line for line in lines if line.startswith("model")]
    assert re.fullmatch(r"model: \d+ keys as in conf/model/table\.yaml \(was dnn\)", model)
    apply(new, force=False)
    again = change(["train.epochs=4"])
    assert changes_told(read_values() or {}, overrides_now(), again) == ["train.epochs: 3 -> 4"]
