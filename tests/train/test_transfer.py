"""Starting from another run's weights: what is taken over, what is new, what stays as it is, and for how long."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from run_helpers import configs, run, weights
from torch.nn.functional import cross_entropy
from training_helpers import NONE, equal, gone_on, interrupted, train_one_epoch, train_to_end

from pipeline import artifacts
from pipeline.data.dataset import Dataset
from pipeline.errors import ConfigError, StorageError
from pipeline.model.net import TRAINED
from pipeline.runs.identity import _identity_keys, _model_keys, identity
from pipeline.runs.record import publish
from pipeline.train.program import program_of
from pipeline.train.training import Training
from pipeline.train.transfer import blocks
from pipeline.train.tree import Team

CNN = {"model": "cnn", "model__channels": [4, 4], "model__widths": [16], "train__threads": 1}
MODULE = {
    "model": "dnn", "model__channels": [],
    "model__arch": "module", "model__name": "cnn", "model__widths": [], "model__dropout": 0.0,
}  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def source(digits, **changes):
    """A short run on the digits, published; its folder and its weights by name."""
    changes = CNN | {"train__epochs": 1, **changes}
    folder, model = run(digits, **changes)
    train = configs(**changes)[1]
    publish(folder, Path("artifacts/train"), model, digits.manifest, program_of(model, train, digits.manifest)[0])
    return folder.id, weights(folder)


def started(data, run_id, team=None, **changes):
    changes = CNN | {"train__epochs": 3, "train__batch_size": 256, "model__init_from": run_id, **changes}
    program, lane = program_of(*configs(**changes), data.manifest)
    return Training(program, [lane], data, [NONE], torch.device("cpu"), team)


def named(training, k=0):
    return training.net.layout.named(training.net.flat[k].numpy())


def other_classes(digits, **more):
    """The digits by other names."""
    return Dataset(digits.path, replace(digits.manifest, classes=[f"digit {name}" for name in digits.manifest.classes], **more))


def test_a_network_of_the_same_answers_starts_where_the_other_ended(digits, project):
    run_id, there = source(digits)
    training = started(digits, run_id)
    assert {name: values.tolist() for name, values in named(training).items()} == {
        name: values.tolist() for name, values in there.items()
    }
    assert training.evaluate("val")[0]["loss"] == pytest.approx(
        artifacts.read_json(project / "runs" / run_id / "run.json")["best_val_loss"], rel=1e-6
    )
    assert training.program.start.new == ()


def test_outputs_of_other_classes_are_new_even_if_they_are_as_many(digits, project):
    run_id, there = source(digits)
    training = started(other_classes(digits), run_id)
    found, fresh = named(training), named(started(digits, None))
    assert training.program.start.new == ("output.weight", "output.bias")
    for name, values in found.items():
        assert np.array_equal(values, (fresh if name.startswith("output") else there)[name]), name


def test_frozen_blocks_stay_to_the_end(digits, project):
    run_id, there = source(digits)
    training = train_to_end(started(other_classes(digits), run_id, model__freeze=2))
    for name, values in named(training).items():
        assert np.array_equal(values, there[name]) == name.startswith("conv"), name
    assert not training.optimizer.first[:, : there["conv1.weight"].size].any()


def test_what_a_start_says_of_itself_is_how_long_what_is_frozen_and_at_which_rate_the_rest_is_trained(digits, project):
    run_id, _ = source(digits)

    def said(**keys):
        start = started(other_classes(digits), run_id, **keys).program.start
        return start.words(keys.get("train__unfreeze_epoch")).partition("; ")

    assert said()[0].startswith(f"starts from the weights of {run_id}: ")
    new, frozen = "new: output.weight, output.bias", "conv1.weight, conv1.bias"
    assert said()[2] == new
    assert said(model__freeze=1)[2] == f"{new}; frozen to the end: {frozen}"
    assert said(model__freeze=1, train__unfreeze_epoch=3)[2] == f"{new}; frozen before epoch 3: {frozen}"
    assert said(model__freeze=1, train__unfreeze_epoch=1)[2] == new
    slower = "the learning rate of what was taken over is multiplied by 0.1"
    assert said(train__transferred_rate=0.1)[2] == f"{new}; {slower}"


def test_frozen_blocks_are_trained_from_the_epoch_that_is_said(digits, project):
    run_id, there = source(digits)
    training = started(other_classes(digits), run_id, model__freeze=1, train__unfreeze_epoch=3)
    for epoch in (1, 2, 3):
        train_one_epoch(training)
        assert np.array_equal(named(training)["conv1.weight"], there["conv1.weight"]) == (epoch < 3)


def test_blocks_that_are_thawed_in_the_first_epoch_were_never_frozen(digits, project):
    run_id, _ = source(digits)
    keys = {"train__epochs": 2, "train__clip_norm": 0.5}
    frozen, free = (started(digits, run_id, **keys, **more) for more in ({"model__freeze": 2, "train__unfreeze_epoch": 1}, {}))
    assert equal(train_to_end(frozen), 0, train_to_end(free))


def test_what_was_held_is_stepped_as_by_an_optimizer_that_begins_then(digits, project):
    """Against torch.optim.AdamW with a group of its own that gets its first gradient after the thaw."""
    run_id, _ = source(digits, model="dnn", model__channels=[])
    keys = {"model": "dnn", "model__channels": [], "model__dropout": 0.0, "model__freeze": 1, "train__unfreeze_epoch": 2}
    rest = {"train__schedule": "constant", "train__warmup_epochs": 0.0, "train__clip_norm": 0.5, "train__epochs": 2}
    training = started(digits, run_id, **keys, **rest)
    names = [slot.name for slot in training.net.layout.slots]
    theirs = [torch.from_numpy(values).clone().requires_grad_() for values in named(training).values()]
    optimizers = {}

    def step_both(block, step, late):
        inputs, targets = block.shard(step, 0, min(256, len(training.ids) - 256 * step))
        w1, b1, w2, b2 = theirs
        for each in theirs:
            each.grad = None
        cross_entropy(torch.relu(inputs[0].flatten(1) @ w1 + b1) @ w2 + b2, targets.labels[0]).backward()
        own = theirs if late else theirs[2:]
        torch.nn.utils.clip_grad_norm_(own, 0.5)
        for i, each in enumerate(theirs):
            if i < 2 and not late:
                continue
            decay = 0.01 if "weight" in names[i] else 0.0
            optimizers.setdefault(i, torch.optim.AdamW([each], lr=2e-3, weight_decay=decay)).step()
        training.update(step, training.gradient(block, step))
        training.progress.step = step + 1

    for epoch in (0, 1):
        for block in training.blocks():
            for step in block.steps:
                step_both(block, step, epoch == 1)
            training._flush()
        training.end_epoch({name: training.evaluate(name) for name in ("train_clean", "val")})
    for name, ours, other in zip(names, named(training).values(), theirs, strict=True):
        np.testing.assert_allclose(ours, other.detach().numpy(), rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("network", [CNN, MODULE], ids=["stacked", "module"])
def test_it_goes_on_exactly_after_a_stop_before_and_after_the_thaw(digits, project, own_modules, network):
    run_id, _ = source(digits, **network)
    keys = {**network, "model__freeze": 1, "train__unfreeze_epoch": 2, "train__transferred_rate": 0.1, "train__clip_norm": 0.5}

    def again():
        return started(other_classes(digits), run_id, **keys)

    whole = train_to_end(again())
    for after in (2, 5, 8, 12):
        assert equal(whole, 0, gone_on(interrupted(again(), after), again())), after


def test_running_statistics_of_frozen_blocks_are_used_and_stay(digits, project, own_modules):
    run_id, there = source(digits, **MODULE)
    training = started(other_classes(digits), run_id, **MODULE, model__freeze=3, train__unfreeze_epoch=3)
    assert list(blocks(training.net.layout)) == ["scale", "stem.0", "stem.1", "head.2"]
    train_one_epoch(training)
    train_one_epoch(training)
    held = {name: values for name, values in named(training).items() if not name.startswith("head")}
    assert "stem.1.running_mean" in held
    assert all(np.array_equal(values, there[name]) for name, values in held.items())
    assert not training.net.module.get_submodule("stem.1").training
    train_one_epoch(training)
    assert all(not np.array_equal(named(training)[name], there[name]) for name in held)


def test_a_smaller_rate_for_what_was_taken_over(digits, project):
    run_id, there = source(digits)
    slow = train_to_end(started(other_classes(digits), run_id, train__transferred_rate=0.01))
    fast = train_to_end(started(other_classes(digits), run_id))
    moved = [np.abs(named(each)["conv2.weight"] - there["conv2.weight"]).mean() for each in (slow, fast)]
    assert moved[0] < 0.05 * moved[1]
    assert np.abs(named(slow)["output.weight"]).mean() == pytest.approx(np.abs(named(fast)["output.weight"]).mean(), rel=0.3)


def test_a_lane_beside_others_starts_and_ends_as_alone(digits, project):
    run_id, _ = source(digits)
    changes = CNN | {"train__epochs": 2, "train__batch_size": 256, "model__init_from": run_id, "model__freeze": 1}
    plans = [program_of(*configs(**changes, train__seed=seed), digits.manifest) for seed in (0, 1)]
    assert plans[0][0] == plans[1][0]
    assert hash(plans[0][0]) == hash(plans[1][0])
    packed = Training(plans[0][0], [lane for _, lane in plans], digits, [NONE] * 2, torch.device("cpu"))
    alone = [Training(program, [lane], digits, [NONE], torch.device("cpu")) for program, lane in plans]
    train_to_end(packed)
    for k, each in enumerate(alone):
        assert equal(packed, k, train_to_end(each))


def test_shards_of_workers_give_the_bits_of_one(digits, project):
    run_id, _ = source(digits)
    keys = {"train__shards": 2, "model__freeze": 1, "train__unfreeze_epoch": 2, "train__epochs": 2}
    alone = started(digits, run_id, **keys)
    first, second = (started(digits, run_id, Team(rank, 2), **keys) for rank in (0, 1))
    for each in (first, second):  # what another process has of a training is what this one has
        assert torch.equal(each.net.flat, alone.net.flat)
        assert each.optimizer.held_until == alone.optimizer.held_until == alone.steps_per_epoch


def coloured(digits, folder):
    """The digits in three equal channels."""
    shutil.copytree(digits.path, folder)
    for name in ("train", "val", "test"):
        inputs = np.load(folder / name / "inputs.npy")
        np.save(folder / name / "inputs.npy", np.repeat(inputs, 3, axis=1))
    fit = {key: values * 3 for key, values in digits.manifest.fit.items()}
    return Dataset(folder, replace(digits.manifest, shape=[3, 8, 8], fit=fit))


def test_a_grey_image_gets_the_same_answer_in_three_channels_and_back(digits, project, tmp_path):
    run_id, _ = source(digits)
    data = coloured(digits, tmp_path / "coloured")
    training = started(data, run_id)
    rows = data.split("val").inputs[:20]
    grey = started(digits, run_id)
    ours, known = (
        each.net.forward(each.to_input(torch.from_numpy(np.array(own)))[None])
        for each, own in ((training, rows), (grey, digits.split("val").inputs[:20]))
    )
    torch.testing.assert_close(ours, known, rtol=1e-4, atol=1e-5)
    assert training.program.start.notes == ("the first convolution's weights of 1 channel taken for 3",)
    changes = CNN | {"train__epochs": 1}
    folder, model = run(data, **changes)
    publish(folder, Path("artifacts/train"), model, data.manifest, program_of(*configs(**changes), data.manifest)[0])
    back = started(digits, folder.id)
    np.testing.assert_allclose(named(back)["conv1.weight"], weights(folder)["conv1.weight"].sum(1, keepdims=True), rtol=1e-6)


def test_a_run_is_what_it_starts_from_not_what_that_is_called(digits, project):
    run_id, _ = source(digits)
    copied = project / "runs" / "copied-run"
    (project / "runs" / run_id).rename(copied)
    record = artifacts.read_json(copied / "run.json")
    again, _ = source(digits)
    artifacts.write_json(copied / "run.json", record | {"id": "copied-run"})
    other, _ = source(digits, train__seed=1)

    def hashed(start, **changes):
        return identity(*configs(**CNN, model__init_from=start, **changes), "image", "d", "none", "cpu").run

    assert hashed("copied-run") == hashed(again)
    assert len({hashed(again), hashed(other), hashed(None), hashed(again, model__freeze=1)}) == 4


def test_a_run_without_a_start_is_what_it_was(digits, project):
    """Keys that came later change no hash of a run that doesn't use them."""
    model, train = configs(**CNN)
    assert model.model_dump().keys() - _model_keys(model, "image").keys() == {
        "init_from", "freeze", "backbone", "backbone_path", "backbone_kept",
    }  # fmt: skip
    assert not _identity_keys(train).keys() & {"transferred_rate", "unfreeze_epoch"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model__init_from": "20200101-000000-abcdef01"}, "is no run of this project; `regatta runs` shows them"),
        ({"model__channels": [4, 8]}, "its conv2.weight is 4 x 4 x 3 x 3, here it is 8 x 4 x 3 x 3"),
        ({"model__channels": [4, 4, 4]}, "it has no conv3.weight"),
        ({"model__channels": [4]}, "on samples of 1x8x8 with model.channels=[4, 4]; choose the same"),
        (
            {"model__freeze": 4},
            "at most 3 here; the blocks are conv1, conv2, dense1, output, and the last one must be trained",
        ),
        ({"train__unfreeze_epoch": 1}, "train.unfreeze_epoch = 1: model.freeze is 0"),
        ({"model__freeze": 1, "train__unfreeze_epoch": 9}, "training has train.epochs = 3; choose at most that"),
        ({"model__init_from": None, "train__transferred_rate": 0.1}, "nothing is taken over; say model.init_from=RUN"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(digits, project, changes, told):
    run_id, _ = source(digits)
    with pytest.raises(ConfigError) as error:
        started(digits, run_id=changes.pop("model__init_from", run_id), **changes)
    assert told in str(error.value)


def test_too_many_blocks_are_frozen_where_outputs_are_new(digits, project):
    run_id, _ = source(digits)
    with pytest.raises(ConfigError, match=r"dense1, output, of which output is new$"):
        started(other_classes(digits), run_id, model__freeze=4)


def test_freezing_needs_a_start():
    with pytest.raises(ConfigError, match=r"freeze = 1: without init_from there is nothing to leave as it is"):
        configs(model__freeze=1)


def test_weights_of_another_kind_of_data_are_refused(digits, project):
    run_id, _ = source(digits)
    with pytest.raises(ConfigError, match=r"it was trained on image data, this is audio data"):
        started(other_classes(digits, kind="audio"), run_id)


def test_files_of_the_source_that_are_not_whole(digits, project):
    run_id, _ = source(digits)
    folder = project / "runs" / run_id
    content = (folder / "best.safetensors").read_bytes()
    (folder / "best.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StorageError, match=r"best.safetensors: is not what model.json beside it was written for"):
        started(digits, run_id)
    (folder / "model.json").unlink()
    with pytest.raises(ConfigError, match=r"it has no model.json, which an older version did not keep"):
        started(digits, run_id)


def test_a_run_that_is_not_finished_is_refused(digits, project):
    folder, _ = run(digits, **CNN | {"train__epochs": 1})
    folder.write(state="stopped")
    with pytest.raises(ConfigError, match=rf"model.init_from = {folder.id}: it is stopped"):
        started(digits, folder.id)


def test_all_trained_tensors_of_a_start_have_a_layout(digits, project):
    run_id, _ = source(digits)
    layout = started(digits, run_id).net.layout
    assert {slot.role for slot in layout.slots} == {TRAINED}
    assert list(blocks(layout)) == ["conv1", "conv2", "dense1", "output"]
