"""Texts from their file to answers, exactly."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from text_samples import policy, reviews, write_jsonl
from training_helpers import equal, gone_on, interrupted, train_to_end, untimed

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

CPU = torch.device("cpu")
Build = Callable[..., Dataset]


@pytest.fixture
def films(tmp_path: Path, build_texts: Build) -> Dataset:
    return build_texts(path=str(write_jsonl(tmp_path / "films.jsonl", reviews(240))))


def trained_on(data: Dataset, views: Views, team: Team | None = None, **changes: Any) -> Training:
    keys = composed(overrides=["data=text"])
    train = keys["train"] | {"epochs": 3, "batch_size": 32, "shards": 4} | changes
    small = keys["model"] | {"keys": keys["model"]["keys"] | {"width": 16, "hidden": 16}}
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


def test_inputs_that_are_kept_are_those_that_are_made_each_time(
    films: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = views_of(films, tmp_path / "v", delete=0.2, views=2)
    kept = train_to_end(trained_on(films, views))
    monkeypatch.setattr(batches, "free_bytes", lambda device: 0)
    each_time = trained_on(films, views)
    assert each_time.batches.stocks[0].source.cast is each_time.to_input
    assert equal(kept, 0, train_to_end(each_time))


def _worker(rank: int, size: int, port: int, folder: str, views: str, out: str, tests: str) -> None:
    sys.path.insert(0, tests)
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=size)
    trained = train_to_end(trained_on(open_dataset(Path(folder)), open_views(Path(views)), Team(rank, size)))
    torch.save({"flat": trained.net.flat, "best": trained.best.flat}, f"{out}/{rank}.pt")
    Path(out, f"{rank}.txt").write_text(repr([untimed(rows) for rows in trained.rows]))
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_workers_give_the_bits_of_one(films: Dataset, tmp_path: Path, request: pytest.FixtureRequest, size: int) -> None:
    before = torch.get_num_threads()
    request.addfinalizer(lambda: torch.set_num_threads(before))
    torch.set_num_threads(1)
    alone = train_to_end(trained_on(films, views_of(films, tmp_path / "v", delete=0.2)))
    port, tests = 31500 + (os.getpid() + 400 * size) % 1000, str(Path(__file__).parents[2])
    mp.spawn(_worker, (size, port, str(films.path), str(tmp_path / "v"), str(tmp_path), tests), nprocs=size)
    for rank in range(size):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert torch.equal(found["flat"], alone.net.flat)
        assert torch.equal(found["best"], alone.best.flat)
        assert (tmp_path / f"{rank}.txt").read_text() == repr([untimed(rows) for rows in alone.rows])


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
