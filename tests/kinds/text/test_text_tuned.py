"""A published network for texts whose own layers are trained: exactly, alone and on workers, each text by itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from published_networks import of_texts
from run_helpers import configs, run, weights
from team_helpers import check_shared, one_thread
from text_samples import write_jsonl
from training_helpers import NONE, equal, gone_on, interrupted, train_one_epoch, train_to_end

from pipeline.backbones.folder import opened
from pipeline.backbones.loading import Extractor
from pipeline.backbones.tuned import cast_of
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.kinds.ragged import Ragged
from pipeline.model.predictor import load_predictor
from pipeline.model.specs import spec_of
from pipeline.runs.record import publish
from pipeline.train.program import program_of
from pipeline.train.training import Training
from pipeline.train.tree import Team

pytest.importorskip("transformers", reason="needs the extra backbones")
__all__ = ["one_thread"]
CPU = torch.device("cpu")
Build = Callable[..., Dataset]
LAYOUTS = ("bert", "distilbert", "roberta", "electra")


@pytest.fixture
def films(tmp_path: Path, build_texts: Build, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Whose lengths differ, and whose few words say the label."""
    draws = np.random.default_rng(0)
    words, labels = ["film", "day", "a", "the", "very"], ["good", "bad"]
    rows = [(" ".join([*draws.choice(words, draws.integers(1, 9)), labels[i % 2], f"x{i}"]), labels[i % 2]) for i in range(160)]
    found = build_texts(path=str(write_jsonl(tmp_path / "films.jsonl", rows)))
    monkeypatch.chdir(tmp_path)
    return found


def keys(path: str, **more: Any) -> dict[str, Any]:
    own = {"model__arch": "backbone", "model__backbone": "hf", "model__backbone_path": path, "model__freeze": 0}
    small = {"train__epochs": 2, "train__batch_size": 32, "train__threads": 1, "model__dropout": 0.0, "model__widths": []}
    return {**own, **small, **more}


def training(data: Dataset, path: str, team: Team | None = None, **more: Any) -> Training:
    program, lane = program_of(*configs(**keys(path, **more)), data.manifest)
    return Training(program, [lane], data, [NONE], CPU, team)


def rows(*texts: str) -> Ragged:
    return Ragged.of([torch.tensor(list(text.encode()), dtype=torch.uint8) for text in texts])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_starts_where_its_features_are_and_learns(films: Dataset, layout: str) -> None:
    folder = of_texts(layout, Path("data") / layout)
    own = training(films, str(folder), train__epochs=12, train__learning_rate=0.01)
    texts = rows("good", "the very bad film a day not a film the good day", "film")
    features = Extractor(opened(folder, "text"), (), "cpu")(texts)
    head = [own.net.layout.named(own.net.flat[0].numpy())[f"head.0.{name}"] for name in ("weight", "bias")]
    expected = torch.nn.functional.linear(features, *map(torch.from_numpy, head))
    torch.testing.assert_close(own.net.forward(own.to_input(texts))[0], expected, rtol=1e-4, atol=1e-5)
    train_to_end(own)
    assert own.judged(films.split("test"))[0]["accuracy"] > 0.9


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_fills_up_says_nothing_of_a_row_nor_of_its_gradient(films: Dataset, layout: str) -> None:
    own = training(films, str(of_texts(layout, Path("data") / layout)))
    assert own.program.spec.notes() == []
    short, both = (own.to_input(rows(*texts)) for texts in (["good day"], ["good day", "the very bad film a day not a film"]))
    torch.testing.assert_close(own.net.forward(short)[0, 0], own.net.forward(both)[0, 0], rtol=1e-4, atol=1e-5)
    net = own.net.plain().train(False)
    grads = []
    for inputs in (short, both):
        net.zero_grad()
        net.module(*inputs.padded())[0].sum().backward()
        grads.append([each.grad.clone() for each in net.parameters()])
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_stopped_it_goes_on_to_the_same_bits(films: Dataset, layout: str) -> None:
    folder = str(of_texts(layout, Path("data") / layout))
    more = {"model__freeze": 1, "train__unfreeze_epoch": 2}
    whole = train_to_end(training(films, folder, **more))
    assert equal(whole, 0, gone_on(interrupted(training(films, folder, **more), 5), training(films, folder, **more)))


