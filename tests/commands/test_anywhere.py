"""predict, serve and export where there is no project: a network's folder is all that they need."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from published import Case, published
from series_samples import OWN

from pipeline import cli, extensions
from pipeline.errors import ConfigError
from pipeline.prediction.model import Model

ROOT = Path(__file__).resolve().parents[2]


def moved(case: Case, place: Path) -> Path:
    """The network's folder alone, in a place of its own; its data and its project are gone."""
    shutil.copytree(case.model, place)
    for path in place.parent.glob("made/*"):
        if path != case.source:
            path.rename(place.parent / f"gone-{path.name}")
    return place


@pytest.fixture
def take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A trained network of a kind, taken away, as a process finds it that stands in an empty folder; its number of answers."""

    def call(kind: str) -> tuple[Case, Path, int]:
        for name in ("made", "empty"):
            (tmp_path / name).mkdir()
        with pytest.MonkeyPatch.context() as patch:
            case = published(kind, tmp_path / "made", patch)
            num = len(Model.load(case.model).predict(case.source))
        model = moved(case, tmp_path / "taken")
        monkeypatch.chdir(tmp_path / "empty")
        monkeypatch.setattr(extensions, "_unpacked", [])
        extensions._loaded.cache_clear()
        return case, model, num

    return call


@pytest.mark.parametrize("kind", ["photos", "rows", "texts", "sounds", "own kind, own module"])
def test_a_networks_folder_answers_in_an_empty_one(kind, take, capsys):
    case, model, _ = take(kind)
    assert sorted(path.name for path in model.iterdir() if path.is_dir()) == (["code"] if kind.startswith("own") else [])
    assert cli.main(["predict", str(model), str(case.source), "--out", "answers.csv"]) == 0
    said = capsys.readouterr()
    assert "answers are in answers.csv\n" in said.out
    assert ("code/extensions.py, with which the network was trained" in said.err) == kind.startswith("own")
    assert "regatta: in " not in said.err
    assert [path.name for path in Path().iterdir()] == ["answers.csv"]


@pytest.mark.parametrize("kind", ["photos", "rows", "own kind, plain"])
def test_without_the_data_a_file_is_tried_on_made_up_rows_or_on_what_is_named(kind, take, capsys):
    case, model, _ = take(kind)
    capsys.readouterr()
    assert cli.main(["export", str(model), "--format", "torch", "--out", "made-up"]) == 0
    said = capsys.readouterr().out
    run = json.loads((model / "model.json").read_text())["run"]
    assert said.startswith("On 64 made-up rows its answers differ by at most ")
    assert f"are not here: `regatta restore {run}` in its project brings them back, and --try-on PATH takes others." in said
    assert cli.main(["export", str(model), "--format", "torch", "--try-on", str(case.source)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"On 64 samples of {case.source} its answers differ by at most ")
    assert said.endswith(f"The network is in exports/{run}/torch/model.pt2\n")
    rows = np.load("made-up/samples.npz")["rows"]
    assert len(np.unique(rows, axis=0)) == len(rows), "each is another one"
    assert cli.main(["export", str(model), "--format", "torch", "--try-on", "none"]) == 3
    assert "--try-on none: no such file or folder" in capsys.readouterr().err


def test_code_that_is_not_there_is_asked_for_and_other_code_is_not_mixed_in(take, capsys):
    case, model, _ = take("own kind, own module")
    shutil.rmtree(model / "code")
    assert cli.main(["predict", str(model), str(case.source)]) == 5
    assert (
        f"that lies neither beside it nor in {ROOT}; put that one, with what it imports, into {model}/"
        in capsys.readouterr().err
    )
    (model / extensions.FILE).write_bytes(OWN.read_bytes())
    assert cli.main(["predict", str(model), str(case.source), "--out", "answers.csv"]) == 0
    other = model.parent / "other"
    shutil.copytree(model, other)
    (other / extensions.FILE).write_text(OWN.read_text() + "\nMORE = 1\n")
    described = json.loads((other / "model.json").read_text())
    described["extensions"] = extensions.closure.code_digest(extensions.FILE, root=other)
    (other / "model.json").write_text(json.dumps(described))
    with pytest.raises(ConfigError, match=r"other: its extensions.py is another one than that which this process runs"):
        Model.load(other)


def test_folders_that_nobody_may_write_to_are_enough(take):
    """Mounted so that root can't write, either."""
    case, model, num = take("own kind, own module")
    own = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    mounted = " && ".join(f"mount --bind {path} {path} && mount -o remount,ro,bind {path}" for path in (Path.cwd(), model))
    if subprocess.run([*own, mounted], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    inside = f'{mounted} && cd {Path.cwd()} && ! touch {model}/x 2>&- && exec "$@"'
    words = [*own, inside, "sh", sys.executable, "-m", "pipeline.cli"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [*words, "predict", str(model), str(case.source)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1 + num
    with subprocess.Popen(
        [*words, "serve", str(model), "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout
        assert server.stdout.readline().startswith(f"{model} answers at http://127.0.0.1:")
        server.send_signal(signal.SIGTERM)
        assert server.wait(120) == 143
    assert sorted(path.name for path in (model / "code").iterdir()) == ["extensions.py"]
