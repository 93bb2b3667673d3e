"""Weights of n-grams go to where the same n-grams are in another vocabulary."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_helpers import CONF, NoTracker
from text_samples import reviews, write_jsonl
from training_helpers import NONE

from pipeline import artifacts
from pipeline.config import composed
from pipeline.data.dataset import Dataset
from pipeline.errors import ConfigError
from pipeline.kinds.text.inputs import meanings
from pipeline.runs.record import publish
from pipeline.schema.base import validated
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.fit import fit
from pipeline.train.program import program_of
from pipeline.train.training import Training

SMALL = {"width": 8, "hidden": 8}


def configs(words: str = "data=text", small: dict[str, Any] = SMALL, **model: Any) -> tuple[ModelConfig, TrainConfig]:
    keys = composed(CONF, [words])
    network = keys["model"] | {"keys": keys["model"]["keys"] | small} | model
    train = keys["train"] | {"epochs": 1, "batch_size": 32, "threads": 1}
    return validated(ModelConfig, network, "model"), validated(TrainConfig, train, "train")


def source(data: Dataset, **changes: Any) -> tuple[str, dict[str, Any]]:
    model, train = configs(**changes)
    folder = fit(model, train, data, NONE, lambda folder: NoTracker())
    publish(folder, folder.path / "published", model, data.manifest, program_of(model, train, data.manifest)[0])
    return folder.id, artifacts.load_tensors(folder.path / "best.safetensors")[0]


def started(data: Dataset, run: str | None, **model: Any) -> Training:
    program, lane = program_of(*configs(init_from=run, **model), data.manifest)
    return Training(program, [lane], data, [NONE], torch.device("cpu"))


def named(training: Training) -> dict[str, Any]:
    return training.net.layout.named(training.net.flat[0].numpy())


def texts(folder: Path, rows: list[tuple[str, str]]) -> str:
    folder.mkdir()
    return str(write_jsonl(folder / "texts.jsonl", rows))


@pytest.mark.parametrize("labels", ["the same", "other ones"])
def test_known_ngrams_keep_their_weights(
    build_texts: Callable[..., Dataset], tmp_path: Path, monkeypatch: Any, labels: str
) -> None:
    monkeypatch.setenv("REGATTA_RUNS", str(tmp_path / "runs"))
    there = build_texts(path=texts(tmp_path / "a", reviews(120)))
    other = [(f"{text} at the harbour", label if labels == "the same" else f"{label}!") for text, label in reviews(60)]
    here = build_texts(path=texts(tmp_path / "b", other))
    run, before = source(there)
    training = started(here, run)
    found, fresh = named(training), named(started(here, None))
    places = {number: place for place, number in enumerate(meanings(there.manifest.fit))}
    known = np.array([number in places for number in meanings(here.manifest.fit)])
    assert 10 < known.sum() < len(known) - 10
    tables = {"embedding"} | ({"linear"} if labels == "the same" else set())
    for name in tables:
        for place, number in enumerate(meanings(here.manifest.fit)):
            kept = before[name][places[number]] if known[place] else fresh[name][place]
            assert np.array_equal(found[name][place], kept)
    new = () if labels == "the same" else ("linear", "output.weight", "output.bias")
    assert training.program.start.new == new
    assert all(np.array_equal(found[name], fresh[name]) for name in new)
    assert np.array_equal(found["hidden.weight"], before["hidden.weight"])
    assert training.program.start.notes == (f"{known.sum():,} of {len(known):,} tokens were known there",)


def test_another_width_is_refused(build_texts: Callable[..., Dataset], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("REGATTA_RUNS", str(tmp_path / "runs"))
    data = build_texts(path=texts(tmp_path / "a", reviews(120)))
    run, _ = source(data)
    keys = configs()[0].keys | {"width": 16}
    with pytest.raises(ConfigError, match=r"its embedding is \d+ x 8, here it is \d+ x 16"):
        started(data, run, keys=keys)


@pytest.mark.parametrize("tokens", ["words", "bytepairs"])
def test_tokens_in_their_order_keep_what_is_known_of_them(
    build_texts: Callable[..., Dataset], tmp_path: Path, monkeypatch: Any, tokens: str
) -> None:
    monkeypatch.setenv("REGATTA_RUNS", str(tmp_path / "runs"))
    if tokens == "bytepairs":
        pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    network = {"words": "preset=text-cnn", "small": {"width": 8}}
    there = build_texts(path=texts(tmp_path / "a", reviews(120)), tokens=tokens)
    here = build_texts(
        path=texts(tmp_path / "b", [(f"{text} at the harbour", label) for text, label in reviews(60)]), tokens=tokens
    )
    run, before = source(there, **network)
    training = started(here, run, **network)
    found, [name] = named(training), [name for name in before if "embedding" in name]
    places = {meaning: place for place, meaning in enumerate(meanings(there.manifest.fit))}
    known = [(place, places[meaning]) for place, meaning in enumerate(meanings(here.manifest.fit)) if meaning in places]
    assert 5 < len(known) < len(found[name])
    assert all(np.array_equal(found[name][place], before[name][other]) for place, other in known)
