"""Texts from their file to answers, exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from team_helpers import check_shared, one_thread
from text_samples import policy, reviews, write_jsonl
from training_helpers import equal, gone_on, interrupted, train_to_end

from pipeline.baselines.fitting import fitted_baselines
from pipeline.config import composed
from pipeline.data import batches
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.views import Views, open_views, write_view_folder
from pipeline.kinds.text.inputs import as_stored
from pipeline.schema.base import validated
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.program import program_of
from pipeline.train.training import Training
from pipeline.train.tree import Team

__all__ = ["one_thread"]

CPU = torch.device("cpu")
Build = Callable[..., Dataset]


@pytest.fixture
def films(tmp_path: Path, build_texts: Build) -> Dataset:
    return build_texts(path=str(write_jsonl(tmp_path / "films.jsonl", reviews(240))))


SMALL = {
    "text": {"width": 16, "hidden": 16},
    "textcnn": {"width": 16, "channels": 8},
    "transformer": {"width": 16, "heads": 2},
}


def trained_on(data: Dataset, views: Views, team: Team | None = None, network: str = "text", **changes: Any) -> Training:
    recipe = "text" if network == "text" else "tokens"
    keys = composed(overrides=["data=text", f"model={network}", f"train={recipe}"])
    train = keys["train"] | {"epochs": 3, "batch_size": 32, "shards": 4} | changes
    small = keys["model"] | {"keys": keys["model"]["keys"] | SMALL[network]}
    program, lane = program_of(validated(ModelConfig, small, "model"), validated(TrainConfig, train, "train"), data.manifest)
    return Training(program, [lane], data, [views], CPU, team)


def views_of(data: Dataset, folder: Path, **changes: Any) -> Views:
    folder.mkdir(exist_ok=True)
    write_view_folder(data, policy(**changes), folder, CPU)
    return open_views(folder)


def test_words_that_say_the_label_are_learned(films: Dataset, tmp_path: Path) -> None:
    training = train_to_end(trained_on(films, views_of(films, tmp_path / "v"), shards=1, learning_rate=0.01))
    assert training.judged(films.split("test"))[0]["accuracy"] > 0.95
    cast = training.batches.stocks[0].source.cast
    assert cast(rows := object()) is rows  # inputs were made once


@pytest.mark.parametrize("changes", [{}, {"delete": 0.2, "swap": 0.2}, {"delete": 0.2, "views": 2}])
def test_it_resumes_exactly_at_any_step(films: Dataset, tmp_path: Path, changes: dict[str, Any]) -> None:
    views = views_of(films, tmp_path / "v", **changes)
    whole = train_to_end(trained_on(films, views))
    for after in (1, whole.steps_per_epoch, 2 * whole.steps_per_epoch + 2):
        torch.manual_seed(after)
        first, second = (trained_on(films, views) for _ in range(2))
        assert equal(whole, 0, gone_on(interrupted(first, after), second)), after


@pytest.mark.parametrize(("network", "tokens"), [("textcnn", "words"), ("transformer", "characters"), ("textcnn", "bytepairs")])
def test_tokens_in_their_order_are_learned_and_resume_exactly(
    network: str, tokens: str, tmp_path: Path, build_texts: Build
) -> None:
    rows = [(text if i % 2 else " ".join(reversed(text.split())), ("as it is", "backwards")[i % 2 == 0])
            for i, (text, _) in enumerate(reviews(240))]  # fmt: skip
    data = build_texts(path=str(write_jsonl(tmp_path / "t.jsonl", rows)), tokens=tokens, pairs=300, length=24)
    views = views_of(data, tmp_path / "v", delete=0.1)
    recipe = {"network": network, "shards": 2, "epochs": 4, "learning_rate": 0.01}
    whole = train_to_end(trained_on(data, views, **recipe))
    first, second = (trained_on(data, views, **recipe) for _ in range(2))
    assert equal(whole, 0, gone_on(interrupted(first, whole.steps_per_epoch + 1), second))
    if tokens != "characters":  # too short a training for them
        assert whole.judged(data.split("test"))[0]["accuracy"] > 0.9


def test_hashed_ones_are_learned_too(tmp_path: Path, build_texts: Build) -> None:
    path = str(write_jsonl(tmp_path / "films.jsonl", reviews(240)))
    for network, tokens in (("text", "ngrams"), ("textcnn", "words")):
        data = build_texts(path=path, vocabulary="hashed", tokens=tokens)
        recipe = {"network": network, "shards": 1, "learning_rate": 0.01}
        training = train_to_end(trained_on(data, views_of(data, tmp_path / f"v-{tokens}"), **recipe))
        assert training.judged(data.split("test"))[0]["accuracy"] > 0.95


def test_inputs_that_are_kept_are_those_that_are_made_each_time(
    films: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = views_of(films, tmp_path / "v", delete=0.2, views=2)
    kept = train_to_end(trained_on(films, views))
    monkeypatch.setattr(batches, "free_bytes", lambda device: 0)
    each_time = trained_on(films, views)
    assert each_time.batches.stocks[0].source.cast is each_time.to_input
    assert equal(kept, 0, train_to_end(each_time))


def shared(folder: str, views: str, network: str, team: Team | None = None) -> Training:
    return trained_on(open_dataset(Path(folder)), open_views(Path(views)), team, network)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("size", "network", "tokens"),
    [
        (2, "text", "ngrams"),
        pytest.param(4, "text", "ngrams", marks=pytest.mark.slow),
        pytest.param(2, "textcnn", "words", marks=pytest.mark.slow),
        pytest.param(4, "transformer", "bytepairs", marks=pytest.mark.slow),
    ],
)
def test_workers_that_stop_and_go_on_give_the_bits_of_one(
    tmp_path: Path, build_texts: Build, one_thread: None, size: int, network: str, tokens: str
) -> None:
    films = build_texts(path=str(write_jsonl(tmp_path / "films.jsonl", reviews(240))), tokens=tokens, pairs=300)
    alone = train_to_end(trained_on(films, views_of(films, tmp_path / "v", delete=0.2), network=network))
    check_shared(size, alone, shared, (str(films.path), str(tmp_path / "v"), network), tmp_path)


def test_numbers_are_learned_from_texts(tmp_path: Path, build_texts: Build) -> None:
    rows = [(f"{'a very ' * (i % 5)}fine day {i}", str(i % 5 + i / 1000)) for i in range(200)]
    data = build_texts(path=str(write_jsonl(tmp_path / "t.jsonl", rows)), target="number")
    training = train_to_end(trained_on(data, views_of(data, tmp_path / "v"), epochs=12, shards=1, learning_rate=0.01))
    assert training.judged(data.split("test"))[0]["mae"] < 0.5


def test_baselines_are_linear_on_the_same_ngrams(films: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGATTA_RUNS", str(tmp_path / "runs"))
    fitted = fitted_baselines(films)
    assert fitted is not None
    assert [one.words for one in fitted.candidates] == [
        f"logistic regression on words and characters (tf-idf), C = {c}" for c in (3, 20, 100)
    ]
    assert (fitted.answers == films.split("test").labels).mean() > 0.95
    again = fitted_baselines(films)
    assert again is not None
    assert again.answers.tolist() == fitted.answers.tolist()


def test_texts_as_given_have_the_answers_of_those_that_are_stored(films: Dataset) -> None:
    split = films.split("test")
    texts = [split.sample(i).tobytes().decode() for i in range(len(split))]
    rows = as_stored(texts, films.manifest.fit)
    assert all(row.numpy().tobytes() == split.sample(i).tobytes() for i, row in enumerate(rows))
