"""The user's own code: found by name, checked against its signature, told where it fails, part of digests, and sent along."""

import textwrap

import pytest
from run_helpers import configs

from pipeline import closure, extensions
from pipeline.errors import ConfigError

MODEL = {"model__arch": "module", "model__channels": [], "model__widths": [], "model__dropout": 0.0}


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write an extensions.py, and what lies beside it, into a folder of their own."""

    def write(text, beside=None):
        folder = tmp_path / f"own-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        for name, content in {"extensions.py": text, **(beside or {})}.items():
            file = folder / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(textwrap.dedent(content))
        monkeypatch.setattr(extensions, "_unpacked", [folder])
        return folder

    return write


def module(name, **keys):
    return configs(**MODEL, model__name=name, model__keys=keys)[0]


def test_a_name_and_keys_are_taken(own_modules):
    model = module("cnn", width=8, drop=0.5)
    assert (model.name, model.keys, model.extended) == ("cnn", {"width": 8, "drop": 0.5}, True)


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        ("patchs", {}, "name = 'patchs': there are airbench, .*cnn, patches, .*; did you mean patches?"),
        (None, {}, "name = None: there are airbench, .*cnn.*; yours go into MODELS of extensions.py"),
        ("cnn", {"widht": 8}, r"model.keys.widht = 8: its function takes width, drop, norm; did you mean width\?"),
        (
            "whole",
            {"depth": 8},
            r"model.keys.depth = 8: its function takes no keys; forget it with `regatta run '~model.keys.depth'`",
        ),
        ("needy", {}, "keys.width: missing, and it has no default; say model.keys.width=VALUE"),
        ("cnn", {"size": 3}, "keys.size: DVC's run cache takes no notice of a key named size"),
    ],
)
def test_what_does_not_fit_is_refused(own_modules, name, keys, said):
    with pytest.raises(ConfigError, match=said):
        module(name, **keys)


def test_keys_of_another_kind_of_network_are_refused(own_modules):
    with pytest.raises(
        ConfigError, match=r"widths = \[16\]: a module does not read it; forget it with `regatta run '~model.widths'`"
    ):
        configs(**{**MODEL, "model__widths": [16]}, model__name="cnn")
    with pytest.raises(ConfigError, match=r"name = 'cnn': a dnn does not read it; .*, or say model=module"):
        configs(model__name="cnn")


def test_a_file_that_fails_is_told_with_its_line(written):
    written("from torch import nn\n\n\nMODELS = {'a': undefined}\n")
    with pytest.raises(ConfigError, match=r"extensions.py, line 4: NameError: name 'undefined' is not defined; mend it"):
        module("a")
    written("def broken(:\n")
    with pytest.raises(ConfigError, match=r"extensions\.py, line 1: SyntaxError"):
        module("a")
    written("import beside\n", {"beside.py": "x = 1\ny = 1 / 0\n"})
    with pytest.raises(ConfigError, match=r"beside\.py, line 2: ZeroDivisionError"):
        module("a")
    written("MODELS = ['a']\n")
    with pytest.raises(ConfigError, match=r"MODELS = \['a'\]: must be a dict of functions by name"):
        module("a")


def test_what_it_imports_of_its_own_counts_and_comments_do_not(written):
    one, two = "def block(): return 1\n", "def block(): return 2\n"
    texts = {"nets/small.py": "from .parts import block\n", "nets/parts.py": one, "nets/__init__.py": ""}
    text = "import torch\nfrom nets.small import block\nfrom pipeline import keyed\nMODELS = {}\n"
    written(text, texts)
    assert extensions.files() == ["extensions.py", "nets/__init__.py", "nets/parts.py", "nets/small.py"]
    before = extensions.digest()
    written(text + "# a comment\n", {**texts, "nets/small.py": '"""Small."""\nfrom .parts import block\n'})
    assert extensions.digest() == before
    written(text, {**texts, "nets/parts.py": two})
    assert extensions.digest() != before


def test_what_was_sent_takes_the_place_of_what_lies_here(own_modules, written, monkeypatch):
    sent, digest = extensions.packed(), extensions.digest()
    written("MODELS = {}\n")
    assert extensions.digest() != digest
    extensions.unpack(sent)
    assert extensions.digest() == digest
    assert "patches" in extensions.registered("MODELS")


def test_the_file_of_the_repository_registers_nothing(monkeypatch):
    monkeypatch.chdir(closure.ROOT)
    assert dict(extensions.registered("MODELS")) == {}
    assert extensions.files() == ["extensions.py"]


def test_how_many_tokens_there_are_is_said_by_the_data(written):
    written("def embedded(shape, num_outputs, *, num_tokens, width): return None\nMODELS = {'embedded': embedded}\n")
    assert module("embedded", width=3).keys == {"width": 3}
    with pytest.raises(ConfigError, match=r"model\.keys\.num_tokens = 9: its function takes width; forget it"):
        module("embedded", width=3, num_tokens=9)
