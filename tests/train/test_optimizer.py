"""The stacked optimizer against torch's own, run by run."""

import pytest
import torch
from training_helpers import lane

from pipeline.train.optimizer import LaneOptimizer, clip_scale

LANES = [
    lane(0),
    lane(1, learning_rate=0.1, weight_decay=0.0, betas=(0.5, 0.9), momentum=0.0),
    lane(2, weight_decay=1.0, momentum=0.5),
    lane(3),
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
            torchs = torch.optim.SGD([parameter], momentum=settings.momentum, **usual)
        for step in range(5):
            torchs.param_groups[0]["lr"] = settings.learning_rate / (step + 1)
            parameter.grad = grads[step, k].clone()
            torchs.step()
        torch.testing.assert_close(flat[k], parameter.data)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_run_that_has_ended_is_left_as_it_is(name):
    flat = torch.ones(4, 48)
    LaneOptimizer(name, LANES, flat).step_lanes([1, 3], torch.ones(4, 48), 0, 1.0)
    assert [bool((row == 1).all()) for row in flat] == [True, False, True, False]


def test_clipping_keeps_the_direction():
    grad = torch.tensor([3.0, 4.0])
    assert clip_scale(grad, 10.0) == 1.0
    torch.testing.assert_close(grad * clip_scale(grad, 1.0), torch.tensor([0.6, 0.8]))
