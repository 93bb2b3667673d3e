"""Networks that come along: by name, without the user's own code."""

import math

import pytest
import torch
from run_helpers import configs

from pipeline import extensions, networks
from pipeline.errors import ConfigError
from pipeline.kinds.inputs import Taken
from pipeline.model.module.building import noise
from pipeline.model.specs import spec_of
from pipeline.networks.attention import Block
from pipeline.networks.vit import positions

TAKEN = {
    "airbench": Taken((3, 32, 32)),
    "residual": Taken((3, 64, 64)),
    "vit": Taken((3, 32, 32)),
    "spectrogram": Taken((1, 40, 98)),
    "bag": Taken((2,), (1, 5, 9), 50, weighted=True),
    "textcnn": Taken((), (1, 5, 9), 50),
    "transformer": Taken((), (1, 5, 9), 50),
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


def test_a_residual_network_takes_photos_of_any_size_and_begins_as_its_shortcuts():
    made = networks.function("residual")
    small = made((3, 64, 64), 10)
    assert sum(each.numel() for each in small.parameters()) == 1_228_746
    entering = zip(small.stages, (32, 32, 64, 128), strict=True)
    left = [tuple(stage(torch.zeros(1, channels, 32, 32)).shape[1:]) for stage, channels in entering]
    assert left == [(32, 32, 32), (64, 16, 16), (128, 16, 16), (256, 16, 16)]
    block, x = small.stages[0][0], torch.randn(2, 32, 5, 5)
    assert torch.equal(block(x), x)
    for shape in ((3, 96, 96), (1, 224, 160), (3, 67, 45)):
        assert made(shape, 4, width=8, depth=2)(torch.randn(2, *shape)).shape == (2, 4)
    with pytest.raises(ValueError, match="width = 12: a multiple of 8"):
        made((3, 64, 64), 10, width=12)
    with pytest.raises(ValueError, match=r"samples of shape \(10,\): expected are images"):
        made((10,), 2)


def test_an_answer_of_the_residual_network_depends_on_no_other_photo():
    torch.manual_seed(0)
    net, x = networks.function("residual")((3, 64, 64), 5, width=8, dropout=0.0), torch.randn(4, 3, 64, 64)
    torch.testing.assert_close(net(x)[2:3], net(x[2:3]), rtol=1e-4, atol=1e-5)


def test_vit_is_told_where_each_patch_is_by_waves_of_both_axes():
    found = positions(3, 5, 16)
    assert found.shape == (15, 16)
    rates = [1.0, 0.1, 0.01, 0.001]
    y, x = 2, 4
    waves = [f(place * rate) for place in (y, x) for f in (math.sin, math.cos) for rate in rates]
    torch.testing.assert_close(found[y * 5 + x], torch.tensor(waves), rtol=1e-5, atol=1e-6)


def test_attention_is_that_of_torchs_own_layer():
    torch.manual_seed(0)
    own, x = Block(64, 2, 0.0), torch.randn(2, 9, 64)
    theirs = torch.nn.TransformerEncoderLayer(64, 2, 256, 0.0, "gelu", batch_first=True, norm_first=True)
    theirs.self_attn.in_proj_weight.data, theirs.self_attn.in_proj_bias.data = own.asked.weight.data, own.asked.bias.data
    pairs = [(theirs.self_attn.out_proj, own.given), (theirs.linear1, own.wide), (theirs.linear2, own.narrow)]
    for one, other in pairs:
        one.load_state_dict(other.state_dict())
    torch.testing.assert_close(own(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_vit_cuts_images_without_a_rest():
    made = networks.function("vit")
    sizes = [made((1, side, side), 10).cut.kernel_size[0] for side in (3, 8, 28, 30, 32, 100, 224)]
    assert sizes == [1, 1, 4, 3, 4, 10, 28]
    assert made((3, 64, 96), 10, patch=16)(torch.randn(2, 3, 64, 96)).shape == (2, 10)
    with pytest.raises(ValueError, match=r"patch = 6: images of 32 x 32 are cut without a rest by \[2, 4, 8, 16, 32\]"):
        made((3, 32, 32), 10, patch=6)
    with pytest.raises(ValueError, match=r"patch = 4: images of 31 x 31 are cut without a rest by \[31\]"):
        made((3, 31, 31), 10)


@pytest.mark.parametrize("name", ["textcnn", "transformer"])
def test_networks_of_tokens_answer_a_row_the_same_whatever_stands_beside_it(name):
    torch.manual_seed(0)
    net = networks.function(name)((), 3, num_tokens=9).eval()
    x = torch.tensor([[1, 2, 3, 0, 0, 0, 0], [4, 5, 6, 7, 8, 1, 2]])
    both = net(x, torch.tensor([3, 7]))
    torch.testing.assert_close(net(x[:1, :3], torch.tensor([3])), both[:1])
    filled = torch.tensor([[1, 2, 3, 8, 8, 8, 8]])
    torch.testing.assert_close(net(filled, torch.tensor([3])), both[:1])
    assert not torch.allclose(net(x[:1, [2, 1, 0]], torch.tensor([3])), both[:1], atol=1e-4)  # order counts
    assert net(x[:1, :1], torch.tensor([1])).isfinite().all()
    with pytest.raises(
        ValueError, match=f"rows of items of shape \\(2,\\): {name} takes tokens in their order; say data.tokens"
    ):
        networks.function(name)((2,), 3, num_tokens=9)


def test_a_convolution_sees_its_window_and_nothing_else():
    torch.manual_seed(0)
    net = networks.function("textcnn")((), 2, num_tokens=9, width=4, channels=3, windows=[3]).eval()
    found = net(torch.tensor([[5, 2, 7]]), torch.tensor([3]))
    weight, bias, around = net.windows[0].weight, net.windows[0].bias, torch.zeros(5, 4)
    around[1:4] = net.embedding[[5, 2, 7]]
    places = torch.stack([torch.einsum("oij,ji->o", weight, around[i : i + 3]) + bias for i in range(3)])
    heard = torch.nn.functional.gelu(places)
    torch.testing.assert_close(found[0], net.output(torch.cat([heard.mean(0), heard.amax(0)])))


def test_a_transformer_has_whole_heads_and_a_bag_no_plain_tokens():
    with pytest.raises(ValueError, match="width = 20: a multiple of twice the heads, 8"):
        networks.function("transformer")((), 2, num_tokens=9, width=20)
    with pytest.raises(ValueError, match=r"plain tokens: bag takes each with its weight; say data\.tokens=ngrams"):
        networks.function("bag")((), 2, num_tokens=9)
