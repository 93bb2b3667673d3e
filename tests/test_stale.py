"""What DVC runs again and what it hands out, tried with the real dvc.yaml and commands that take no time."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cheap_project as cheap
import pytest
import yaml

from pipeline.artifacts import STAGES

ROOT = Path(__file__).resolve().parent.parent
AFTER = {
    "data": STAGES,
    "data.kind": ("code", *STAGES),
    "prepare": STAGES,
    "augment": ("augment", "train", "evaluate", "study", "report"),
    "model": ("train", "evaluate", "study", "report"),
    "train": ("train", "evaluate", "study", "report"),
    "cluster.reduce": ("train", "evaluate", "report"),
    "cluster": (),
    "evaluate": ("evaluate", "report"),
    "study.definitions": ("study", "report"),
    "study.on_run": ("report",),
    "report": ("report",),
    "tracking": (),
}
"""The stages that run once a key below changes; the longest name counts."""
KEYS = cheap.leaves(yaml.safe_load((ROOT / "params.yaml").read_text()))
NEW = ("study", "definitions", "dropout", "variants", "more")
SOME = (("data", "size"), ("cluster", "reduce"), ("tracking", "mode"), NEW)
"""In all runs of the tests: what reaches every stage, one branch, none; a key that was not there."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which everything has run once."""
    folder = tmp_path_factory.mktemp("cheap")
    cheap.make(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cheap.ran() == ["code", *STAGES]
        assert cheap.ran() == []
        cheap.check_artifacts(cheap.read_values())
    return folder


@pytest.fixture
def project(template: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The parameters of the project, which is the current directory, and they again afterwards."""
    monkeypatch.chdir(template)
    values = cheap.read_values()
    yield values
    cheap.write_values(values)


def test_the_table_has_every_section() -> None:
    assert {name.partition(".")[0] for name in AFTER} == {key[0] for key in KEYS}
    assert len(KEYS) > 90


def test_a_changed_key_runs_the_stages_that_it_should(project: dict[str, Any]) -> None:
    there_and_back(project, SOME)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("section", sorted({key[0] for key in KEYS}))
def test_each_changed_key_runs_the_stages_that_it_should(project: dict[str, Any], section: str) -> None:
    there_and_back(project, [key for key in KEYS if key[0] == section])


def there_and_back(before: dict[str, Any], keys: Sequence[tuple[str, ...]]) -> None:
    """Change one key after the other, then back: what runs, and that the run cache gives what is of the parameters."""
    states = [before]
    for key in keys:
        states.append(changed(states[-1], key))
        seen(states[-1], after(key), ".".join(key))
    for key, values in zip(reversed(keys), reversed(states[:-1]), strict=True):
        seen(values, kept(after(key)), f"back: {'.'.join(key)}")


def after(key: tuple[str, ...]) -> tuple[str, ...]:
    """The row of the table for a key."""
    return next(AFTER[name] for i in range(len(key), 0, -1) if (name := ".".join(key[:i])) in AFTER)


def seen(values: dict[str, Any], stages: Sequence[str], what: str) -> None:
    """These stages run, and all that is there afterwards is of these parameters."""
    cheap.write_values(values)
    assert (what, cheap.ran()) == (what, list(stages))
    cheap.check_artifacts(values)


def changed(values: dict[str, Any], key: tuple[str, ...]) -> dict[str, Any]:
    """The parameters with one key changed, or added."""
    found = copy.deepcopy(values)
    section, name = cheap.at(found, key[:-1]), key[-1]
    section[name] = other(section[name]) if name in section else {"train.epochs": 1}
    return found


def kept(stages: Sequence[str]) -> list[str]:
    """Of stages that have run before: a study's tables persist, so that DVC takes it from no run cache."""
    return [stage for stage in stages if stage == "study"]


def other(value: Any) -> Any:
    """A value unlike this one; a path has to be there."""
    if str(value).startswith("conf/"):
        return "conf/data/other.yaml"
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case list():
            return [*value, 1]
        case None:
            return 22
    return f"{value} and more"


def test_a_changed_file_of_a_pretrained_network_runs_what_is_trained_with_it(project: dict[str, Any]) -> None:
    folder = Path("data/net")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    project["model"]["backbone_path"] = str(folder)
    cheap.write_values(project)
    assert set(cheap.ran()) == {"train", "evaluate", "study", "report"}
    assert cheap.ran() == []
    (folder / "config.json").write_text("{ }")
    assert set(cheap.ran()) == {"train", "evaluate", "study", "report"}
