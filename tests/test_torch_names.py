"""Names of torch that it promises nobody: where one goes or takes other arguments, it is said which, and where it is used."""

import re
from pathlib import Path

import pytest
import torch

PIPELINE = Path(__file__).resolve().parents[1] / "pipeline"
USED = re.compile(r"\b(?:aten|torch)\.(\w+_backward|\w+_with_indices|_(?:fused|foreach)_\w+)\(")
ARGUMENTS = {
    "_foreach_norm": "self ord dtype",
    "_fused_adamw_": "self grads exp_avgs exp_avg_sqs max_exp_avg_sqs state_steps lr beta1 beta2 weight_decay eps amsgrad "
    "maximize grad_scale found_inf",
    "convolution_backward": "grad_output input weight bias_sizes stride padding dilation transposed output_padding groups "
    "output_mask",
    "elu_backward": "grad_output alpha scale input_scale is_result self_or_result",
    "gelu_backward": "grad_output self approximate",
    "leaky_relu_backward": "grad_output self negative_slope self_is_result",
    "max_pool2d_with_indices": "self kernel_size stride padding dilation ceil_mode",
    "max_pool2d_with_indices_backward": "grad_output self kernel_size stride padding dilation ceil_mode indices",
    "mish_backward": "grad_output self",
    "native_layer_norm_backward": "grad_out input normalized_shape mean rstd weight bias output_mask",
    "sigmoid_backward": "grad_output output",
    "silu_backward": "grad_output self",
    "softplus_backward": "grad_output self beta threshold",
    "tanh_backward": "grad_output output",
    "threshold_backward": "grad_output self threshold",
}


def users() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in sorted(PIPELINE.rglob("*.py")):
        for name in USED.findall(file.read_text(encoding="utf-8")):
            found.setdefault(name, []).append(file.relative_to(PIPELINE.parent).as_posix())
    return found


def overload(name: str) -> object:
    packet = getattr(torch.ops.aten, name)
    return getattr(packet, "Scalar" if name == "_foreach_norm" else "default")


@pytest.mark.parametrize("name", sorted(ARGUMENTS))
def test_a_private_name_is_there_and_takes_what_it_took(name: str) -> None:
    where = f"torch {torch.__version__}: aten.{name}, which {', '.join(users().get(name, ['nothing']))} uses,"
    try:
        taken = " ".join(argument.name for argument in overload(name)._schema.arguments)
    except AttributeError:
        pytest.fail(f"{where} has gone; take its place by what torch.autograd calls there now")
    assert taken == ARGUMENTS[name], f"{where} takes other arguments; look at each call"


def test_every_private_name_that_is_used_is_known() -> None:
    assert users().keys() == ARGUMENTS.keys()
