"""Modules for rows of different lengths: called with (x, lengths), probed with the data's own lengths."""

import shutil
from pathlib import Path

import pytest
import torch

from pipeline import extensions
from pipeline.errors import ConfigError
from pipeline.kinds.inputs import Taken
from pipeline.kinds.ragged import Ragged
from pipeline.model.module.spec import ModuleSpec
from pipeline.model.specs import spec_of

LENGTHS = (2, 5, 9)


@pytest.fixture
def own_kinds(tmp_path, monkeypatch):
    shutil.copyfile(Path(__file__).parents[2] / "own_kinds.py", tmp_path / extensions.FILE)
    monkeypatch.setattr(extensions, "_unpacked", [tmp_path])


def spec(name, num_tokens=None, **keys):
    return ModuleSpec.of({"name": name, "keys": keys, "compile": False}, Taken((), LENGTHS, num_tokens), 3)


@pytest.mark.parametrize("name", ["pooled", "recurrent"])
def test_an_answer_does_not_depend_on_what_a_row_is_filled_up_with(own_kinds, name):
    spec(name).check(4)
    assert spec(name).notes() == []
    net = spec(name).build(1)
    net.initialise([3])
    rows = Ragged.of([torch.randn(length) for length in (4, 9, 1, 9, 6)])
    together = net.forward(rows)[0]
    for i in range(5):
        torch.testing.assert_close(net.forward(rows.part(i, i + 1))[0, 0], together[i], rtol=1e-5, atol=1e-6)


def test_where_it_does_it_is_said(own_kinds):
    (note,) = spec("blind").notes()
    assert "model.name = 'blind': the logits of a row of 2 items change by" in note
    assert "filled up to 9, so answers depend on which rows stand beside each other" in note


def test_a_forward_without_lengths_is_refused(own_kinds):
    said = r"model.name = 'one_shape': .* inputs \(2, 5\) and lengths \(2,\) raised TypeError"
    with pytest.raises(ConfigError, match=said):
        spec("one_shape").layout()


def test_costs_are_of_the_median_and_memory_of_the_longest(own_kinds):
    short, usual = (ModuleSpec.of({"name": "pooled", "keys": {}, "compile": False}, Taken((), own), 3)
                    for own in ((2, 2, 9), LENGTHS))  # fmt: skip
    assert usual.forward_flops() - short.forward_flops() == 2 * 3 * 8
    assert usual.num_values() == short.num_values() > 9 * 8
    assert usual.num_inputs == 9


def test_tokens_are_whole_numbers_and_their_number_is_told(own_kinds):
    own = spec("embedded", num_tokens=7, width=5)
    own.check(4)
    slots = {slot.name: slot.shape for slot in own.layout().slots}
    assert slots["table.weight"] == (7, 5)
    rows = Ragged.of([torch.tensor([6, 0, 3]), torch.tensor([1])])
    assert own.build(1).forward(rows).shape == (1, 2, 3)


@pytest.mark.parametrize("arch", ["dnn", "cnn"])
def test_built_in_networks_refuse_what_is_not_of_one_shape(arch):
    model = {"arch": arch, "channels": [], "widths": [4], "activation": "relu", "norm": "none", "init": "auto"}
    for taken, what in ((Taken((), LENGTHS), "rows of different lengths"), (Taken((5,), None, 9), "rows of tokens")):
        with pytest.raises(ConfigError, match=rf"model.arch = '{arch}': the data has {what}, .* say model=module"):
            spec_of(model, taken, 3)
