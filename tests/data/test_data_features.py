"""Features made once by a pretrained network: a dataset of their own, the same bytes after any stop."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from published_networks import SCALE, resnet, saved, vit
from run_helpers import configs, run, weights
from training_helpers import NONE

from pipeline import artifacts
from pipeline.backbones.loading import CHUNK, Extractor
from pipeline.data import features
from pipeline.data.dataset import open_dataset
from pipeline.data.views import Views, open_views, write_view_folder
from pipeline.errors import ConfigError, StorageError
from pipeline.model.predictor import load_predictor
from pipeline.runs.record import publish
from pipeline.schema.model import NO_FOLDER
from pipeline.train.program import program_of
from pipeline.train.training import Training

pytest.importorskip("transformers", reason="needs the extra backbones")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vit(Path("data/vit"))
    return tmp_path


def keys(path="data/vit", **more):
    """The keys of a head over the network in a folder."""
    own = {"model__arch": "backbone", "model__backbone": "hf", "model__backbone_path": path, "model__freeze": "all"}
    return {**own, "model__widths": [], "model__dropout": 0.0, **more}


def made(digits, **more):
    return features.made_by(configs(**keys(**more))[0], digits.manifest, "cpu")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_they_are_the_networks_own_for_each_row_in_order(digits, project):
    found = features.dataset_features(made(digits), digits)
    extract = Extractor(made(digits).backbone, tuple(digits.manifest.shape), "cpu")
    for name in ("train", "val"):
        expected = extract(torch.from_numpy(np.array(digits.split(name).inputs)))
        assert np.array_equal(found.split(name).inputs, expected.numpy())
        assert np.array_equal(found.split(name).ids, digits.split(name).ids)
        assert np.array_equal(found.split(name).labels, digits.split(name).labels)
    rows = np.array(found.split("train").inputs, np.float64)
    np.testing.assert_allclose(found.manifest.fit["mean"], rows.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.manifest.fit["std"], rows.std(0), rtol=1e-6)
    assert (found.manifest.kind, found.manifest.shape, found.manifest.prepared) == ("features", [32], digits.manifest.digest)


def test_the_test_split_is_left_alone_unless_it_is_asked_for(digits, project):
    found = features.dataset_features(made(digits), digits)
    assert not (found.path / "test").exists()
    tested = features.dataset_features(made(digits), digits, features.TESTED)
    assert len(tested.split("test")) == len(digits.split("test"))
    assert tested.manifest.digest == found.manifest.digest
    assert np.array_equal(tested.split("val").inputs, found.split("val").inputs)


def test_a_second_time_needs_neither_the_network_nor_its_library(digits, project, monkeypatch):
    first = contents(features.dataset_features(made(digits), digits).path)
    monkeypatch.setattr(features.Network, "extract", None)
    assert contents(features.dataset_features(made(digits), digits).path) == first


@pytest.mark.parametrize("cut", [0, 1, 40, 128, 128 + 4 * 32 * CHUNK, 128 + 4 * 32 * CHUNK + 7])
def test_stopped_at_any_byte_they_become_the_same(digits, project, cut):
    whole = features.dataset_features(made(digits), digits).path
    expected = contents(whole)
    file = whole / "train" / "inputs.npy"
    work = whole.with_name(f"{whole.name}.unfinished") / "train.npy"
    work.parent.mkdir()
    work.write_bytes(file.read_bytes()[:cut])
    shutil.rmtree(whole)
    assert contents(features.dataset_features(made(digits), digits).path) == expected
    assert not work.parent.exists()


def test_what_was_made_is_not_made_again(digits, project, monkeypatch):
    class Killed(BaseException):
        pass

    calls, forward = [], Extractor.forward

    def counted(self, rows):
        calls.append(len(rows))
        if len(calls) == 5:
            raise Killed
        return forward(self, rows)

    monkeypatch.setattr(Extractor, "forward", counted)
    with pytest.raises(Killed):
        features.dataset_features(made(digits), digits)
    features.dataset_features(made(digits), digits)
    num = sum(-(-len(digits.split(name)) // CHUNK) for name in ("train", "val"))
    assert len(calls) == num + 1, "the chunk that was under way is made again, the four before it are not"


def test_other_weights_inputs_or_data_have_another_digest(digits, project):
    vit(Path("data/other"), seed=1)
    resnet(Path("data/resnet"))
    found = {made(digits, path=path).digest for path in ("data/vit", "data/other", "data/resnet")}
    assert len(found) == 3
    os.rename("data/vit", "data/same")
    assert made(digits, path="data/same").digest in found


def test_a_head_learns_on_them_and_answers_from_its_folder_alone(digits, project):
    model, train = configs(**keys(), train__epochs=3)
    of = features.made_by(model, digits.manifest, "cpu")
    data = features.dataset_features(of, digits)
    folder, _ = run(data, **keys())
    assert set(weights(folder)) == {"output.weight", "output.bias"}
    assert folder.load_state()[0]["parameters"].shape[1] < 500, "the network is no part of a state"
    assert folder.read()["hashes"]["dataset"] == digits.manifest.digest
    program = program_of(model, train, data.manifest)[0]
    publish(folder, Path("artifacts/train"), model, digits.manifest, program, (), of)
    os.rename("data/vit", "data/gone")
    predictor = load_predictor(Path("artifacts/train"))
    val = digits.split("val")
    logits = predictor.logits(torch.from_numpy(np.array(val.inputs)))
    labels = torch.from_numpy(np.array(val.labels))
    best = folder.read()["best_val_loss"]
    assert float(predictor.losses(logits, labels).mean()) == pytest.approx(best, rel=1e-5)


def published(digits, **more):
    model, train = configs(**keys(**more), train__epochs=1)
    of = features.made_by(model, digits.manifest, "cpu")
    data = features.dataset_features(of, digits)
    folder, _ = run(data, **keys(**more), train__epochs=1)
    publish(folder, Path("artifacts/train"), model, digits.manifest, program_of(model, train, data.manifest)[0], (), of)


def test_kept_by_reference_it_answers_from_the_folder_and_says_when_that_is_gone_or_another(digits, project):
    published(digits, model__backbone_kept="reference")
    assert not Path("artifacts/train/backbone").exists()
    row = torch.from_numpy(np.array(digits.split("val").inputs[:1]))
    load_predictor(Path("artifacts/train")).logits(row)
    os.rename("data/vit", "data/moved")
    with pytest.raises(StorageError, match="made by vit in data/vit, which is not there; make the link again with"):
        load_predictor(Path("artifacts/train"))
    vit(Path("data/vit"), seed=5)
    with pytest.raises(StorageError, match="data/vit: another network than the one that"):
        load_predictor(Path("artifacts/train"))


def test_how_the_network_is_kept_is_no_part_of_a_run(digits, project):
    folder, _ = run(features.dataset_features(made(digits), digits), **keys(), train__epochs=1)
    again, _ = run(features.dataset_features(made(digits), digits), **keys(model__backbone_kept="reference"), train__epochs=1)
    assert again.id == folder.id


def test_stored_copies_have_features_of_their_own(digits, project, policy):
    shifted = policy(views=2, translate=0.2)
    Path("copies").mkdir()
    write_view_folder(digits, shifted, Path("copies"), torch.device("cpu"))
    plain, found = open_views(Path("copies")), features.views_features(made(digits), Path("copies"))
    assert found.digest == plain.digest
    extract = Extractor(made(digits).backbone, tuple(digits.manifest.shape), "cpu")
    for own, stored in zip(found.arrays, plain.arrays, strict=True):
        assert np.array_equal(own.values, extract(torch.from_numpy(np.array(stored.values))).numpy())
    data = features.dataset_features(made(digits), digits)
    program, lane = program_of(*configs(**keys(), train__epochs=2), data.manifest)
    training = Training(program, [lane], data, [found], torch.device("cpu"))
    training.train_epoch()


def test_drawn_copies_are_refused(digits, project, policy):
    model = configs(**keys())[0]
    with pytest.raises(ConfigError, match=r"augment.views = 0: copies are drawn anew.*augment.views=4"):
        features.check_views(model, policy(views=0, flip=0.5))
    features.check_views(model, policy(views=0))
    features.check_views(configs()[0], policy(views=0, flip=0.5))


def test_heads_side_by_side_learn_what_each_learns_alone(digits, project):
    data = features.dataset_features(made(digits), digits)
    program, lane = program_of(*configs(**keys(model__widths=[16], model__dropout=0.3), train__epochs=2), data.manifest)
    lanes = [replace(lane, seed=seed) for seed in (0, 1, 2)]

    def trained(own):
        training = Training(program, own, data, [NONE] * len(own), torch.device("cpu"))
        training.train_epoch()
        return training.net.flat

    together = trained(lanes)
    assert all(torch.equal(together[k], trained([one])[0]) for k, one in enumerate(lanes))


def test_a_program_is_planned_before_there_are_features(digits, project):
    program, _ = program_of(*configs(**keys()), digits.manifest)
    assert program.spec.input_shape == (32,)
    assert program.spec.layout().num_parameters == 32 * 10 + 10


def test_colours_are_not_made_grey_without_a_word(digits, project):
    from transformers import ViTConfig, ViTModel

    grey = SCALE | {"image_mean": [0.5], "image_std": [0.5]}
    config = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=16, patch_size=8, num_channels=1)
    saved(ViTModel, config, Path("data/grey"), 0, grey)
    coloured = replace(digits.manifest, shape=[3, 8, 8])
    with pytest.raises(ConfigError, match=r"it takes grey images, and these are in colours; say data\.channels=grey"):
        features.made_by(configs(**keys(path="data/grey"))[0], coloured, "cpu")


def test_a_folder_of_other_bytes_is_noticed(digits, project):
    found = features.dataset_features(made(digits), digits)
    file = found.path / "train" / "inputs.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(StorageError, match="not the bytes"):
        open_dataset(found.path)


def test_no_network_is_no_features(digits):
    model = configs()[0]
    assert model.backbone_path == NO_FOLDER
    assert features.made_by(model, digits.manifest, "cpu") is None
    assert isinstance(NONE, Views)
    assert artifacts.digest([1]) != artifacts.digest([2])
