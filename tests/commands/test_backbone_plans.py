"""What a pretrained network is planned to cost, looked at before its link is there, and left again."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import own_backbones
import pytest

from pipeline import extensions
from pipeline.commands.compose import apply, change

Command = Callable[..., str]


@pytest.fixture
def file(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights outside of a project that has run, and whose `extensions.py` has their network."""
    shutil.copyfile(own_backbones.__file__, "extensions.py")
    monkeypatch.setattr(extensions, "_unpacked", [trained])
    return own_backbones.written("small", (1, 8, 8), trained.parent / "small.safetensors")


def take(file: Path, *words: str) -> None:
    forgotten = "~study.definitions.tiny", "~model.widths"
    apply(change([f"model.backbone=small:{file}", *forgotten, *words]), force=False)


def test_a_plan_tries_the_head_whether_or_not_its_features_are_there(file: Path, command: Command) -> None:
    take(file)
    said = command("run", "--dry-run", "train.epochs=6")
    assert re.search(r"features: +12 of a sample, made once, before training", said)
    assert re.search(r"training time: +about .* just now, 6 epochs of the head", said)
    assert re.search(r"training memory: +about \d+(\.\d+)? kB for the head beside", said)


def test_a_study_of_heads_is_planned_after_a_run_over_features(file: Path, command: Command) -> None:
    """As docs/backbones.md says."""
    take(file, "model.widths=[64]")
    said = command("study", "dropout", "--dry-run")
    assert "6 runs, 0 of them known already" in said
    assert "expected time: about" in said
    said = command("study", "regularisation", "--dry-run", "augment.views=4")
    assert "expected time: about" in said


def test_before_its_link_is_made_it_is_looked_at_where_it_will_lead(file: Path, command: Command) -> None:
    words = (f"model.backbone=small:{file}", "~study.definitions.tiny", "~model.widths")
    said = command("run", "--dry-run", *words)
    assert f"would make data/small.safetensors -> {file}" in said
    assert "12 of a sample" in said
    assert "expected time" in command("study", "dropout", "--dry-run", *words, "model.widths=[8]", "study.on_run=[]")
    file.write_bytes(file.read_bytes()[:-4])
    assert f"model.backbone = small:{file}: has " in command("run", "--dry-run", *words, code=2)
    assert not Path("data/small.safetensors").is_symlink()


def test_every_stage_is_tried_with_it(file: Path, regatta: Command) -> None:
    """In a process of its own, which changes into the folder where the stages are tried."""
    take(file)
    assert "smoke: every stage ran" in regatta("run", "--smoke", "study=none")


def test_what_it_brought_goes_with_it(file: Path, command: Command) -> None:
    take(file, "model.backbone_kept=reference", "model.freeze=1", "train.transferred_rate=0.5", "model.widths=[8]")
    for words in (["preset=few-photos"], ["~model.backbone"], ["~model.backbone", "~model.backbone_path", "preset=none"]):
        new = change(words)
        assert new.values["model"]["backbone"] is None
        assert new.values["model"]["freeze"] == 0
        assert new.overrides.values["model"] == {"widths": [8]}
        assert "transferred_rate" not in new.overrides.values["train"]
        assert "backbone" not in new.overrides.files.values()
        assert any("forgot model.backbone" in note for note in new.notes)
    assert change(["~model.backbone"]).values["model"]["arch"] != "backbone"
    assert change(["preset=backbone"]).values["model"]["backbone"] == "small"
