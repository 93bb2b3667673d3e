"""What can't be trained exactly is refused by name, with what to do."""

import shutil

import pytest

from pipeline.errors import ConfigError
from pipeline.kinds.inputs import Taken
from pipeline.model.module import compiling
from pipeline.model.module.spec import ModuleSpec


def spec(name, compiled=False, **keys):
    return ModuleSpec.of({"name": name, "keys": keys, "compile": compiled}, Taken((1, 8, 8)), 5)


@pytest.mark.parametrize("name", ["cnn", "patches", "dense", "frozen", "tied", "unused", "pair", "named", "averaged", "norm1d"])
def test_these_are_taken(own_modules, name):
    spec(name).check(4)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("counting", "steps changes in a step, but is not kept with the weights; make it a floating buffer"),
        ("counting_in_buffer", "steps changes in a step, but is not kept"),
        ("cumulative_norm", r"norm.num_batches_tracked is counted \(momentum=None\).* give it a momentum"),
        ("numpy", "tried twice from one seed gives other numbers: it draws from numpy's, Python's"),
        ("own_dice", "tried twice from one seed gives other numbers"),
        ("random_start", "last.bias differs between two modules made from one seed"),
        ("shuffled", "order is drawn anew by each seed, but is neither a parameter nor a floating buffer"),
        ("double", "last.weight is float64; only float32 is trained"),
        ("wide", r"its forward returns \(2, 6\) for 2 samples; expected is \(2, 5\)|its forward returns \(4, 6\)"),
        ("stuck", "no parameter of it is trained"),
        ("failing", r"raised AttributeError: 'Failing' object has no attribute 'nowhere' \(extensions.py, line \d+\)"),
        ("restless", r"in evaluation \(module.eval\(\)\) it gives other numbers"),
        ("lazy", r"1.weight has no size yet \(a lazy layer\)"),
        ("nothing", "its function returns str, not a torch.nn.Module"),
        ("raising", r"building it raised RuntimeError: out of ideas \(extensions.py, line \d+\)"),
    ],
)
def test_these_are_refused_by_name(own_modules, name, said):
    with pytest.raises(ConfigError, match=said) as error:
        spec(name).check(4)
    assert str(error.value).startswith(f"model.name = '{name}': ")


def test_a_shard_of_one_sample_is_refused_only_where_a_layer_needs_more(own_modules):
    spec("patches").check(1)
    spec("cnn").check(1)
    with pytest.raises(ConfigError, match=r"norm1d.*more than 1 value.*leaves a shard of 1 sample: choose another"):
        spec("norm1d").check(1)


def test_without_a_compiler_it_is_said(own_modules, monkeypatch):
    monkeypatch.setattr(compiling, "COMPILERS", ("no-such-compiler",))
    assert shutil.which("no-such-compiler") is None
    with pytest.raises(ConfigError, match=r"model.compile = true: .* none is here; install one .* model.compile=false"):
        spec("dense", compiled=True).build(1)
