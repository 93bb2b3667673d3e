"""The precision that `auto` means."""

import pytest
from run_helpers import configs

from pipeline.errors import ConfigError
from pipeline.model import precision
from pipeline.runs.identity import identity

NET = {"model__arch": "module", "model__name": "airbench", "model__widths": [], "model__dropout": 0.0}


@pytest.fixture(params=[True, False])
def fast(request, monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: request.param)
    return request.param


def test_it_is_what_the_device_is_fast_in_and_of_modules_alone(fast):
    assert precision.precision_taken("auto", "module", "cpu") == ("bf16-mixed" if fast else "32-true")
    assert precision.precision_taken("auto", "dnn", "cpu") == "32-true"
    assert precision.precision_taken("bf16-mixed", "module", "cpu") == "bf16-mixed"


def test_a_run_is_the_same_whether_the_precision_was_chosen_or_said(fast):
    def run_of(said):
        model, train = configs(**NET, train__precision=said)
        return identity(model, train, "image", "data", "views", "cpu").run

    same, other = ("bf16-mixed", "32-true") if fast else ("32-true", "bf16-mixed")
    assert run_of("auto") == run_of(same) != run_of(other)


def test_a_processor_says_whether_it_multiplies_in_bfloat16(tmp_path, monkeypatch):
    def of(flags):
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
        precision.has_bfloat16.cache_clear()
        return precision.has_bfloat16("cpu")

    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")
    assert [of("fpu avx512f avx512_bf16"), of("fpu amx_bf16 amx_tile"), of("fpu avx512f avx2")] == [True, True, False]
    precision.has_bfloat16.cache_clear()


def test_nesterovs_momentum_is_of_sgd_with_momentum():
    assert configs(train__optimizer="sgd", train__nesterov=True)[1].nesterov
    for changes in ({}, {"train__optimizer": "sgd", "train__momentum": 0.0}):
        with pytest.raises(
            ConfigError, match=r"nesterov = True: it is of optimizer = sgd with momentum; say train.nesterov=false"
        ):
            configs(train__nesterov=True, **changes)
