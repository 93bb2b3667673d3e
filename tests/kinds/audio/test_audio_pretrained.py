"""Sounds as published networks take them: waveforms at their own rate."""

import json

import numpy as np
import pytest
import torch
from published_networks import wav2vec2

from pipeline.backbones.folder import opened
from pipeline.backbones.loading import Extractor
from pipeline.errors import ConfigError
from pipeline.kinds.audio import pretrained
from pipeline.kinds.audio.features import Recipe

pytest.importorskip("transformers", reason="needs the extra backbones")


@pytest.fixture
def folder(tmp_path):
    return wav2vec2(tmp_path / "wav2vec2")


def sounds(num=3, samples=400):
    return torch.from_numpy(np.random.default_rng(0).normal(0.1, 0.2, (num, 1, samples)).astype(np.float32))


def test_features_are_the_mean_of_what_transformers_says(folder):
    from transformers import AutoModel

    found = Extractor(opened(folder, "audio"), (1, 400), "cpu")(sounds())
    own = sounds()[:, 0].numpy()
    own = (own - own.mean(1, keepdims=True)) / np.sqrt(own.var(1, keepdims=True) + 1e-7)
    with torch.no_grad():
        said = AutoModel.from_pretrained(folder).eval()(torch.from_numpy(own)).last_hidden_state.mean(1)
    torch.testing.assert_close(found, said, rtol=1e-3, atol=1e-4)
    assert found.shape == (3, 16)


def test_what_it_does_not_take_is_said(folder):
    recipe = opened(folder, "audio").recipe
    assert recipe == {"rate": 8000, "standardised": True, "fewest": 20}

    def fit(rate):
        return Recipe(rate, "mix", "soxr", 400, None, None).details()

    assert pretrained.misfit(recipe, fit(8000), (1, 400)) is None
    assert pretrained.misfit(recipe, fit(8000), (1, 64, 20)) == (
        "it takes waveforms, and these are spectrograms; say data.features=waveform"
    )
    assert "it takes 8000 samples a second, and these have 16000; say data.rate=8000" in pretrained.misfit(
        recipe, fit(16000), (1, 400)
    )
    assert "it takes at least 20 samples, and these have 19" in pretrained.misfit(recipe, fit(8000), (1, 19))


@pytest.mark.parametrize("rate", [None, 0, "8000", 10**9])
def test_a_rate_that_is_none_is_refused(folder, rate):
    (folder / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": rate}))
    with pytest.raises(ConfigError, match="sampling_rate = "):
        opened(folder, "audio")
