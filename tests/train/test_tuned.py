"""A pretrained network whose own layers are trained along with a head."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from published_networks import convnext, resnet, vit, wav2vec2
from run_helpers import configs, run, weights
from safetensors.numpy import load_file
from training_helpers import NONE, equal, gone_on, interrupted, train_one_epoch, train_to_end

from pipeline import artifacts
from pipeline.backbones.folder import opened
from pipeline.backbones.loading import Extractor
from pipeline.backbones.tuned import cast_of, planned
from pipeline.errors import ConfigError, StorageError
from pipeline.model.predictor import load_predictor
from pipeline.model.specs import spec_of
from pipeline.runs.identity import identity
from pipeline.runs.record import publish
from pipeline.train.program import program_of
from pipeline.train.training import Training
from pipeline.train.transfer import check_names

pytest.importorskip("transformers", reason="needs the extra backbones")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keys(path="data/vit", **more):
    own = {"model__arch": "backbone", "model__backbone": "hf", "model__backbone_path": path, "model__freeze": 0}
    small = {"train__epochs": 2, "train__batch_size": 256, "train__threads": 1, "model__dropout": 0.0}
    return {**own, **small, "model__widths": [], **more}


def training(digits, **more):
    program, lane = program_of(*configs(**keys(**more)), digits.manifest)
    return Training(program, [lane], digits, [NONE], torch.device("cpu"))


def named(own):
    return {name: values.copy() for name, values in own.net.layout.named(own.net.flat[0].numpy()).items()}


def changed(before, after):
    return {name for name in before if not np.array_equal(before[name], after[name])}


def test_it_starts_from_the_networks_own_weights(digits, project):
    folder = vit(Path("data/vit"))
    own = training(digits)
    there = load_file(folder / "model.safetensors")
    assert np.array_equal(named(own)["backbone.layernorm.weight"], there["layernorm.weight"])
    assert own.program.start.new == ("head.0.weight", "head.0.bias")
    rows = torch.from_numpy(np.array(digits.split("val").inputs[:5]))
    features = Extractor(opened(folder, "image"), tuple(digits.manifest.shape), "cpu")(rows)
    expected = torch.nn.functional.linear(features, *(torch.from_numpy(named(own)[f"head.0.{n}"]) for n in ("weight", "bias")))
    torch.testing.assert_close(own.net.forward(own.to_input(rows)[None])[0], expected, rtol=1e-4, atol=1e-5)


def test_all_of_it_learns_unless_blocks_are_left_as_they_are(digits, project):
    vit(Path("data/vit"))
    own = training(digits)
    before = named(own)
    train_one_epoch(own)
    assert changed(before, named(own)) == before.keys()
    own = training(digits, model__freeze=2)
    before = named(own)
    train_one_epoch(own)
    same = before.keys() - changed(before, named(own))
    assert same == set(own.program.start.held)
    assert {name.split(".")[1] for name in same} == {"embeddings", "layers"}
    assert not any(name.startswith("backbone.layers.1") for name in same)


def test_running_statistics_of_what_is_left_as_it_is_stand_still(digits, project):
    resnet(Path("data/resnet"))
    own = training(digits, path="data/resnet", model__freeze=1)
    before = named(own)
    train_one_epoch(own)
    moved = {name for name in changed(before, named(own)) if name.endswith("running_mean")}
    still = {name for name in before if name.endswith("running_mean")} - moved
    assert still
    assert all(name.startswith("backbone.embedder") for name in still)
    assert all(name.startswith("backbone.encoder") for name in moved)


def test_from_an_epoch_on_the_rest_learns_too(digits, project):
    vit(Path("data/vit"))
    own = training(digits, model__freeze=1, train__unfreeze_epoch=2)
    before = named(own)
    train_one_epoch(own)
    assert "backbone.embeddings.cls_token" not in changed(before, named(own))
    train_one_epoch(own)
    assert "backbone.embeddings.cls_token" in changed(before, named(own))


def test_old_layers_may_take_smaller_steps(digits, project):
    vit(Path("data/vit"))
    factors = {own.pattern: own.learning_rate for own in training(digits, train__transferred_rate=0.1).program.factors}
    assert factors["backbone.layernorm.bias"] == 0.1
    assert not any(name.startswith("head") for name in factors)


@pytest.mark.parametrize(
    ("make", "more"),
    [
        (vit, {"model__freeze": 1, "train__unfreeze_epoch": 2}),
        (vit, {"model__freeze": 2, "train__ema": 0.9}),
        (resnet, {"model__freeze": 1}),
        (resnet, {}),
    ],
)
def test_stopped_it_goes_on_to_the_same_bits(digits, project, make, more):
    make(Path("data/net"))

    def started():
        return training(digits, path="data/net", **more)

    whole = train_to_end(started())
    assert equal(whole, 0, gone_on(interrupted(started(), 8), started()))


@pytest.mark.parametrize("make", [vit, resnet])
def test_a_state_holds_what_is_trained_alone(digits, project, make):
    """Of what is trained later all, from the beginning."""
    make(Path("data/net"))
    own, all_of_it = (training(digits, path="data/net", model__freeze=freeze) for freeze in (1, 0))
    slots = {slot.name: slot.num_columns for slot in own.net.layout.slots}
    free = sum(slots.values()) - sum(slots[name] for name in own.program.start.held)
    sizes = {name: each.shape[1] for name, each in own.state()[0].items() if name in own._places()}
    assert (sizes["parameters"], sizes["best"]) == (free, free)
    assert sizes["optimizer.first"] < all_of_it.state()[0]["optimizer.first"].shape[1]
    assert all_of_it.state()[0]["parameters"].shape[1] == sum(slots.values())
    later = training(digits, path="data/net", model__freeze=1, train__unfreeze_epoch=2)
    assert later.state()[0]["parameters"].shape[1] == sum(slots.values())


def test_whole_weights_are_kept_of_a_network_with_blocks_that_stay(digits, project):
    folder = vit(Path("data/vit"))
    run_folder, _ = run(digits, **keys(model__freeze=2, train__epochs=1))
    there, best = load_file(folder / "model.safetensors"), weights(run_folder)
    assert np.array_equal(best["backbone.embeddings.cls_token"], there["embeddings.cls_token"])
    assert np.abs(best["backbone.layers.1.mlp.fc1.weight"]).max() > 0
    assert run_folder.load_state()[0]["parameters"].shape[1] < sum(each.size for each in best.values())


def test_it_answers_from_its_weights_alone(digits, project):
    vit(Path("data/vit"))
    more = keys(model__widths=[8], model__dropout=0.2, train__epochs=1)
    folder, model = run(digits, **more)
    program = program_of(model, configs(**more)[1], digits.manifest)[0]
    publish(folder, Path("artifacts/train"), model, digits.manifest, program)
    assert folder.read()["start"]["run"] == "data/vit"
    os.rename("data/vit", "data/gone")
    predictor, val = load_predictor(Path("artifacts/train")), digits.split("val")
    logits = predictor.logits(torch.from_numpy(np.array(val.inputs)))
    loss = predictor.losses(logits, torch.from_numpy(np.array(val.labels))).mean()
    assert float(loss) == pytest.approx(folder.read()["best_val_loss"], rel=1e-5)


def test_tensors_of_other_names_are_told_with_the_library_that_had_them(digits, project):
    vit(Path("data/vit"))
    more = keys(train__epochs=1)
    folder, model = run(digits, **more)
    publish(folder, Path("artifacts/train"), model, digits.manifest, program_of(model, configs(**more)[1], digits.manifest)[0])
    file = Path("artifacts/train/best.safetensors")
    tensors, meta = artifacts.load_tensors(file)
    tensors["backbone.other"] = tensors.pop("backbone.layernorm.bias")
    artifacts.save_tensors(file, tensors, meta)
    described = artifacts.read_json(file.with_name("model.json"))
    artifacts.write_json(file.with_name("model.json"), described | {"weights_sha256": artifacts.file_digest(file)})
    with pytest.raises(StorageError, match=r"has no backbone\.layernorm\.bias.*pip install transformers=="):
        load_predictor(file.parent)


def test_a_worker_needs_no_folder(digits, project):
    vit(Path("data/vit"))
    program, lane = program_of(*configs(**keys()), digits.manifest)
    os.rename("data/vit", "data/gone")
    own = Training(program, [lane], digits, [NONE], torch.device("cpu"))
    train_one_epoch(own)
    assert np.isfinite(own.net.flat.numpy()).all()


def test_its_identity_is_that_of_the_folders_contents(digits, project):
    def of(path):
        return identity(*configs(**keys(path=path)), "image", "data", "views", "cpu").run

    vit(Path("data/vit"))
    vit(Path("data/other"), seed=1)
    first = of("data/vit")
    assert of("data/other") != first
    os.rename("data/vit", "data/same")
    assert of("data/same") == first


def test_what_can_not_be_trained_is_refused(digits, project):
    vit(Path("data/vit"))
    with pytest.raises(
        ConfigError, match=r"model\.freeze = 9: at most 4 here; the blocks are backbone\.embeddings, backbone\.layers\.0"
    ):
        training(digits, model__freeze=9)


@pytest.mark.parametrize("make", [convnext, resnet])
def test_published_layouts_pass_what_every_module_has_to(project, make):
    backbone = opened(make(Path("data/net")), "image")
    check(backbone, (3, 16, 16))


def test_a_network_for_sounds_passes_too(project):
    check(opened(wav2vec2(Path("data/net")), "audio"), (1, 400))


def check(backbone, shape):
    """What `train` looks at before it takes a step."""
    from pipeline.kinds.inputs import Taken

    plan = planned(backbone, shape)
    model = configs(**keys())[0].model_dump() | {"plan": plan}
    spec = spec_of(model, Taken(tuple(plan["input"])), 3)
    spec.check(4)
    rows = torch.zeros(2, *shape, dtype=torch.uint8 if backbone.kind == "image" else torch.float32)
    assert tuple(cast_of(plan, shape, "cpu")(rows).shape) == (2, *plan["input"])


def source(digits, **more):
    """A short run, published."""
    more = keys(model__widths=[8], train__epochs=1, **more)
    folder, model = run(digits, **more)
    publish(folder, Path("artifacts/train"), model, digits.manifest, program_of(model, configs(**more)[1], digits.manifest)[0])
    return folder


def test_it_goes_on_from_layers_that_another_run_has_trained(digits, project):
    vit(Path("data/vit"))
    run_folder = source(digits)
    there = weights(run_folder)
    more = {"model__widths": [8], "model__init_from": run_folder.id}
    own = training(digits, **more)
    assert all(np.array_equal(there[name], values) for name, values in named(own).items())
    assert own.program.start.new == ()
    manifest = replace(digits.manifest, classes=[f"digit {name}" for name in digits.manifest.classes])
    program, lane = program_of(*configs(**keys(**more, model__freeze=2)), manifest)
    assert set(program.start.new) == {name for name in there if name.startswith("head.3")}
    own = Training(program, [lane], digits, [NONE], torch.device("cpu"))
    before = named(own)
    assert np.array_equal(before["head.0.weight"], there["head.0.weight"])
    assert not np.array_equal(before["head.3.weight"], there["head.3.weight"])
    train_to_end(own)
    same = before.keys() - changed(before, named(own))
    assert same == set(program.start.held)
    assert own.state()[0]["parameters"].shape[1] < own.net.layout.num_columns


def test_only_the_same_networks_trained_layers_are_a_start(digits, project):
    vit(Path("data/vit"))
    run_folder = source(digits)
    vit(Path("data/other"), seed=1)
    with pytest.raises(ConfigError, match=r"it has not trained the layers of vit in data/other; choose a run that has"):
        training(digits, path="data/other", model__widths=[8], model__init_from=run_folder.id)
    with pytest.raises(ConfigError, match=r"it had a backbone, and no other network can start from such a one"):
        program_of(*configs(model__init_from=run_folder.id), digits.manifest)
    with pytest.raises(ConfigError, match=r"its head\.0\.weight is 8 x 32, here it is 4 x 32.*choose the same"):
        training(digits, model__widths=[4], model__init_from=run_folder.id)
    with pytest.raises(ConfigError, match=r"a head over features starts from first values; say null, or model\.freeze=0"):
        configs(**keys(model__freeze="all", model__init_from=run_folder.id))
    check_names(configs(**keys(model__widths=[8], model__init_from=run_folder.id))[0], "image")
