"""Which synonyms a dataset takes of a file."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from text_samples import reviews, text_config, write_jsonl

from pipeline.data.dataset import Dataset
from pipeline.errors import ConfigError, DataError
from pipeline.kinds.image.keys import ImageData
from pipeline.kinds.text import synonyms
from pipeline.kinds.text.synonyms import of_words
from pipeline.schema.base import validated

Build = Callable[..., Dataset]


def listed(path: Path, **words: list[str]) -> Path:
    lines = "".join(json.dumps({"word": word, "pos": "n", "synonyms": others}) + "\n" for word, others in words.items())
    path.write_bytes(gzip.compress(lines.encode()) if path.suffix == ".gz" else lines.encode())
    return path


@pytest.mark.parametrize("name", ["words.jsonl", "words.jsonl.gz"])
def test_those_of_the_training_texts_words_with_the_share_that_has_some(tmp_path: Path, name: str) -> None:
    path = listed(tmp_path / name, film=["movie", *"abcdefghi"], fine=["good"], opera=["x"], Dull=["grey"])
    found, told = of_words(path, Counter({"film": 6, "dull": 2, "joy": 2}))
    assert found == {"dull": ["grey"], "film": ["movie", *"abcdefg"]}
    assert told == f"80 % of the words of the training texts, stop words aside, have synonyms in {name}"


def test_of_several_meanings_the_first_and_of_many_words_the_frequent_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.jsonl"
    path.write_text(
        '{"word": "bank", "synonyms": ["shore"]}\n\n{"word": "bank", "synonyms": ["depot"]}\n{"word": "c", "synonyms": ["b"]}'
    )
    monkeypatch.setattr(synonyms, "MOST_WORDS", 1)
    assert of_words(path, Counter({"bank": 2, "c": 1}))[0] == {"bank": ["shore"]}


def test_another_language_is_said(tmp_path: Path) -> None:
    told = of_words(listed(tmp_path / "en.jsonl", film=["movie"]), Counter({"영화": 99, "film": 1}))[1]
    assert told == (
        "1 % of the words of the training texts, stop words aside, have synonyms in en.jsonl, which is of another language: "
        "hardly a word is taken for another; name a file of the texts' own"
    )


@pytest.mark.parametrize("line", ["film,movie", "{}", '{"word": "film", "synonyms": "movie"}', "[1]"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "w.jsonl").write_text(f'{{"word": "a", "synonyms": []}}\n{line}\n')
    with pytest.raises(DataError, match=r"w\.jsonl, line 2: expected is an object a line with a word and its synonyms: "):
        of_words(tmp_path / "w.jsonl", Counter(["film"]))


def test_they_are_part_of_the_dataset_by_their_contents(tmp_path: Path, build_texts: Build) -> None:
    path = str(write_jsonl(tmp_path / "t.jsonl", reviews(60)))
    one, same, other = (
        build_texts(path=path, synonyms=str(listed(tmp_path / name, film=others)))
        for name, others in (("a.jsonl", ["movie"]), ("b.jsonl", ["movie"]), ("c.jsonl", ["flick"]))
    )
    without = build_texts(path=path)
    assert one.manifest.fit["synonyms"] == {"film": ["movie"]}
    assert one.manifest.digest == same.manifest.digest
    assert len({one.manifest.digest, other.manifest.digest, without.manifest.digest}) == 3
    assert "synonyms" not in without.manifest.fit


def test_images_have_no_words() -> None:
    values = dict.fromkeys(ImageData.model_fields) | {"kind": "image", "source": "folder", "path": "x", "synonyms": "y"}
    with pytest.raises(ConfigError, match=r"synonyms = y: data of the kind image have no words"):
        validated(ImageData, values | {"target": "auto", "label": "label", "image": "image", "resize": "pad",
                  "channels": "auto", "enlarge": False, "max_pixels": 100}, "data")  # fmt: skip
    assert text_config(path="x", synonyms="x").synonyms is None
