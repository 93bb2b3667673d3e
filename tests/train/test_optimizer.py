"""The stacked optimizer against torch's own, run by run."""

import pytest
import torch
from training_helpers import lane, program

from pipeline.errors import ConfigError
from pipeline.model.net import BUFFER, Layout, Slot
from pipeline.train.groups import Columns, Factors, check_factors, column_factors
from pipeline.train.optimizer import LaneOptimizer, clip_scale

LANES = [
    lane(0),
    lane(1, learning_rate=0.1, weight_decay=0.0, betas=(0.5, 0.9), momentum=0.0),
    lane(2, weight_decay=1.0, momentum=0.5),
    lane(3, nesterov=True),
]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_steps_are_torchs(name):
    generator = torch.Generator().manual_seed(0)
    start, grads = torch.randn(4, 48, generator=generator), torch.randn(5, 4, 48, generator=generator)
    flat = start.clone()
    own = LaneOptimizer(name, LANES, flat)
    for step in range(5):
        own.step_lanes(range(4), grads[step].clone(), step, 1 / (step + 1))
    for k, settings in enumerate(LANES):
        parameter = torch.nn.Parameter(start[k].clone())
        usual = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
        if name == "adamw":
            torchs = torch.optim.AdamW([parameter], betas=settings.betas, **usual)
        else:
            torchs = torch.optim.SGD([parameter], momentum=settings.momentum, nesterov=settings.nesterov, **usual)
        for step in range(5):
            torchs.param_groups[0]["lr"] = settings.learning_rate / (step + 1)
            parameter.grad = grads[step, k].clone()
            torchs.step()
        torch.testing.assert_close(flat[k], parameter.data)


LAYOUT = Layout(
    (
        Slot("dense1.weight", (4, 8), "dense1"),
        Slot("dense1.bias", (8,), "dense1"),
        Slot("norm1.scale", (8,), "norm1"),
        Slot("output.weight", (8, 2), "output"),
        Slot("running.mean", (8,), "running", role=BUFFER),
    )
)


def test_matrices_are_decayed_and_factors_go_by_name():
    usual = [Columns(0, 32, 1.0, 1.0), Columns(32, 64, 1.0, 0.0), Columns(64, 80, 1.0, 1.0)]
    assert column_factors(LAYOUT, "matrices", []) == usual
    assert column_factors(LAYOUT, "all", []) == [Columns(0, 80, 1.0, 1.0)]
    slower = [Factors("dense1.*", 0.1, 1.0), Factors("*.weight", 0.5, 2.0)]
    assert column_factors(LAYOUT, "all", slower) == [
        Columns(0, 32, 0.05, 2.0), Columns(32, 48, 0.1, 1.0), Columns(48, 64, 1.0, 1.0), Columns(64, 80, 0.5, 2.0),
    ]  # fmt: skip
    check_factors(LAYOUT, slower)
    with pytest.raises(
        ConfigError, match=r"train.factors: dens1\.weight fits no .*did you mean dense1\.weight\?\); there are dense1\.weight, "
    ):
        check_factors(LAYOUT, [Factors("dens1.weight", 1.0, 1.0)])


def test_biases_and_norms_of_the_stacked_networks_are_not_decayed():
    spec = program(channels=(4,), widths=(32,), num_outputs=1, norm="layer").spec
    bare = [slot.name for slot in spec.layout().slots if column_factors(Layout((slot,)), "matrices", [])[0].decay == 0.0]
    assert [name for name in bare if not name.endswith((".bias", ".gain", ".shift"))] == []
    assert len(spec.layout().slots) - len(bare) == 3, "the weights of a convolution and two dense layers"


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_columns_are_stepped_as_torchs_groups(name):
    columns = [Columns(0, 16, 1.0, 1.0), Columns(16, 32, 0.1, 0.0), Columns(32, 48, 0.0, 1.0)]
    generator = torch.Generator().manual_seed(0)
    start, grads = torch.randn(4, 48, generator=generator), torch.randn(5, 4, 48, generator=generator)
    flat = start.clone()
    own = LaneOptimizer(name, LANES, flat, columns)
    for step in range(5):
        own.step_lanes(range(4), grads[step], step, 1.0)
    for k, settings in enumerate(LANES):
        parts = [torch.nn.Parameter(start[k, part.first : part.last].clone()) for part in columns]
        groups = [
            {"params": [own], "lr": settings.learning_rate * part.rate, "weight_decay": settings.weight_decay * part.decay}
            for own, part in zip(parts, columns, strict=True)
        ]
        if name == "adamw":
            torchs = torch.optim.AdamW(groups, betas=settings.betas)
        else:
            torchs = torch.optim.SGD(groups, momentum=settings.momentum, nesterov=settings.nesterov)
        for step in range(5):
            for own_part, part in zip(parts, columns, strict=True):
                own_part.grad = grads[step, k, part.first : part.last].clone()
            torchs.step()
        torch.testing.assert_close(flat[k], torch.cat([part.data for part in parts]))
        assert torch.equal(flat[k, 32:], start[k, 32:]), "a rate of zero leaves them"


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_run_that_has_ended_is_left_as_it_is(name):
    flat = torch.ones(4, 48)
    LaneOptimizer(name, LANES, flat).step_lanes([1, 3], torch.ones(4, 48), 0, 1.0)
    assert [bool((row == 1).all()) for row in flat] == [True, False, True, False]


def test_clipping_keeps_the_direction():
    grad = torch.tensor([3.0, 4.0])
    assert clip_scale(grad, 10.0) == 1.0
    torch.testing.assert_close(grad * clip_scale(grad, 1.0), torch.tensor([0.6, 0.8]))
