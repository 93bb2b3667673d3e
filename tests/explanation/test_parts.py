"""What answers came from is found where it was planted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from planted import BURST, PATCH, PITCHES, SIGNAL, TEXTCNN, columned, patched, sounding, worded
from published import SOURCES, published

from pipeline import extensions
from pipeline.data.dataset import Dataset, Split
from pipeline.errors import ConfigError
from pipeline.explanation.asked import Asked
from pipeline.explanation.parts import explained
from pipeline.explanation.record import Answer, Explained
from pipeline.kinds.audio.features import Recipe, mel_edges
from pipeline.kinds.audio.occlusion import regions, spectral_recipe
from pipeline.kinds.occlusion import occlusion_of, part_names, squares
from pipeline.kinds.text.occlusion import text_of, words_in
from pipeline.prediction.model import Model


def answered(asked: Asked, split: Split, num: int) -> list[Answer]:
    """The first answers to a split, right or wrong."""
    yes, _ = asked.chances(asked.logits(split.stored.each()[:num]))
    return [Answer(i, of, True) for i, of in enumerate(yes.argmax(axis=1).tolist())]


def found(data: Dataset, asked: Asked, answers: list[Answer] | None = None) -> list[Explained]:
    test, occlusion = data.split("test"), occlusion_of(data.manifest.kind)
    assert occlusion
    return explained(asked, occlusion, test, data.split("train"), answers or answered(asked, test, 6))


def drops(one: Explained) -> np.ndarray:
    return one.before - np.array(one.after)


def test_of_images_the_square_that_says_the_class(tmp_path: Path) -> None:
    data, asked = patched(tmp_path)
    every = squares(12, 12)
    rows, columns = PATCH
    meets = [s.top < rows.stop and s.bottom > rows.start and s.left < columns.stop and s.right > columns.start for s in every]
    for one in found(data, asked):
        assert meets[int(drops(one).argmax())]
        assert one.before > 3, "it has learned them"
        others = drops(one)[~np.array(meets)]
        assert np.abs(others).max() < 0.5 * drops(one).max()


@pytest.mark.parametrize(
    ("network", "keys"),
    [
        ({}, {}),
        ({}, {"vocabulary": "hashed"}),
        (TEXTCNN, {"tokens": "words"}),
        (TEXTCNN, {"tokens": "bytepairs", "pairs": 400, "length": 40}),
    ],
)
def test_of_texts_the_word_that_says_the_class(network: dict, keys: dict, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, asked = worded(tmp_path, **({"network": network} if network else {}), **keys)
    test = data.split("test")
    for one in found(data, asked):
        text = text_of(test.sample(one.sample))
        first, last = words_in(text)[int(drops(one).argmax())]
        assert text[first:last] in SIGNAL
        others, strongest = np.sort(np.abs(drops(one)))[-2:]
        assert strongest > max(4 * others, one.before / 2)


def test_of_tables_the_column_that_says_the_class_or_the_number(tmp_path: Path) -> None:
    for folder, numbers in (("classes", False), ("numbers", True)):
        (tmp_path / folder).mkdir()
        data, asked = columned(tmp_path / folder, numbers=numbers)
        test = data.split("test")
        answers = [Answer(i, 0, True) for i in range(6)] if numbers else None
        for one in found(data, asked, answers):
            assert part_names(occlusion_of("table"), data.manifest.fit)[int(np.abs(drops(one)).argmax())] == "a"
            if numbers:  # in its own unit: without its column the answer is near the mean
                assert one.before == pytest.approx(float(test.labels[one.sample]), abs=6)
                assert one.after[0] == pytest.approx(100, abs=5)
                assert np.abs(drops(one)[1:]).max() < 3


@pytest.mark.parametrize("windows", [{}, {"window": 0.5, "hop": 0.5}])
def test_of_sounds_the_time_and_the_pitch_that_say_the_class(windows: dict[str, float], tmp_path: Path) -> None:
    data, asked = sounding(tmp_path, **windows)
    recipe = spectral_recipe(Recipe.of(data.manifest.fit))
    edges = mel_edges(recipe.mels, recipe.low, recipe.high)
    test = data.split("test")
    answers = [Answer(i, int(test.labels[i]), True) for i in range(6)]
    for one in found(data, asked, answers):
        region = regions(data.manifest.fit)[int(drops(one).argmax())]
        first, last = (at * recipe.step / recipe.rate for at in (region.left, region.right))
        assert first < BURST[1]
        assert last > BURST[0]
        near = [edges[region.top] <= pitch <= edges[region.bottom + 1] for pitch in PITCHES.values()]
        assert any(near), "where one of both tones is, or is lacking"
        assert one.row == (2 if windows else 0), "the window with the tone"


@pytest.mark.parametrize("kind", [name for name in SOURCES if not name.startswith("own kind")])
def test_what_is_explained_is_what_predict_answers(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = published(kind, tmp_path, monkeypatch)
    model, test = Model.load(case.model), case.data.split("test")
    asked = Asked(model.predictor, None, 16)
    stored = test.stored.each()[:4]
    said = model.predict([text_of(row) for row in stored] if "texts" in kind else np.stack(stored))
    answers = [Answer(i, of, given) for i in range(4) for of in (0, -1) for given in (True, False)]
    for answer, one in zip(answers, found(case.data, asked, answers), strict=True):
        if said.numbers is not None:
            assert one.before == pytest.approx(said.numbers[answer.sample, answer.of], rel=1e-6)
        else:
            p = float(said.probabilities[answer.sample, answer.of])
            odds = 1 / (1 + np.exp(-one.before))
            assert odds == pytest.approx(p if answer.given else 1 - p, abs=1e-5)


@pytest.mark.parametrize("kind", ["digits", "texts", "rows", "sounds"])
def test_it_is_the_same_each_time_and_on_any_number_of_threads(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = published(kind, tmp_path, monkeypatch)
    asked = Asked(Model.load(case.model).predictor, 1.5, 64)
    threads, made = torch.get_num_threads(), []
    for num in (1, 2, 1):
        torch.set_num_threads(num)
        made.append(found(case.data, asked))
    torch.set_num_threads(threads)
    assert made[0] == made[1] == made[2]


def test_a_temperature_divides_the_logits_before_anything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = published("digits", tmp_path, monkeypatch)
    predictor, answers = Model.load(case.model).predictor, [Answer(0, 3, True)]
    warm, plain = (found(case.data, Asked(predictor, temperature, 64), answers)[0] for temperature in (2.0, None))
    z = predictor.logits(torch.from_numpy(np.array(case.data.split("test").inputs[:1])))[0].double()
    p = (z / 2).softmax(0)[3]
    assert warm.before == pytest.approx(float((p / (1 - p)).log()), abs=1e-5)
    assert warm.before != pytest.approx(plain.before, abs=1e-2)


def test_log_odds_of_a_certain_answer_are_finite() -> None:
    class Certain:
        loss, task, targets = "softmax", "single", ()

    yes, no = Asked(Certain(), None, 8).chances(torch.tensor([[400.0, 0.0, -3.0]]))
    assert np.isfinite([yes, no]).all()
    assert (yes - no)[0, 0] == pytest.approx(400 - np.log1p(np.exp(-3)), abs=1e-6)
    assert np.allclose(np.exp(yes) + np.exp(no), 1)


HIDING = """from own_kinds import MODELS, Series
class Halves(Series):
    HIDDEN, DRAWS = "each half was set to zero", 0
    def num_parts(self, row, fit):
        return 2
    def hidden(self, row, part, fit, other):
        copy, middle = row.copy(), len(row) // 2
        copy[middle * part : middle * (part + 1)] = fit["mean"]
        return copy
    def shown_parts(self, row, fit, words, parts):
        return self.shown(row, fit, words)
KINDS = {"series": Halves()}
"""


@pytest.mark.parametrize("form", ["own kind, ragged", "own kind, windows", "own kind, plain"])
def test_a_kind_of_ones_own_hides_parts_or_says_nothing(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = published(form, tmp_path, monkeypatch)
    asked = Asked(Model.load(case.model).predictor, None, 16)
    assert occlusion_of("series") is None
    (tmp_path / "hiding").mkdir()
    (tmp_path / "hiding" / extensions.FILE).write_text(HIDING)
    monkeypatch.setattr(extensions, "_unpacked", [tmp_path / "hiding"])
    every = found(case.data, asked)
    assert [len(one.after) for one in every] == [2] * 6
    assert any(abs(drops(one)).max() > 1e-3 for one in every)
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / extensions.FILE).write_text(HIDING.replace("return copy", "return copy.astype(float)"))
    monkeypatch.setattr(extensions, "_unpacked", [tmp_path / "strange"])
    with pytest.raises(ConfigError, match=r"hidden gave float64 of shape .*, and its row is float32 .*explain=0"):
        found(case.data, asked)
