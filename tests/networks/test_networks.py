"""Networks that come along: by name, without the user's own code."""

import pytest
import torch
from run_helpers import configs

from pipeline import extensions, networks
from pipeline.errors import ConfigError
from pipeline.kinds.inputs import Taken
from pipeline.model.module.building import noise
from pipeline.model.specs import spec_of

TAKEN = {
    "airbench": Taken((3, 32, 32)),
    "spectrogram": Taken((1, 40, 98)),
    "bag": Taken((2,), (1, 5, 9), 50, weighted=True),
}


def module(name, **changes):
    return {"model__arch": "module", "model__name": name, "model__widths": [], "model__dropout": 0.0, **changes}


@pytest.mark.parametrize("name", networks.NAMES)
def test_one_is_taken_by_its_name_without_the_users_own_code(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / extensions.FILE).write_text("raise RuntimeError('not to be read')")
    model = configs(**module(name))[0]
    assert (model.extended, model.is_module) == (False, True)
    spec = spec_of(model.model_dump() | {"precision": "32-true"}, TAKEN[name], 7)
    assert not spec.extended
    net = spec.build(1)
    net.initialise([0])
    logits = net.forward(noise(spec, [5, 1, 9, 3]))
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


def test_a_bag_is_a_sum_of_weighted_tokens_whatever_fills_it_up():
    torch.manual_seed(0)
    bag = networks.function("bag")((2,), 3, num_tokens=6, width=4, hidden=5).eval()
    torch.nn.init.normal_(bag.linear)
    x = torch.tensor([[[1, 0.5], [5, 2.0], [9, 9]], [[2, 1.0], [2, 0.25], [0, 0.125]]])
    found = bag(x, torch.tensor([2, 3]))
    sums = [0.5 * bag.embedding[1] + 2 * bag.embedding[5], 1.25 * bag.embedding[2] + 0.125 * bag.embedding[0]]
    linear = [0.5 * bag.linear[1] + 2 * bag.linear[5], 1.25 * bag.linear[2] + 0.125 * bag.linear[0]]
    hidden = torch.nn.functional.gelu(bag.hidden(bag.norm(torch.stack(sums))))
    torch.testing.assert_close(found, bag.output(hidden) + torch.stack(linear))
