"""Several networks in one file, and what they answer together."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from run_helpers import configs, run
from training_helpers import write_digits

from pipeline import artifacts
from pipeline.commands.export import original
from pipeline.data.dataset import open_dataset
from pipeline.export.answering import answering, answers
from pipeline.model.members import joined_weights, weights_of_members
from pipeline.model.predictor import load_predictor
from pipeline.prediction.split import predict
from pipeline.runs.record import publish
from pipeline.stages.evaluate import who_answers
from pipeline.stages.train import members_of
from pipeline.train.misfits import of_kind
from pipeline.train.program import program_of


def test_each_network_is_found_again_in_the_file_of_all():
    each = [{"output.bias": np.full(2, k, np.float32), "a.b": np.zeros(k + 1, np.float32)} for k in range(12)]
    joined = joined_weights(each)
    assert len(joined) == 24
    for own, found in zip(each, weights_of_members(joined, 12), strict=True):
        assert {name: found[name].tolist() for name in found} == {name: own[name].tolist() for name in own}
    assert joined_weights(each[:1]) is each[0]


@pytest.fixture
def digits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_digits(Path("artifacts/prepare"))
    return open_dataset(Path("artifacts/prepare"))


def trained(data, **changes):
    """As the stage does it: a run for each network, published together; their folders."""
    train = configs(**changes)[1]
    fitted = [run(data, **{**changes, "train__seed": member.seed}) for member in members_of(train)]
    folders, model = [folder for folder, _ in fitted], fitted[0][1]
    publish(folders[0], Path("artifacts/train"), model, data.manifest, program_of(model, train, data.manifest)[0], folders[1:])
    return folders


def test_networks_of_several_seeds_answer_with_their_mean(digits):
    folders = trained(digits, train__epochs=1, train__members=3, train__seed=4)
    described = json.loads(Path("artifacts/train/model.json").read_text())
    assert [(own["id"], own["seed"]) for own in described["members"]] == [(f.id, 4 + i) for i, f in enumerate(folders)]
    together, rows = load_predictor(Path("artifacts/train")), np.array(digits.split("test").inputs[:50])
    found = together.probabilities(together.logits(torch.from_numpy(rows)))
    alone = []
    for folder in folders:
        one = load_predictor(Path("artifacts/train"))
        weights, _ = artifacts.load_tensors(folder.path / "best.safetensors")
        one.nets[0].flat[0].copy_(torch.from_numpy(one.nets[0].layout.row(weights)))
        single = one.probabilities(one.nets[0].forward(one.to_input(torch.from_numpy(rows))[None])[0])
        alone.append(single)
    torch.testing.assert_close(found, torch.stack(alone).mean(0), rtol=1e-5, atol=1e-6)
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)
    assert who_answers(together) == "the mean of 3 networks"


def test_a_member_is_the_run_of_its_seed(digits):
    folders = trained(digits, train__epochs=1, train__members=2)
    assert [run(digits, train__epochs=1, train__seed=seed)[0].id for seed in (0, 1)] == [folder.id for folder in folders]


def test_what_is_exported_answers_as_all_of_them_do_with_mirror_images(digits):
    trained(digits, train__epochs=1, train__members=2, train__tta="mirrored")
    predictor, rows = load_predictor(Path("artifacts/train")), np.array(digits.split("val").inputs[:9])
    exported = torch.export.export(
        answering(predictor), (torch.from_numpy(rows),), dynamic_shapes=({0: torch.export.Dim("batch")},)
    )
    for own, known in zip(answers(exported.module(), torch.from_numpy(rows)), original(predictor, rows), strict=True):
        np.testing.assert_allclose(own, known, rtol=1e-4, atol=1e-5)


def test_a_mirrored_run_is_judged_as_it_answers(digits):
    [folder] = trained(digits, train__epochs=2, train__tta="mirrored", train__ema=0.9)
    predictor = load_predictor(Path("artifacts/train"))
    _, loss = predict(predictor, digits.split("val"), 100)
    assert loss == pytest.approx(folder.read()["best_val_loss"], rel=1e-5)
    assert who_answers(predictor) == "the best model, each sample and its mirror image,"
    rows = torch.from_numpy(np.array(digits.split("test").inputs[:20]))
    torch.testing.assert_close(predictor.logits(rows), predictor.logits(rows.flip(-1)))


def test_rows_of_a_table_have_no_mirror_image():
    [line] = of_kind(configs(train__tta="mirrored")[1], "table")
    assert line == "train.tta = 'mirrored': data of kind table has no mirror image; say train.tta=none"
