"""Texts as published networks take them: by their own tokenizer, what fills up left out."""

import json

import pytest
import torch
from published_networks import bert

from pipeline.backbones.folder import opened
from pipeline.backbones.loading import Extractor
from pipeline.errors import ConfigError
from pipeline.kinds.ragged import Ragged

pytest.importorskip("transformers", reason="needs the extra backbones")


@pytest.fixture
def folder(tmp_path):
    return bert(tmp_path / "bert")


def rows(*texts):
    return Ragged.of([torch.tensor(list(text.encode()), dtype=torch.uint8) for text in texts])


def features(folder, *texts):
    return Extractor(opened(folder, "text"), (), "cpu")(rows(*texts))


def test_features_are_the_mean_of_what_transformers_says_to_the_tokens(folder):
    from transformers import AutoModel

    found = features(folder, "A very good film")
    with torch.no_grad():
        said = AutoModel.from_pretrained(folder).eval()(torch.tensor([[2, 8, 10, 4, 6, 3]])).last_hidden_state[0].mean(0)
    torch.testing.assert_close(found[0], said, rtol=1e-4, atol=1e-5)


def test_a_short_text_is_the_same_beside_a_long_one(folder):
    long = "the film not good the film not bad the day"
    torch.testing.assert_close(features(folder, "good", long)[0], features(folder, "good")[0], rtol=1e-4, atol=1e-5)


def test_a_text_is_cut_to_the_places_there_are(folder):
    assert torch.equal(features(folder, "good " * 14), features(folder, "good " * 200))
    assert not torch.equal(features(folder, "good " * 13), features(folder, "good " * 12))


def test_unknown_words_and_other_scripts_are_taken(folder):
    assert torch.isfinite(features(folder, "\u00e9\u6f22 \U0001f600", "x")).all()


def test_a_tokenizer_that_does_not_fit_is_refused(folder):
    said = json.loads((folder / "tokenizer.json").read_text())
    cases = {
        "has a token 99, and the network knows 12": said | {"added_tokens": [{"id": 99, "content": "x"}]},
        "has no vocabulary": {"model": {}},
        "no tokenizer.json": None,
    }
    for words, content in cases.items():
        if content is None:
            (folder / "tokenizer.json").unlink()
        else:
            (folder / "tokenizer.json").write_text(json.dumps(content))
        with pytest.raises(ConfigError, match=words):
            opened(folder, "text")


def test_a_tokenizer_that_is_none_is_refused_before_a_network_is_loaded(folder):
    said = json.loads((folder / "tokenizer.json").read_text())
    said["model"]["type"] = "Nothing"
    (folder / "tokenizer.json").write_text(json.dumps(said))
    with pytest.raises(ConfigError, match=r"tokenizer\.json: .*; take the file from its source again"):
        features(folder, "good")
