"""The kind of docs/kinds.md, taken from there literally, goes all the way."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pipeline import config, extensions
from pipeline.commands.compose import apply, change
from pipeline.data.dataset import open_dataset
from pipeline.kinds.words import shell_word
from pipeline.prediction.model import Model
from pipeline.prepare.sources.unlabelled import open_unlabelled
from pipeline.stages import augment, code, evaluate, prepare, report, train

DOCS = Path(__file__).resolve().parents[2] / "docs" / "kinds.md"
SHORT = ("train.epochs=2", "augment.views=1", "prepare.max_bad_fraction=0.1", "tracking.mode=disabled")


def write_recordings(place: Path) -> Path:
    drawn = np.random.default_rng(0)
    for label, pace in (("walk", 1.0), ("run", 2.5)):
        (place / label).mkdir(parents=True)
        for i in range(25):
            time = np.arange(int(drawn.integers(40, 90))) / 20
            moved = np.stack([np.sin(2 * np.pi * pace * time + i + axis) for axis in range(3)], 1)
            np.savetxt(place / label / f"{i}.csv", moved + drawn.normal(0, 0.3, moved.shape), delimiter=",", fmt="%.3f")
    (place / "run" / "bad.csv").write_text("time,x\n1,2\n")
    return place


@pytest.fixture
def motion(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its recordings, in a project that has what the page says."""
    monkeypatch.setattr(extensions, "_unpacked", [])
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    [own] = [text for language, text in blocks if language == "python" and "KINDS" in text]
    Path("extensions.py").write_text(own)
    for language, text in blocks:
        if language == "yaml":
            Path(text.partition("\n")[0].removeprefix("# ")).write_text(text.partition("\n")[2])
    return write_recordings(tmp_path / "motion")


def test_it_goes_from_files_to_answers(motion: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apply(change(["data=motion", f"data.path={motion}", *SHORT]), force=False)
    for stage in (code, prepare, augment, train, evaluate, report):
        stage.run()
    manifest = open_dataset(Path("artifacts/prepare")).manifest
    assert (manifest.shape, manifest.classes, manifest.num_rejected) == ([3, 32], ["run", "walk"], 1)
    assert "not lines of three numbers" in Path("artifacts/prepare/rejected.csv").read_text()
    assert "recordings" in capsys.readouterr().out
    model = Model.load("artifacts/train")
    answers = model.predict(motion)
    assert (len(answers), len(answers.problems)) == (50, 1)
    alone = model.predict(motion / "walk" / "3.csv")
    assert alone.probabilities is not None
    assert answers.probabilities is not None
    place = answers.names.index(f"{motion}/walk/3.csv")
    np.testing.assert_allclose(alone.probabilities[0], answers.probabilities[place], atol=1e-6)


def test_a_file_that_lists_samples_is_still_a_table(motion: Path) -> None:
    apply(change(["data=motion", f"data.path={motion}", *SHORT]), force=False)
    data = config.checked(config.read_values() or {}).data
    (motion / "list.csv").write_text("recording\nwalk/3.csv\nrun/4.csv\n")
    for name, num in (("list.csv", 2), ("run/bad.csv", 1)):
        own = data.model_copy(update={"path": str(motion / name)})
        assert [len(portion) for portion in open_unlabelled(motion / name, own).read()] == [num]


def test_once_it_is_chosen_a_path_alone_is_read_so(motion: Path) -> None:
    apply(change(["data=motion", f"data.path={motion}"]), force=False)
    new = change([f"data.path={shell_word(str(write_recordings(motion.parent / 'more')))}"])
    assert (new.values["data"]["kind"], new.recognised) == ("motion", [])
