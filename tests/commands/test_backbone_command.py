"""`regatta backbone get`: one commit of a published network, whole or not at all, from a server of this machine."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import COMMIT, Hub, of_folder, serving
from published_networks import bert, vit

from pipeline.artifacts import read_json
from pipeline.backbones.folder import opened
from pipeline.backbones.named import fitted
from pipeline.errors import ConfigError

hub_library = pytest.importorskip("huggingface_hub", reason="needs the extra backbones")
pytest.importorskip("transformers", reason="needs the extra backbones")
Command = Callable[..., str]
GET = ("backbone", "get")
PINNED = f"hf:people/small@{COMMIT}"


@pytest.fixture
def hub(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A network, and things that are not taken of it; the library asks this machine alone."""
    found = of_folder(vit(tmp_path / "vit"))
    found.files |= {"pytorch_model.bin": b"code", "README.md": b"words", "onnx/model.onnx": b"more"}
    with serving(found):
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setattr(hub_library.constants, "ENDPOINT", found.url)
        monkeypatch.setattr(hub_library.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hub_library.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
        template = found.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(hub_library.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(socket, "getaddrinfo", here_alone)
        monkeypatch.setattr("time.sleep", lambda _: None)  # between the library's tries
        yield found


RESOLVE = socket.getaddrinfo


def here_alone(host: Any, *more: Any, **keys: Any) -> Any:
    """No other host is asked, whatever the library does."""
    if host not in ("127.0.0.1", b"127.0.0.1"):
        raise AssertionError(f"{host} was asked for")
    return RESOLVE(host, *more, **keys)


def test_a_branch_becomes_a_commit_and_its_files_a_network_that_needs_no_more_of_a_network(
    hub: Hub, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = command(*GET, "hf:people/small", "--yes")
    assert f"people/small: the newest is {PINNED}" in said
    size = len(hub.files["model.safetensors"])
    assert f"takes data of kind image; licence: apache-2.0; {size / 1000:.3g} kB to fetch" in said
    assert said.endswith(f"data/small is {PINNED}; say `regatta run model.backbone=hf:data/small`\n")
    folder = Path("data/small")
    names = {"config.json", "preprocessor_config.json", "model.safetensors"}
    assert {path.name for path in folder.iterdir()} == names | {"source.json"}
    assert all((folder / name).read_bytes() == hub.files[name] for name in names)
    source = read_json(folder / "source.json")
    assert (source["name"], source["revision"], source["licence"], source["kind"]) == (
        "people/small",
        COMMIT,
        "apache-2.0",
        "image",
    )
    backbone = opened(folder, "image")
    assert source["files"] == dict(backbone.files)
    assert {path.name for path in Path("data").iterdir()} - {"small", ".small.lock"} == {".gitkeep"}
    hub.asked.clear()
    assert f"data/small is {PINNED}" in command(*GET, PINNED)
    assert hub.asked == []
    command(*GET, "hf:people/small")
    assert [path for _, path, _ in hub.asked if "resolve" in path] == []


def test_what_is_no_longer_what_was_fetched_is_told(hub: Hub, command: Command) -> None:
    command(*GET, PINNED, "--yes", "--into", "nets/mine")
    config = Path("nets/mine/config.json")
    config.write_text(json.dumps(json.loads(config.read_text()) | {"layer_norm_eps": 1e-3}))
    with pytest.raises(ConfigError, match=r"config\.json is no longer what source\.json says was fetched"):
        fitted(opened(Path("nets/mine"), "image"), {}, (3, 8, 8), None)


def test_nothing_large_is_fetched_before_somebody_has_agreed(
    hub: Hub, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "not fetched; say --yes where nobody can be asked" in command(*GET, PINNED, code=2)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda words: "n")
    command(*GET, PINNED, code=2)
    assert not any(path.endswith("model.safetensors") for _, path, _ in hub.asked)
    assert not Path("data/small").exists()
    monkeypatch.setattr("builtins.input", lambda words: "y")
    command(*GET, PINNED)
    assert Path("data/small/model.safetensors").exists()


def test_cut_in_the_middle_it_goes_on_from_there(hub: Hub, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = hub.files["model.safetensors"]
    hub.cut = len(whole) // 3
    monkeypatch.setattr(hub_library.constants, "DOWNLOAD_CHUNK_SIZE", 4096)
    said = command(*GET, PINNED, "--yes", code=1)
    assert "the same command goes on from here" in said
    assert not Path("data/small").exists()
    hub.cut = None
    hub.asked.clear()
    command(*GET, PINNED, "--yes")
    ranges = [each for method, path, each in hub.asked if method == "GET" and path.endswith("model.safetensors")]
    assert len(ranges) == 1
    assert ranges[0] is not None
    assert int(ranges[0].removeprefix("bytes=").partition("-")[0]) > 0
    assert Path("data/small/model.safetensors").read_bytes() == whole


def test_a_file_that_comes_otherwise_is_not_taken(hub: Hub, command: Command) -> None:
    hub.false = "model.safetensors"
    assert "model.safetensors came otherwise than its commit has it" in command(*GET, PINNED, "--yes", code=5)
    assert not Path("data/small").exists()
    hub.false = None
    command(*GET, PINNED, "--yes")


def test_a_folder_that_holds_something_else_is_left_alone(hub: Hub, command: Command) -> None:
    Path("data/small").mkdir()
    assert "data/small: holds something else; choose another folder with --into" in command(*GET, PINNED, "--yes", code=5)


def test_what_can_not_be_used_is_refused_by_name_before_its_weights(hub: Hub, command: Command) -> None:
    config = json.loads(hub.files["config.json"])
    whole = dict(hub.files)

    def refused(word: str = PINNED, code: int = 2, **files: bytes | None) -> str:
        hub.files = {**whole, **{name.replace("__", "."): content for name, content in files.items()}}
        hub.files = {name: content for name, content in hub.files.items() if content is not None}
        said = command(*GET, word, "--yes", code=code)
        assert not any(path.endswith("model.safetensors") for _, path, _ in hub.asked)
        assert not Path("data/small").exists()
        return said

    short = "hf:people/small@0123456789"
    assert f"{short}: it has no model.safetensors, only pytorch_model.bin" in refused(model__safetensors=None)
    own = json.dumps(config | {"auto_map": {"AutoModel": "x.Y"}}).encode()
    assert f"{short}: config.json has auto_map, which names code to be run" in refused(config__json=own)
    assert "model_type = 'gpt2'; these are taken: vit" in refused(config__json=json.dumps({"model_type": "gpt2"}).encode())
    assert "it has no preprocessor_config.json, which is needed beside config.json" in refused(preprocessor_config__json=None)
    assert "no JSON object" in refused(config__json=b"[]")
    assert "hf:people/small@old: there is no such revision" in refused("hf:people/small@old")
    assert "hf:people/none: there is none of this name, or it is private" in refused("hf:people/none")
    assert "'people/small': say hf:NAME@REVISION" in refused("people/small")
    hub.gated = True
    assert "its publisher asks to agree to terms" in refused()


def test_without_a_network_it_is_said(hub: Hub, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_library.constants, "HF_HUB_OFFLINE", True)
    assert "can't be fetched (OfflineModeIsEnabled" in command(*GET, PINNED, "--yes", code=1)
    monkeypatch.setattr(hub_library.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_library.constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "where there is a network say the same command again. Else" in command(*GET, PINNED, "--yes", code=1)


def test_weights_in_several_files_and_a_tokenizer_come_too(hub: Hub, command: Command, tmp_path: Path) -> None:
    from safetensors.numpy import load, save

    hub.files = of_folder(bert(tmp_path / "bert")).files
    tensors = load(hub.files.pop("model.safetensors"))
    first = {name: each for i, (name, each) in enumerate(sorted(tensors.items())) if i % 2}
    rest = {name: each for name, each in tensors.items() if name not in first}
    shards = {"model-00001-of-00002.safetensors": first, "model-00002-of-00002.safetensors": rest}
    hub.files |= {name: save(own) for name, own in shards.items()}
    index = {name: shard for shard, own in shards.items() for name in own}
    hub.files["model.safetensors.index.json"] = json.dumps({"weight_map": index}).encode()
    command(*GET, PINNED, "--yes")
    assert len(opened(Path("data/small"), "text").weights) == 2
