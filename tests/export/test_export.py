"""Exported files answer as the network does: on samples of every kind of answer, in batches of any size."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch
from run_helpers import configs, run
from table_samples import HEADER, people, write_lines
from training_helpers import write_digits

from pipeline import artifacts
from pipeline.commands.export import export, original
from pipeline.data.dataset import open_dataset
from pipeline.errors import ConfigError, NumericsError
from pipeline.export import formats
from pipeline.export.answering import answering
from pipeline.model.predictor import load_predictor
from pipeline.prediction.model import Model
from pipeline.runs.record import publish
from pipeline.stages.train import members_of
from pipeline.train.program import program_of

OWN = Path(__file__).resolve().parent.parent / "own_modules.py"
SMALL_CNN = {"model__arch": "cnn", "model__channels": [4], "model__norm": "layer"}


def module(name):
    return {"model__arch": "module", "model__name": name, "model__widths": [], "model__dropout": 0.0}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "extensions.py").write_bytes(OWN.read_bytes())
    return tmp_path


def trained(data, **changes):
    """A short training, published as the stage does it."""
    folder, model = run(data, **{"train__epochs": 1, **changes})
    train = configs(**changes)[1]
    publish(folder, Path("artifacts/train"), model, data.manifest, program_of(model, train, data.manifest)[0])


def asked(**changes):
    said = {"model": "artifacts/train", "format": "onnx", "out": None, "no_samples": False, "try_on": None, "stood": Path.cwd()}
    return SimpleNamespace(**{**said, **changes})


def on_digits(**changes):
    write_digits(Path("artifacts/prepare"))
    data = open_dataset(Path("artifacts/prepare"))
    trained(data, **changes)
    return data


@pytest.mark.parametrize(
    "network", [{}, SMALL_CNN, module("cnn"), module("patches")], ids=["dnn", "cnn", "BatchNorm", "attention"]
)
@pytest.mark.parametrize("format", ["onnx", "torch"])
def test_the_file_answers_as_the_network_in_batches_of_any_size(project, format, network):
    data = on_digits(**network)
    assert export(asked(format=format, out="out")) == 0
    rows = np.array(data.split("test").inputs[:37])
    known = original(load_predictor(Path("artifacts/train")), rows)
    chosen = formats.FORMATS[format]
    for num in (1, 5, 37):
        logits, probabilities = chosen.ask(project / "out" / chosen.file, rows[:num])
        np.testing.assert_allclose(logits, known[0][:num], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(probabilities, known[1][:num], atol=1e-5)
        assert probabilities.shape == (num, 10)
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def on_table(build_table, **changes):
    keys = changes.pop("data")
    rows = [row for row in people(200) if keys.get("label") != "age" or ",," not in row]
    data = build_table(path=str(write_lines(Path("people.csv"), HEADER, rows)), **keys)
    shutil.copytree(data.path, "artifacts/prepare")
    trained(data, **changes)
    return data


CASES = {
    "two classes": ({}, {"train__balance": "weights"}, ["logits", "probabilities"]),
    "a number": ({"label": "age", "target": "number"}, {}, ["numbers"]),
}


@pytest.mark.parametrize("case", CASES)
def test_rows_of_a_table_are_answered_with_what_the_network_makes_of_them(project, build_table, case):
    keys, changes, names = CASES[case]
    data = on_table(build_table, data=keys, **changes)
    assert export(asked(out="out")) == 0
    rows = np.concatenate([np.array(data.split(name).inputs) for name in ("train", "test")])
    assert np.isnan(rows).any() == (case == "two classes"), "numbers are missing, but not those to predict"
    known = original(load_predictor(Path("artifacts/train")), rows)
    for own, expected in zip(formats.FORMATS["onnx"].ask(project / "out/model.onnx", rows), known, strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-5)
    assert json.loads((project / "out/facts.json").read_text())["outputs"] == names


def test_what_goes_along_checks_the_file_without_regatta(project):
    on_digits()
    export(asked(out="out"))
    facts, file = json.loads((project / "out/facts.json").read_text()), project / "out" / "model.onnx"
    assert facts["input"] == {"name": "rows", "shape": ["batch", 1, 8, 8], "dtype": "uint8", "kind": "image"}
    assert facts["classes"] == [str(i) for i in range(10)]
    noted = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
    assert json.loads(noted["classes"]) == facts["classes"]
    assert (json.loads(noted["input"]), noted["task"]) == (facts["input"], "single")
    check = [sys.executable, "-I", "out/check.py"]
    done = subprocess.run(check, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("logits: 16 samples, largest difference ")
    samples = dict(np.load("out/samples.npz"))
    np.savez("out/samples.npz", **samples | {"probabilities": samples["probabilities"] + 0.01})
    assert subprocess.run(check, capture_output=True, check=False).returncode == 1
    export(asked(out="bare", no_samples=True))
    assert sorted(path.name for path in Path("bare").iterdir()) == ["facts.json", "model.onnx"]


def test_a_network_in_bfloat16_is_written_in_float32_and_its_own_distance_is_said(project, capsys):
    on_digits(**module("cnn"), train__precision="bf16-mixed")
    export(asked(out="out", format="torch"))
    said = capsys.readouterr().out
    same, own = re.search(r"by at most (\S+) from those of the network in float32; .*, from its own by (\S+)\.", said).groups()
    assert float(same) <= 1e-5 < float(own) < 0.1


def test_without_a_place_it_goes_below_exports_by_its_run(project, capsys):
    on_digits()
    export(asked(format="torch", no_samples=True))
    run_id = artifacts.read_json(Path("artifacts/train/model.json"))["run"]
    assert (project / "exports" / run_id / "torch" / "model.pt2").is_file()
    assert f"The network is in exports/{run_id}/torch/model.pt2" in capsys.readouterr().out


def test_it_is_not_tried_on_other_data_than_it_was_trained_on(project, capsys):
    on_digits()
    manifest = artifacts.read_json(Path("artifacts/prepare/dataset.json"))
    artifacts.write_json(Path("artifacts/prepare/dataset.json"), manifest | {"fit": {"mean": [0.5], "std": [0.5]}})
    export(asked(format="torch", out="out"))
    assert "On 64 made-up rows its answers" in capsys.readouterr().out
    assert np.load("out/samples.npz")["rows"].min() == 0
    assert np.load("out/samples.npz")["rows"].max() == 255


def test_a_file_that_answers_otherwise_is_not_kept(project, monkeypatch):
    on_digits()
    chosen = formats.FORMATS["torch"]

    class Wrong(type(chosen)):
        def ask(self, path, rows):
            return [each + 0.1 for each in super().ask(path, rows)]

    monkeypatch.setitem(formats.FORMATS, "torch", Wrong())
    with pytest.raises(NumericsError, match=r"model.pt2: on 64 validation samples its answers differ by up to 0\.1"):
        export(asked(format="torch", out="out"))
    assert not Path("out").exists()


def test_a_network_that_torch_cannot_follow_is_told(project):
    (project / "extensions.py").write_text(
        OWN.read_text() + "\n\nclass Branching(Dense):\n    def forward(self, x):\n"
        "        return super().forward(x if x.sum() > 0 else -x)\n\n\nMODELS['branching'] = Branching\n"
    )
    on_digits(**module("branching"))
    with pytest.raises(ConfigError, match=r"torch.export can't follow this network: .*may not branch on values"):
        export(asked(out="out"))


def test_rows_of_different_lengths_are_refused_by_name():
    with pytest.raises(ConfigError, match=r"data.kind 'text' takes rows of different lengths, .* `regatta serve MODEL`"):
        answering(SimpleNamespace(ragged=True, kind="text"))


def test_what_is_not_installed_is_named(project, monkeypatch):
    on_digits()
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ConfigError, match=r"pip install 'regatta\[export\]'.*\(onnxscript is not there\)"):
        export(asked(out="out"))


@pytest.mark.parametrize("format", ["onnx", "torch"])
@pytest.mark.parametrize(
    ("changes", "networks", "same"),
    [
        ({"train__tta": "mirrored"}, 1, False),
        ({"train__members": 2}, 2, False),
        ({"train__members": 2, "train__tta": "mirrored", "train__balance": "weights"}, 2, False),
        ({}, 1, True),
    ],
    ids=["mirrored", "two networks", "both, balanced", "plain"],
)
def test_means_over_mirror_images_and_networks_are_in_the_file_as_predict_answers_them(
    project, format, changes, networks, same
):
    write_digits(Path("artifacts/prepare"))
    data = open_dataset(Path("artifacts/prepare"))
    own = {**module("cnn"), "train__epochs": 1, **changes}
    model, train = configs(**own)
    folders = [run(data, **{**own, "train__seed": member.seed, "train__members": 1})[0] for member in members_of(train)]
    publish(folders[0], Path("artifacts/train"), model, data.manifest, program_of(model, train, data.manifest)[0], folders[1:])
    asking = Model.load("artifacts/train")
    assert len(asking.predictor.nets) == networks
    rows = np.array(data.split("test").inputs[:24])
    known = asking.predict(rows).probabilities
    export(asked(format=format, out="out"))
    chosen = formats.FORMATS[format]
    _, found = chosen.ask(project / "out" / chosen.file, rows)
    np.testing.assert_allclose(found, known, atol=1e-5)
    plain = load_predictor(folders[0].path)
    alone = replace(plain, mirror=None).logits(torch.from_numpy(rows)).softmax(1).numpy()
    assert (np.abs(alone - known).max() < 1e-5) == same, "it is a mean, not one network's answer to one image"
