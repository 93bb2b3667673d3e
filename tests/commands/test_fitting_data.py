"""A network that does not fit the data is refused before its configuration is kept, or once the data are prepared."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_helpers import write_digits

from pipeline import cli
from pipeline.commands.fitting import once_prepared
from pipeline.config import Values, composed
from pipeline.errors import ConfigError

KEPT = ("params.yaml", "conf/overrides.yaml")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a run says that is refused and has changed nothing."""
    before = [Path(name).read_bytes() for name in KEPT]
    capsys.readouterr()
    assert cli.main(["run", *words]) == 2
    assert [Path(name).read_bytes() for name in KEPT] == before
    return capsys.readouterr().err


@pytest.fixture
def source(trained: Path) -> str:
    """The run of a project in which everything has run."""
    [folder] = Path("runs").glob("2*")
    return f"model.init_from={folder.name}"


def test_what_does_not_fit_prepared_data_is_refused_before_it_is_kept(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "model.freeze = 9: at most " in refused(capsys, source, "model.freeze=9")
    assert "another network than this one: its dense1" in refused(capsys, source, "model.widths=[13]")
    assert "train.shards x train.accumulate = 4096: there are" in refused(capsys, "train.shards=4096", "train.batch_size=4096")


def test_before_the_data_are_prepared_what_fits_no_data_is_refused(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    other = "prepare.split_seed=5"
    assert "model.freeze = 9: at most " in refused(capsys, source, other, "model.freeze=9")
    assert "another network than this one: it has no dense2.weight, it has n" in refused(
        capsys, source, other, "model.widths=[16,16,16,16,16,16]"
    )
    Path("table.csv").write_text("a,label\n" + "".join(f"{i},{'xy'[i % 2]}\n" for i in range(40)))
    said = refused(capsys, source, "data=table", "data.path=table.csv", "data.label=label")
    assert "it was trained on image data, this is table data; choose another run" in said


@pytest.fixture
def misfit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Values:
    """A configuration that the prepared digits have too few samples for."""
    values = composed(overrides=["train.shards=4096", "train.batch_size=4096"])
    monkeypatch.chdir(tmp_path)
    write_digits(Path("artifacts/prepare"))
    return values


def test_once_the_data_are_there_it_is_asked_before_they_are_augmented(misfit: Values) -> None:
    ask = once_prepared(misfit)
    for stage in ("code", "prepare", "train"):
        ask(stage)
    with pytest.raises(ConfigError, match=r"train.shards x train.accumulate = 4096"):
        ask("augment")
