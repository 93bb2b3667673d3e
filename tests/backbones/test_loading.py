"""A pretrained network in memory: its own weights, its own inputs, nothing learned and nothing executed."""

import json
import socket

import numpy as np
import pytest
import torch
from published_networks import SCALE, convnext, resnet, vit
from safetensors.torch import load_file, save_file

from pipeline.backbones.folder import opened
from pipeline.backbones.loading import CHUNK, Extractor, loaded
from pipeline.errors import ConfigError

pytest.importorskip("transformers", reason="needs the extra backbones")
MAKERS = {"vit": vit, "convnext": convnext, "resnet": resnet}


def images(num=3, channels=3, size=16, seed=0):
    draws = np.random.default_rng(seed)
    return torch.from_numpy(draws.integers(0, 256, (num, channels, size, size), dtype=np.uint8))


def extractor(folder, shape=(3, 16, 16)):
    return Extractor(opened(folder, "image"), shape, "cpu")


def plain(name, folder, rows):
    """What transformers itself says to images of the network's own size."""
    from transformers import AutoModel

    mean, std = (torch.tensor(SCALE[key]).view(3, 1, 1) for key in ("image_mean", "image_std"))
    with torch.no_grad():
        said = AutoModel.from_pretrained(folder).eval()((rows.float() / 255 - mean) / std)
    return said.last_hidden_state[:, 0] if name == "vit" else said.pooler_output.flatten(1)


@pytest.mark.parametrize("name", MAKERS)
def test_features_are_what_transformers_says(tmp_path, name):
    folder = MAKERS[name](tmp_path / name)
    found = extractor(folder)(images())
    assert found.shape == (3, {"vit": 32}.get(name, 16))
    torch.testing.assert_close(found, plain(name, folder, images()), rtol=1e-4, atol=1e-5)


def test_a_grey_image_is_one_of_three_equal_channels(tmp_path):
    grey = images(channels=1)
    folder = vit(tmp_path / "vit")
    assert torch.equal(extractor(folder, (1, 16, 16))(grey), extractor(folder)(grey.expand(-1, 3, -1, -1)))


def test_images_of_other_sizes_are_resized(tmp_path):
    import torch.nn.functional as functional

    folder, small = vit(tmp_path / "vit"), images(size=8)
    large = functional.interpolate(small.float(), (16, 16), mode="bilinear", antialias=True, align_corners=False)
    found = extractor(folder, (3, 8, 8))(small)
    assert (found - extractor(folder)(large.round().to(torch.uint8))).abs().max() < 0.05
    assert not torch.allclose(found, extractor(folder)(images(size=16)), atol=0.05)


def test_a_rows_features_do_not_depend_on_the_rest_of_a_batch(tmp_path):
    extract, rows = extractor(resnet(tmp_path / "resnet")), images(CHUNK + 3)
    together, apart = extract(rows), torch.cat([extract(rows[i : i + 1]) for i in range(len(rows))])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-5)
    assert torch.equal(together, extract(rows))


def test_running_statistics_stay(tmp_path):
    extract = extractor(resnet(tmp_path / "resnet"))
    before = {name: each.clone() for name, each in extract.state_dict().items()}
    extract.train()
    extract(images())
    assert all(torch.equal(each, before[name]) for name, each in extract.state_dict().items())


def changed(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return opened(folder, "image")


def test_weights_that_are_not_its_own_are_refused_by_name(tmp_path):
    def lacking(tensors):
        del tensors["layernorm.weight"]

    def more(tensors):
        tensors["encoder.layer.7.output.dense.bias"] = torch.zeros(3)

    def other(tensors):
        tensors["embeddings.position_embeddings"] = torch.zeros(1, 5, 32)

    def wild(tensors):
        tensors["layernorm.bias"][3] = float("nan")

    cases = {
        lacking: "it lacks layernorm.weight",
        more: "layers.7.output.dense.bias beside|encoder.layer.7.output.dense.bias beside|mlp.fc2.bias beside",
        other: "embeddings.position_embeddings is 1 x 5 x 32, and config.json makes it 1 x 17 x 32",
        wild: "not finite: layernorm.bias",
    }
    for change, said in cases.items():
        backbone = changed(vit(tmp_path / change.__name__), change)
        with pytest.raises(ConfigError, match=f"its weights are not those of its config.json: .*({said})"):
            loaded(backbone)


def test_half_precision_becomes_full(tmp_path):
    folder = vit(tmp_path / "vit")
    exact = extractor(folder)(images())
    changed(folder, lambda tensors: tensors.update({name: each.half() for name, each in tensors.items()}))
    found = extractor(folder)(images())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=0.02, atol=0.02)


def test_a_head_that_was_published_along_is_left_out(tmp_path):
    """As the classifiers on the hub are: names of the network behind its prefix, the head's own without."""
    folder = vit(tmp_path / "vit")
    expected = extractor(folder)(images())

    def classifier(tensors):
        own = dict(tensors)
        tensors.clear()
        tensors.update({f"vit.{name}": each for name, each in own.items() if not name.startswith("pooler")})
        tensors.update({"classifier.weight": torch.zeros(10, 32), "classifier.bias": torch.zeros(10)})

    changed(folder, classifier)
    assert torch.equal(extractor(folder)(images()), expected)


def test_a_config_that_can_not_be_built_is_refused(tmp_path):
    folder = vit(tmp_path / "vit")
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(said | {"hidden_act": "nothing"}))
    with pytest.raises(ConfigError, match="transformers can't build it: KeyError"):
        loaded(opened(folder, "image"))


def test_nothing_is_asked_of_a_network(tmp_path, monkeypatch):
    folder = vit(tmp_path / "vit")

    def refuse(*_):
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    loaded(opened(folder, "image"))
