"""Networks that come along: by name, without the user's own code."""

import pytest
import torch
from run_helpers import configs

from pipeline import extensions, networks
from pipeline.errors import ConfigError
from pipeline.kinds.inputs import Taken
from pipeline.model.specs import spec_of

OF_SHAPE = {"airbench": (3, 32, 32), "spectrogram": (1, 40, 98)}


def module(name, **changes):
    return {"model__arch": "module", "model__name": name, "model__widths": [], "model__dropout": 0.0, **changes}


@pytest.mark.parametrize("name", networks.NAMES)
def test_one_is_taken_by_its_name_without_the_users_own_code(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / extensions.FILE).write_text("raise RuntimeError('not to be read')")
    model = configs(**module(name))[0]
    assert (model.extended, model.is_module) == (False, True)
    spec = spec_of(model.model_dump() | {"precision": "32-true"}, Taken(OF_SHAPE[name]), 7)
    assert not spec.extended
    net = spec.build(1)
    net.initialise([0])
    logits = net.forward(torch.randn(1, 4, *OF_SHAPE[name]))
    assert logits.shape == (1, 4, 7)
    assert torch.isfinite(logits).all()
    spec.check(16)


def test_one_of_the_users_may_not_have_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / extensions.FILE).write_text("MODELS = {'airbench': print}")
    with pytest.raises(ConfigError, match=r"extensions.py: MODELS has airbench, which comes along; name yours otherwise"):
        networks.functions()


def test_spectrogram_takes_rows_of_any_length_and_no_waveforms():
    made = networks.function("spectrogram")
    net = made((1, 40, 98), 10)
    assert sum(each.numel() for each in net.parameters()) == 61_690
    assert net(torch.randn(2, 1, 40, 31)).shape == (2, 10)
    with pytest.raises(ValueError, match=r"rows of shape \(1, 8000\): expected is \(1, bands, columns\)"):
        made((1, 8000), 10)


def test_airbench_has_the_published_widths_and_takes_its_keys():
    made = networks.function("airbench")
    assert sum(each.numel() for each in made((3, 32, 32), 10, width=64).parameters()) == 1_972_802
    with pytest.raises(ValueError, match="norm = 'layer': batch or group"):
        made((3, 32, 32), 10, norm="layer")
