"""A network that does not fit the data is refused before its configuration is kept, or once the data are prepared."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_helpers import write_digits

from pipeline import cli
from pipeline.artifacts import read_json, write_json
from pipeline.commands.compose import apply, change
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
    assert "another network than this one: its dense1" in refused(capsys, "--dry-run", source, "model.widths=[13]")
    assert "train.shards x train.accumulate = 4096: there are" in refused(capsys, "train.shards=4096", "train.batch_size=4096")


def test_a_study_that_does_not_fit_prepared_data_is_refused_before_it_is_kept(
    source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whose keys are right: that is seen by making its networks for the data that there are."""
    own = "study.definitions.mine."
    words = [f"{own}question=Why", f"{own}seeds=2", f"{own}variants.wide.model.widths=[8]", f"{own}baseline.{source}"]
    for dry in ([], ["--dry-run"]):
        said = refused(capsys, *dry, *words)
        assert f"study mine: variant wide: {source.replace('=', ' = ')}: another network than this one: its dense1" in said
    module = ["model.arch=module", "model.name=vit", "model.keys.patch=3"]
    said = refused(capsys, *words[:2], *(f"{own}variants.vit.{word}" for word in module))
    assert "study mine: variant vit: model.keys.patch = 3: images of " in said


def test_a_study_that_is_not_run_is_not_asked(source: str) -> None:
    own = "study.definitions.mine."
    words = [f"{own}question=Why", f"{own}seeds=2", f"{own}variants.big.train.batch_size=100000", "study.on_run=[]"]
    assert cli.main(["run", "--dry-run", *words]) == 0


def test_before_the_data_are_prepared_what_fits_no_data_is_refused(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    other = "prepare.split_seed=5"
    assert "model.freeze = 9: at most " in refused(capsys, source, other, "model.freeze=9")
    assert "another network than this one: it has no dense2.weight, it has n" in refused(
        capsys, source, other, "model.widths=[16,16,16,16,16,16]"
    )
    Path("table.csv").write_text("a,label\n" + "".join(f"{i},{'xy'[i % 2]}\n" for i in range(40)))
    said = refused(capsys, source, "data=table", "data.path=table.csv", "data.label=label")
    assert "it was trained on image data, this is table data; choose another run" in said


def test_a_run_that_had_a_backbone_is_no_start_and_a_dry_run_says_so_too(
    source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whose record is all that is asked: the head's own tensors are never compared."""
    described = Path("runs", source.partition("=")[2], "model.json")
    content = read_json(described)
    write_json(described, {**content, "model": {**content["model"], "arch": "backbone", "widths": []}})
    for words in ([], ["--dry-run"], ["prepare.split_seed=5"]):
        said = refused(capsys, source, *words)
        assert (
            "it had a backbone, and no other network can start from such a one (docs/backbones.md); choose a run without"
            in said
        )
        assert "choose the same" not in said


def test_what_is_to_be_forgotten_is_kept(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key said in the same breath is left out; only one of earlier can be taken back."""
    said = refused(capsys, "--dry-run", "model=cnn", "model.freeze=2")
    assert "without init_from there is nothing to leave as it is; leave it out, or say model.init_from=RUN" in said
    assert "~model.freeze" not in said
    folder = Path("runs/20261126-101500-3fa4c0de")
    folder.mkdir(parents=True)
    for name in ("run.json", "model.json", "best.safetensors"):
        (folder / name).write_text('{"state": "finished"}')
    apply(change([f"model.init_from={folder.name}", "model.freeze=1"]), force=False)
    said = refused(capsys, "--dry-run", "~model.init_from")
    assert "nothing to leave as it is; forget it with `regatta run '~model.freeze'`" in said


@pytest.fixture
def misfit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Values:
    """A configuration that the prepared digits have too few samples for."""
    values = composed(overrides=["train.shards=4096", "train.batch_size=4096"])
    monkeypatch.chdir(tmp_path)
    write_digits(Path("artifacts/prepare"))
    return values


def test_once_the_data_are_there_it_is_asked_before_they_are_augmented(misfit: Values) -> None:
    ask = once_prepared(misfit, [])
    for stage in ("code", "prepare", "train"):
        ask(stage)
    with pytest.raises(ConfigError, match=r"train.shards x train.accumulate = 4096"):
        ask("augment")
