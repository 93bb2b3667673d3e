"""A pretrained network of one's own: registered by name, its weights in a file."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import own_backbones
import pytest
import torch
from own_backbones import written
from run_helpers import configs, run, weights
from safetensors.torch import load_file, save_file
from training_helpers import NONE, equal, gone_on, interrupted, train_to_end

from pipeline import artifacts, extensions
from pipeline.backbones.loading import Extractor, loaded
from pipeline.backbones.named import fitted, opened
from pipeline.backbones.own import Own
from pipeline.data import features
from pipeline.errors import ConfigError, StorageError
from pipeline.model.predictor import load_predictor
from pipeline.runs.identity import identity
from pipeline.runs.record import publish
from pipeline.train.program import program_of
from pipeline.train.training import Training

FILE = Path("data/small.safetensors")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the networks and the weights of one."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copyfile(own_backbones.__file__, folder / "extensions.py")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(extensions, "_unpacked", [folder])
    written("small", (1, 8, 8), FILE)
    return folder


def keys(name="small", path=FILE, **more):
    own = {"model__arch": "backbone", "model__backbone": name, "model__backbone_path": str(path), "model__freeze": "all"}
    return {**own, "model__widths": [], "model__dropout": 0.0, "train__threads": 1, **more}


def backbone(name, data, path=FILE):
    return fitted(opened(name, path, data.kind), data.fit, data.shape, data.lengths)


def rows(digits):
    return torch.from_numpy(np.array(digits.split("val").inputs[:40]))


def bare(name, shape, path=FILE):
    module = own_backbones.BACKBONES[name](shape)
    module.load_state_dict(load_file(path))
    return module.eval()


def test_it_makes_what_its_module_says_to_the_data_as_any_network_takes_them(digits, project):
    found = backbone("small", digits.manifest)
    assert (found.width, found.input, found.libraries) == (12, (1, 8, 8), [])
    fit = digits.manifest.fit
    x = (rows(digits).float() / 255 - fit["mean"][0]) / fit["std"][0]
    with torch.no_grad():
        torch.testing.assert_close(Extractor(found, (1, 8, 8), "cpu")(rows(digits)), bare("small", (1, 8, 8))(x))


def test_in_a_size_and_scale_that_is_said(digits, project):
    path = written("scaled", (3, 16, 16), Path("data/scaled.safetensors"))
    found = backbone("scaled", digits.manifest, path)
    large = torch.nn.functional.interpolate(
        rows(digits).float(), (16, 16), mode="bilinear", antialias=True, align_corners=False
    ).clamp(0, 255)
    mean, std = (torch.tensor(own_backbones.scaled.inputs[name]).view(3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        expected = bare("scaled", (3, 16, 16), path)((large / 255 - mean) / std)
    torch.testing.assert_close(Extractor(found, (1, 8, 8), "cpu")(rows(digits)), expected, rtol=1e-4, atol=1e-5)
    grey = Own("image")
    assert grey.misfit({"said": {"mean": [0.5], "std": [0.5]}}, {"mean": [0.5] * 3, "std": [0.5] * 3}, (3, 8, 8)) == (
        "it takes grey images, and these are in colours; say data.channels=grey"
    )


def test_sounds_are_taken_too(project):
    path = written("heard", (1, 400), Path("data/heard.safetensors"))
    found = fitted(opened("heard", path, "audio"), {"mean": [0.1], "std": [0.2]}, (1, 400), None)
    sounds = torch.randn(5, 1, 400)
    with torch.no_grad():
        expected = bare("heard", (1, 400), path)((sounds - 0.1) / 0.2)
    torch.testing.assert_close(Extractor(found, (1, 400), "cpu")(sounds), expected, rtol=1e-4, atol=1e-5)


def changed(**tensors):
    """The weights with other tensors; ... takes one away."""
    own = load_file(FILE) | tensors
    save_file({name: each for name, each in own.items() if each is not ...}, FILE)


def test_weights_that_are_not_its_own_are_refused_by_name(digits, project):
    whole, bias = FILE.read_bytes(), "blocks.0.bias"
    cases = {
        "it lacks blocks.0.bias": {bias: ...},
        "it has head.weight beside": {"head.weight": torch.zeros(3)},
        "blocks.0.bias is 5, and what BACKBONES makes as 'small' makes it 12": {bias: torch.zeros(5)},
        "not finite: blocks.0.bias": {bias: torch.full((12,), float("nan"))},
    }
    for said, tensors in cases.items():
        FILE.write_bytes(whole)
        changed(**tensors)
        with pytest.raises(ConfigError, match=f"model.backbone = small:{FILE}: its weights are not those of .*{said}"):
            loaded(backbone("small", digits.manifest))


def test_half_precision_becomes_full(digits, project):
    changed(**{name: each.half() for name, each in load_file(FILE).items() if each.is_floating_point()})
    state = loaded(backbone("small", digits.manifest)).state_dict()
    assert {each.dtype for each in state.values()} == {torch.float32, torch.int64}


def test_what_can_not_be_used_is_refused_by_name(digits, project):
    def said(name, path=FILE, data=digits.manifest):
        with pytest.raises(ConfigError) as refused:
            backbone(name, data, path)
        return str(refused.value)

    assert "there are hf:FOLDER, small:FILE, scaled:FILE, .*".replace(", .*", "") in said("other")
    assert "'other'" in said("other")
    assert "there is no such file; make the link with" in said("small", Path("data/gone.safetensors"))
    assert "a folder; make the link with" in said("small", Path("data"))
    assert "its function returns str, not a torch.nn.Module" in said("nothing")
    assert "its forward returns (2,) for 2 samples; features (2, F) are expected" in said("flat")
    assert "in evaluation it gives other features for the same inputs" in said("loose")
    assert "inputs has 'crop': of images size, mean, std are taken" in said("wrong")
    assert "inputs of kind text mean something else" in said("small", data=replace(digits.manifest, kind="text"))
    assert "inputs: of data of kind audio nothing can be said" in said("scaled", data=replace(digits.manifest, kind="audio"))
    pickled = Path("data/small.pt")
    pickled.write_bytes(b"x")
    assert "it is not read, since such files can run code" in said("small", pickled)
    FILE.write_bytes(FILE.read_bytes()[:-8])
    assert "bytes where its header says" in said("small")


def test_a_name_that_is_not_registered_is_refused_with_the_configuration(project):
    with pytest.raises(ConfigError, match=r"backbone = 'smal': there are hf, small, .*; did you mean small\?; yours go into"):
        configs(**keys("smal"))
    assert configs(**keys())[0].extended


def test_a_layouts_name_can_not_be_taken(digits, project):
    (project / "extensions.py").write_text((project / "extensions.py").read_text() + '\nBACKBONES["hf"] = Small\n')
    extensions._loaded.cache_clear()
    with pytest.raises(ConfigError, match=r"BACKBONES has hf, which is a layout; name yours otherwise"):
        opened("small", FILE, "image")
    extensions._loaded.cache_clear()


def test_a_head_learns_on_its_features_and_answers_from_its_folder_alone(digits, project, monkeypatch):
    model, train = configs(**keys(), train__epochs=3)
    made = features.made_by(model, digits.manifest, "cpu")
    data = features.dataset_features(made, digits)
    folder, _ = run(data, **keys())
    assert set(weights(folder)) == {"output.weight", "output.bias"}
    assert (folder.path / "code" / "extensions.py").exists()
    program = program_of(model, train, data.manifest)[0]
    publish(folder, Path("artifacts/train"), model, digits.manifest, program, (), made)
    assert (Path("artifacts/train/code/extensions.py")).exists()
    os.rename("data", "gone")
    Path("extensions.py").write_text("BACKBONES = {}\n")
    monkeypatch.setattr(extensions, "_unpacked", [])
    extensions._loaded.cache_clear()
    closure_forgotten()
    predictor, val = load_predictor(Path("artifacts/train")), digits.split("val")
    logits = predictor.logits(torch.from_numpy(np.array(val.inputs)))
    loss = float(predictor.losses(logits, torch.from_numpy(np.array(val.labels))).mean())
    assert loss == pytest.approx(folder.read()["best_val_loss"], rel=1e-5)


def closure_forgotten():
    """A file that has changed within a process, which none does otherwise."""
    from pipeline import closure

    closure.code_digest.cache_clear()
    closure._read.cache_clear()


def test_without_its_code_it_is_told_what_lacks(digits, project, monkeypatch):
    model, train = configs(**keys(), train__epochs=1)
    made = features.made_by(model, digits.manifest, "cpu")
    data = features.dataset_features(made, digits)
    folder, _ = run(data, **keys(), train__epochs=1)
    publish(folder, Path("artifacts/train"), model, digits.manifest, program_of(model, train, data.manifest)[0], (), made)
    shutil.rmtree("artifacts/train/code")
    Path("extensions.py").write_text("BACKBONES = {}\n")
    monkeypatch.setattr(extensions, "_unpacked", [])
    closure_forgotten()
    with pytest.raises(StorageError, match=r"a model of backbone 'small' was trained with an extensions\.py"):
        load_predictor(Path("artifacts/train"))


def test_features_and_runs_are_those_of_the_files_contents_and_of_the_code(digits, project):
    def of(path, **more):
        model, train = configs(**keys(path=path, **more))
        made = features.made_by(model, digits.manifest, "cpu")
        return made.digest if made else identity(model, train, "image", "data", "views", "cpu").run

    other = written("small", (1, 8, 8), Path("data/other.safetensors"), seed=1)
    before = of(FILE), of(FILE, model__freeze=0)
    assert (of(other), of(other, model__freeze=0)) != before
    os.rename(FILE, "data/same.safetensors")
    same = "data/same.safetensors"
    assert (of(same), of(same, model__freeze=0)) == before
    text = (project / "extensions.py").read_text()
    (project / "extensions.py").write_text(text + "# a comment\n")
    closure_forgotten()
    assert (of(same), of(same, model__freeze=0)) == before
    (project / "extensions.py").write_text(text.replace("mean((2, 3))", "amax((2, 3))"))
    closure_forgotten()
    after = of(same), of(same, model__freeze=0)
    assert after[0] != before[0]
    assert after[1] != before[1]


def training(digits, **more):
    small = {"train__epochs": 2, "train__batch_size": 256, "model__freeze": 0}
    program, lane = program_of(*configs(**keys(**small | more)), digits.manifest)
    return Training(program, [lane], digits, [NONE], torch.device("cpu"))


def named(own):
    return {name: values.copy() for name, values in own.net.layout.named(own.net.flat[0].numpy()).items()}


def test_its_layers_are_trained_from_its_weights(digits, project):
    own = training(digits, model__freeze=1)
    there, before = load_file(FILE), named(own)
    assert all(np.array_equal(before[f"backbone.{name}"], there[name]) for name in there if "num_batches" not in name)
    assert own.program.start.new == ("head.0.weight", "head.0.bias")
    assert own.program.extended
    train_to_end(own)
    after = named(own)
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert same == set(own.program.start.held)
    assert {name.rpartition(".")[0] for name in same} == {"backbone.stem.0"}


def test_stopped_it_goes_on_to_the_same_bits(digits, project):
    whole = train_to_end(training(digits))
    assert equal(whole, 0, gone_on(interrupted(training(digits), 7), training(digits)))


def test_trained_it_answers_from_its_weights_and_code_alone(digits, project):
    folder, model = run(digits, **keys(model__freeze=0), train__epochs=1)
    program = program_of(model, configs(**keys(model__freeze=0), train__epochs=1)[1], digits.manifest)[0]
    publish(folder, Path("artifacts/train"), model, digits.manifest, program)
    os.rename("data", "gone")
    predictor, val = load_predictor(Path("artifacts/train")), digits.split("val")
    logits = predictor.logits(torch.from_numpy(np.array(val.inputs)))
    loss = float(predictor.losses(logits, torch.from_numpy(np.array(val.labels))).mean())
    assert loss == pytest.approx(folder.read()["best_val_loss"], rel=1e-5)
    assert artifacts.read_json(Path("artifacts/train/model.json"))["backbone"]["plan"]["config"] is None
