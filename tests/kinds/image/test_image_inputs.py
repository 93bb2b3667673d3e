from __future__ import annotations

import pytest
import torch

from pipeline.errors import DataError
from pipeline.kinds.image.inputs import check_inputs, to_input

SHAPE = (3, 8, 6)


def refusal(inputs: torch.Tensor, shape: tuple[int, ...] = SHAPE) -> str:
    with pytest.raises(DataError, match=r"expected are uint8 of shape \(B, 3, 8, 6\), values from 0 to 255") as error:
        check_inputs(inputs, shape)
    return str(error.value)


def test_stored_images_are_taken() -> None:
    check_inputs(torch.zeros(4, *SHAPE, dtype=torch.uint8), SHAPE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.int8])
def test_other_types_are_refused_with_what_to_do(dtype: torch.dtype) -> None:
    said = refusal(torch.zeros(4, *SHAPE, dtype=dtype))
    assert said.startswith(f"inputs of dtype {str(dtype)[6:]} and shape (4, 3, 8, 6): ")
    assert "`(255 * images).round().to(torch.uint8)`" in said


def test_channels_last_other_sizes_and_single_images_are_refused() -> None:
    assert "`images.permute(0, 3, 1, 2)`" in refusal(torch.zeros(4, 8, 6, 3, dtype=torch.uint8))
    assert "resized" in refusal(torch.zeros(4, 3, 28, 28, dtype=torch.uint8))
    assert "`image[None]`" in refusal(torch.zeros(*SHAPE, dtype=torch.uint8))
    both = refusal(torch.rand(4, 8, 6, 3))
    assert "round()" in both
    assert "permute" in both


def test_the_cast_gives_each_channel_mean_0_and_deviation_1() -> None:
    images = torch.randint(0, 256, (50, *SHAPE), dtype=torch.uint8)
    values = images.double() / 255
    fit = {"mean": values.mean((0, 2, 3)).tolist(), "std": values.std((0, 2, 3), correction=0).tolist()}
    cast = to_input(fit, SHAPE, "cpu")
    inputs = cast(images)
    assert inputs.dtype == torch.float32
    assert inputs.mean((0, 2, 3)).abs().max() < 1e-6
    torch.testing.assert_close(inputs.std((0, 2, 3), correction=0), torch.ones(3))
    assert torch.equal(cast(images[7:8]), inputs[7:8])


def test_a_channel_of_one_value_becomes_zero() -> None:
    fit = {"mean": [7 / 255], "std": [0.0]}
    assert not to_input(fit, (1, 2, 2), "cpu")(torch.full((3, 1, 2, 2), 7, dtype=torch.uint8)).any()