def test_blocks_are_left_as_they_are(films: Dataset) -> None:
    own = training(films, str(of_texts("bert", Path("data/bert"))), model__freeze=2)
    before = own.net.layout.named(own.net.flat[0].numpy())
    train_one_epoch(own)
    after = own.net.layout.named(own.net.flat[0].numpy())
    same = {name for name in before if np.array_equal(before[name], after[name])}
    held = set(own.program.start.held)
    assert held <= same
    assert same - held <= {"backbone.embeddings.token_type_embeddings.weight"}
    assert {".".join(name.split(".")[1:4]) for name in held if "encoder" in name} == {"encoder.layer.0"}


def shared(data: str, path: str, team: Team | None = None) -> Training:
    return training(open_dataset(Path(data)), path, team, train__shards=4)


@pytest.mark.filterwarnings("ignore")
def test_workers_that_stop_and_go_on_give_the_bits_of_one(films: Dataset, tmp_path: Path, one_thread: None) -> None:
    given = (str(films.path.absolute()), str(of_texts("bert", Path("data/bert"))))
    check_shared(2, train_to_end(shared(*given)), shared, given, tmp_path)


def test_it_answers_from_its_weights_alone(films: Dataset) -> None:
    of_texts("bert", Path("data/bert"))
    more = keys("data/bert", model__widths=[8], train__epochs=1)
    folder, model = run(films, **more)
    publish(folder, Path("artifacts/train"), model, films.manifest, program_of(model, configs(**more)[1], films.manifest)[0])
    os.rename("data", "gone")
    predictor, val = load_predictor(Path("artifacts/train")), films.split("val")
    logits = predictor.logits([torch.from_numpy(np.array(val.sample(i))) for i in range(len(val))])
    loss = float(predictor.losses(logits, torch.from_numpy(np.array(val.labels))).mean())
    assert loss == pytest.approx(folder.read()["best_val_loss"], rel=1e-4)


def test_it_goes_on_from_layers_that_another_run_has_trained(films: Dataset) -> None:
    """On other texts, whose own vocabulary says nothing to it."""
    of_texts("bert", Path("data/bert"))
    more = keys("data/bert", train__epochs=1)
    folder, model = run(films, **more)
    publish(folder, Path("artifacts/train"), model, films.manifest, program_of(model, configs(**more)[1], films.manifest)[0])
    there = replace(films, manifest=replace(films.manifest, fit={}, classes=["no", "yes"]))
    own = training(there, "data/bert", model__freeze=2, model__init_from=folder.id)
    before = own.net.layout.named(own.net.flat[0].numpy())
    assert own.program.start.new == ("head.0.weight", "head.0.bias")
    best = weights(folder)
    assert all(np.array_equal(before[name], best[name]) for name in best if name.startswith("backbone."))
    train_one_epoch(own)


def test_the_network_is_made_without_the_tokenizer_which_may_be_megabytes(films: Dataset) -> None:
    program, _ = program_of(*configs(**keys(str(of_texts("bert", Path("data/bert"))))), films.manifest)
    assert "tokenizer" in program.plan["recipe"]
    assert "tokenizer" not in program.spec.keys
    assert cast_of(program.plan, (), CPU)(rows("good day")).items.tolist() == [2, 4, 7, 3]
    inputs = program.spec.input_shape, program.spec.lengths, program.spec.num_tokens
    assert inputs == ((), (1, 9, 14), 12)
    assert spec_of(configs(**keys("data/bert"))[0].model_dump() | {"plan": program.plan}, _taken(program), 2) is not None


def _taken(program: Any) -> Any:
    from pipeline.backbones.tuned import taken_of

    return taken_of(program.plan)
