"""What is said of a pretrained network's folder before anything of it is loaded."""

import json
import struct

import pytest
from published_networks import convnext, resnet, vit
from safetensors.numpy import load_file, save_file

from pipeline.backbones.folder import opened
from pipeline.errors import ConfigError

pytest.importorskip("transformers", reason="needs the extra backbones")


@pytest.fixture
def folder(tmp_path):
    return vit(tmp_path / "vit")


def changed(folder, name, **values):
    """A JSON file with other values; ... takes a key away."""
    said = json.loads((folder / name).read_text()) | values
    (folder / name).write_text(json.dumps({key: value for key, value in said.items() if value is not ...}))


def config(**values):
    return lambda folder: changed(folder, "config.json", **values)


def inputs(**values):
    return lambda folder: changed(folder, "preprocessor_config.json", **values)


def gone(name):
    return lambda folder: (folder / name).unlink()


def written(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def pickled(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def halved(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def unindexed(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def leading_out(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../x.safetensors"}}))


def removed(folder):
    folder.rename(folder.parent / "moved")


CASES = {
    "no folder": (removed, "the folder is not there; make the link with `regatta data link vit FOLDER`"),
    "pickles alone": (pickled, "no model.safetensors, only pytorch_model.bin, which is not read"),
    "no weights": (gone("model.safetensors"), "no model.safetensors; take the folder from its source again"),
    "half of the weights": (halved, "where its header says"),
    "no safetensors": (written("model.safetensors", b"PK\x03\x04" * 100), "no safetensors file, or a torn one"),
    "empty weights": (written("model.safetensors", b""), "no safetensors file, or a torn one"),
    "a header that is none": (written("model.safetensors", struct.pack("<Q", 4) + b"nope"), "its header can't be read"),
    "a missing shard": (unindexed, "no model-00002-of-00002.safetensors"),
    "a shard elsewhere": (leading_out, "names no files of weights"),
    "no config": (gone("config.json"), "no config.json"),
    "a config that is no JSON": (written("config.json", b"{"), "config.json: no JSON object"),
    "a config that is a list": (written("config.json", b"[1]"), "config.json: no JSON object"),
    "code of its own": (config(auto_map={"AutoModel": "own.Own"}), "config.json has auto_map, which names code to be run"),
    "code for its inputs": (inputs(auto_map={"A": "own.Own"}), "preprocessor_config.json has auto_map"),
    "weights elsewhere": (config(transformers_weights="x.bin"), "it has transformers_weights"),
    "quantized": (config(quantization_config={"bits": 4}), "it has quantization_config"),
    "an adapter": (written("adapter_config.json", b"{}"), "it has adapter_config"),
    "another kind": (config(model_type="bert"), "it takes data of kind text, and these are of kind image"),
    "an unknown layout": (config(model_type="gpt2"), "model_type = 'gpt2'; for image these are taken: vit, "),
    "no layout": (config(model_type=...), "model_type = None"),
    "no width": (config(hidden_size="many"), "hidden_size = 'many'"),
    "no inputs": (gone("preprocessor_config.json"), "no preprocessor_config.json"),
    "no size": (inputs(size=...), "size = None: height and width"),
    "a size beyond reason": (inputs(size=10**9), "size = 1000000000: height and width of 1 to 2048 pixels"),
    "another size": (inputs(size=32), "size = [32, 32], but config.json: image_size = 16"),
    "no mean": (inputs(image_mean=...), "image_mean = None: 3 numbers are needed"),
    "a mean of one": (inputs(image_mean=[0.5]), "image_mean = [0.5]: 3 numbers are needed"),
    "no deviation": (inputs(image_std=[0.1, 0.0, 0.1]), "image_std = [0.1, 0.0, 0.1]: 3 numbers are needed above 0"),
    "a mean that is none": (inputs(image_mean=[float("nan")] * 3), "image_mean = [nan, nan, nan]"),
    "a way to resize": (inputs(resample=77), "resample = 77"),
    "channels": (config(num_channels=4), "num_channels = 4"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_can_not_be_used_is_refused_by_name(folder, case):
    change, said = CASES[case]
    change(folder)
    with pytest.raises(ConfigError) as caught:
        opened(folder, "image")
    assert str(caught.value).startswith(f"model.backbone = hf:{folder}: ")
    assert said in str(caught.value)


def test_a_kind_without_published_networks_is_refused(folder):
    with pytest.raises(ConfigError, match="there is no backbone for data of kind table"):
        opened(folder, "table")


def test_what_a_folder_says(folder, tmp_path):
    found = opened(folder, "image")
    assert (found.layout, found.width, found.weights) == ("vit", 32, ("model.safetensors",))
    assert found.recipe == {
        "size": [16, 16], "mode": "bilinear", "factor": 1 / 255, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4],
    }  # fmt: skip
    assert sorted(found.files) == ["config.json", "model.safetensors", "preprocessor_config.json"]
    assert [opened(make(tmp_path / make.__name__), "image").width for make in (convnext, resnet)] == [16, 16]


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"size": 16}, [16, 16]),
        ({"size": {"shortest_edge": 20}, "do_center_crop": True, "crop_size": 16}, [16, 16]),
        ({"size": {"shortest_edge": 20}, "do_center_crop": True, "crop_size": {"height": 16, "width": 16}}, [16, 16]),
        ({"size": {"shortest_edge": 16}}, [16, 16]),
    ],
)
def test_the_forms_of_a_size(folder, values, size):
    changed(folder, "preprocessor_config.json", **values)
    assert opened(folder, "image").recipe["size"] == size


def test_a_network_without_scale_of_its_own_takes_pixels(folder):
    changed(folder, "preprocessor_config.json", do_normalize=False, do_rescale=False, image_mean=..., image_std=...)
    recipe = opened(folder, "image").recipe
    assert (recipe["factor"], recipe["mean"], recipe["std"]) == (1.0, [0.0] * 3, [1.0] * 3)


def test_a_digest_is_of_the_contents_that_are_read(folder, tmp_path):
    first = opened(folder, "image").digest
    (folder / "README.md").write_text("more words")
    folder.rename(tmp_path / "elsewhere")
    moved = tmp_path / "elsewhere"
    assert opened(moved, "image").digest == first
    changed(moved, "preprocessor_config.json", image_mean=[0.5, 0.4, 0.2])
    other = opened(moved, "image").digest
    assert other != first
    tensors = load_file(moved / "model.safetensors")
    tensors["layernorm.bias"] += 1
    save_file(tensors, moved / "model.safetensors")
    assert opened(moved, "image").digest not in (first, other)


def test_weights_in_parts_are_found(folder):
    unindexed(folder)
    (folder / "model-00002-of-00002.safetensors").write_bytes((folder / "model-00001-of-00002.safetensors").read_bytes())
    names = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    assert opened(folder, "image").weights == names
    assert "model.safetensors.index.json" in opened(folder, "image").files
