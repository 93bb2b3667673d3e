"""Layers whose parameters are stacked along a leading axis of K independent networks, with their gradients by hand.

Network k of K computes bit for bit what it computes alone (on a CPU): products are batched over aligned matrices, whatever
the libraries compute differently at another size (transcendental functions, whose vector loop and remainder differ;
convolutions; normalisation) is done network by network.

A layer's `forward` returns its output and what its `backward` needs; `backward` writes the gradients of its parameters
into the given places and returns the gradient of its input. That is all of reverse mode that a chain of layers needs, at
a third of the overhead of recorded graphs with small batches; tests compare it with autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.model.net import FLOATS_PER_LINE
from pipeline.model.stacked.spec import Part

if TYPE_CHECKING:
    from pipeline.model.draw import Draw

aten: Any = torch.ops.aten

SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
"""Klambauer et al. 2017."""


def aligned_empty(like: Tensor, rows: int, columns: int) -> Tensor:
    """An empty (K, rows, columns) in which every matrix starts at a cache line."""
    if rows * columns % FLOATS_PER_LINE == 0:
        return like.new_empty(len(like), rows, columns)
    stride = -(-rows * columns // FLOATS_PER_LINE) * FLOATS_PER_LINE
    return like.new_empty(len(like), stride)[:, : rows * columns].view(len(like), rows, columns)


def aligned(x: Tensor) -> Tensor:
    """x (K, M, N) with every matrix whole and at the start of a cache line."""
    num, _, columns = x.shape
    step, row, column = x.stride()
    whole = row == columns and column == 1 and (num == 1 or step % FLOATS_PER_LINE == 0)
    if (whole and x.data_ptr() % (4 * FLOATS_PER_LINE) == 0) or x.device.type != "cpu":
        return x
    return aligned_empty(x, *x.shape[1:]).copy_(x)


def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a (K, M, N) @ b (K, N, P) [+ bias (K, 1, P)]; on a CPU a product of misaligned matrices differs in the last bit."""
    out = aligned_empty(a, a.shape[1], b.shape[2])
    return torch.bmm(a, b, out=out) if bias is None else torch.baddbmm(bias, a, b, out=out)


def by_network(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Apply a function to each network's slices of tensors (K, ...), so that their size does not depend on K."""
    if len(tensors[0]) == 1:
        return function(*(tensor[0] for tensor in tensors)).unsqueeze(0)
    return torch.stack([function(*parts) for parts in zip(*tensors, strict=True)])


@dataclass(frozen=True)
class Function:
    """An activation and its derivative."""

    value: Callable[[Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor], Tensor]
    """Of the output's gradient and the input, or the output if `of_output`."""
    of_output: bool = False
    piecewise: bool = False
    """Linear in pieces, so exact in any order of elements: applied to all networks at once."""

    def __call__(self, x: Tensor) -> Tensor:
        """Of x (K, ...)."""
        return self.value(x) if self.piecewise else by_network(self.value, x)

    def backward(self, grad: Tensor, saved: Tensor) -> Tensor:
        """The gradient of x, both (K, ...)."""
        return self.gradient(grad, saved) if self.piecewise else by_network(self.gradient, grad, saved)


ACTIVATIONS = {
    "relu": Function(torch.relu, lambda g, y: aten.threshold_backward(g, y, 0), of_output=True, piecewise=True),
    "leaky_relu": Function(F.leaky_relu, lambda g, x: aten.leaky_relu_backward(g, x, 0.01, False), piecewise=True),
    "elu": Function(F.elu, lambda g, x: aten.elu_backward(g, 1.0, 1.0, 1.0, False, x)),
    "selu": Function(F.selu, lambda g, x: aten.elu_backward(g, SELU_ALPHA, SELU_SCALE, 1.0, False, x)),
    "gelu": Function(F.gelu, lambda g, x: aten.gelu_backward(g, x)),
    "silu": Function(F.silu, lambda g, x: aten.silu_backward(g, x)),
    "mish": Function(F.mish, lambda g, x: aten.mish_backward(g, x)),
    "softplus": Function(F.softplus, lambda g, x: aten.softplus_backward(g, x, 1.0, 20.0)),
    "tanh": Function(torch.tanh, lambda g, y: aten.tanh_backward(g, y), of_output=True),
    "sigmoid": Function(torch.sigmoid, lambda g, y: aten.sigmoid_backward(g, y), of_output=True),
}


class Layer(Protocol):
    """One layer of K networks."""

    def forward(self, x: Tensor, draw: Draw | None) -> tuple[Tensor, Any]:
        """x (K, B, ...) to the output and what `backward` needs; draw: of the step, None where nothing is random."""

    def backward(self, grad: Tensor, saved: Any, places: Sequence[Tensor], *, first: bool) -> Tensor:
        """Write the parameters' gradients to `places`; return the input's (not computed in the first layer)."""


@dataclass(frozen=True)
class Dense:
    """x (K, B, in) to (K, B, out): weight (K, in, out), bias (K, 1, out), with a spare column where out is 1."""

    weight: Tensor
    bias: Tensor
    spare: int = 0

    def forward(self, x: Tensor, _draw: Draw | None) -> tuple[Tensor, Tensor]:
        x = aligned(x)
        out = product(x, self.weight, self.bias)
        return out[..., :1] if self.spare else out, x

    def backward(self, grad: Tensor, x: Tensor, places: Sequence[Tensor], *, first: bool) -> Tensor:
        torch.sum(grad, 1, keepdim=True, out=places[1][..., :1] if self.spare else places[1])
        grad = aligned(F.pad(grad, (0, self.spare)) if self.spare else grad)
        torch.bmm(x.mT, grad, out=places[0])
        return grad if first else product(grad, self.weight.mT)


@dataclass(frozen=True)
class Conv:
    """3x3 convolution of x (K, B, in, H, W) to the same height and width: weight (K, out, in, 3, 3), bias (K, out)."""

    weight: Tensor
    bias: Tensor

    def forward(self, x: Tensor, _draw: Draw | None) -> tuple[Tensor, Tensor]:
        def convolved(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return F.conv2d(image, weight, bias, padding=1)

        return by_network(convolved, x, self.weight, self.bias), x

    def backward(self, grad: Tensor, x: Tensor, places: Sequence[Tensor], *, first: bool) -> Tensor:
        grads_x, shape, wanted = [], [self.bias.shape[1]], [not first, True, True]
        one, zero = [1, 1], [0, 0]
        for k in range(len(x)):
            grad_x, grad_weight, grad_bias = aten.convolution_backward(
                grad[k], x[k], self.weight[k], shape, one, one, one, False, zero, 1, wanted
            )
            places[0][k].copy_(grad_weight)
            places[1][k].copy_(grad_bias)
            grads_x.append(grad_x)
        return grad if first else torch.stack(grads_x)


@dataclass(frozen=True)
class Norm:
    """Layer normalisation (Ba et al. 2016) over all features of a sample; gain and shift (K, channels).

    Over (C, H, W) this is group normalisation with one group.
    """

    gain: Tensor
    shift: Tensor

    def forward(self, x: Tensor, _draw: Draw | None) -> tuple[Tensor, Any]:
        shape = list(x.shape[2:])
        parts = [torch.native_layer_norm(part, shape, None, None, 1e-5) for part in x]
        normed = torch.stack([part[0] for part in parts])
        per_channel = (len(x), 1, -1, *[1] * (x.ndim - 3))
        out = normed * self.gain.view(per_channel) + self.shift.view(per_channel)
        return out, (x, normed, parts, per_channel)

    def backward(self, grad: Tensor, saved: Any, places: Sequence[Tensor], *, first: bool) -> Tensor:
        """Sums over batch and space for gain and shift, network by network."""
        x, normed, parts, per_channel = saved
        over = (0, *range(2, x.ndim - 1))
        places[0].copy_(by_network(lambda g, n: (g * n).sum(over), grad, normed))
        places[1].copy_(by_network(lambda g: g.sum(over), grad))
        grad = grad * self.gain.view(per_channel)
        shape, only_x = list(x.shape[2:]), [True, False, False]
        grads = [
            aten.native_layer_norm_backward(g, part, shape, mean, deviation, None, None, only_x)[0]
            for g, part, (_, mean, deviation) in zip(grad, x, parts, strict=True)
        ]
        return torch.stack(grads)


@dataclass(frozen=True)
class Activation:
    """An activation, followed by dropout (Srivastava et al. 2014) where it has a mask."""

    name: str
    mask: tuple[int, int] | None = None
    """The number of its mask (K, B, units), and how many units."""

    def forward(self, x: Tensor, draw: Draw | None) -> tuple[Tensor, Any]:
        """x (K, B, ...), which is overwritten where the activation allows."""
        function = ACTIVATIONS[self.name]
        mask = draw.masks(*self.mask) if draw is not None and self.mask is not None else None
        if self.name == "relu":
            out = x.relu_() if mask is None else x.relu_().mul_(mask)
            return out, (out, mask)
        value = function(x)
        return value if mask is None else value * mask, (value if function.of_output else x, mask)

    def backward(self, grad: Tensor, saved: Any, _places: Sequence[Tensor], *, first: bool) -> Tensor:
        """Where a unit was dropped the mask makes the gradient zero."""
        of, mask = saved
        return ACTIVATIONS[self.name].backward(grad if mask is None else grad.mul_(mask), of)


@dataclass(frozen=True)
class MaxPool:
    """2x2 max pooling of x (K, B, C, H, W); a side of one pixel is left. No sums, so all networks at once."""

    def forward(self, x: Tensor, draw: Draw | None) -> tuple[Tensor, Any]:
        """In evaluation without the places of the maxima, for which torch takes ten times as long on a CPU."""
        if draw is None:
            return _maxima(_maxima(x, -2), -1), None
        flat, window = x.flatten(0, 1), [min(2, x.shape[3]), min(2, x.shape[4])]
        out, places = aten.max_pool2d_with_indices(flat, window)
        return out.unflatten(0, x.shape[:2]), (flat, window, places)

    def backward(self, grad: Tensor, saved: Any, _places: Sequence[Tensor], *, first: bool) -> Tensor:
        x, window, places = saved
        back = aten.max_pool2d_with_indices_backward(grad.flatten(0, 1), x, window, window, [0, 0], [1, 1], False, places)
        return back.unflatten(0, grad.shape[:2])  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Flatten:
    """x (K, B, ...) to (K, B, features)."""

    def forward(self, x: Tensor, _draw: Draw | None) -> tuple[Tensor, Any]:
        return x.flatten(2), x.shape

    def backward(self, grad: Tensor, saved: Any, _places: Sequence[Tensor], *, first: bool) -> Tensor:
        return grad.reshape(saved)


def _maxima(x: Tensor, axis: int) -> Tensor:
    """Of each two along an axis, of an odd number the last left out; of one it is that one."""
    pairs = x.shape[axis] // 2
    if not pairs:
        return x
    first, second = x.narrow(axis, 0, 2 * pairs).unflatten(axis, (pairs, 2)).unbind(axis)  # type: ignore[no-untyped-call]
    return torch.maximum(first, second)


def _dense(part: Part, views: Sequence[Tensor]) -> Layer:
    weight, bias = views
    return Dense(weight, bias, part.parameters[0].spare)


LAYERS: dict[str, Callable[[Part, Sequence[Tensor]], Layer]] = {
    "conv": lambda part, views: Conv(*views),
    "dense": _dense,
    "norm": lambda part, views: Norm(*views),
    "activation": lambda part, views: Activation(part.function, part.mask),
    "pool": lambda part, views: MaxPool(),
    "flatten": lambda part, views: Flatten(),
}
"""A layer's class by the kind of its part, over the views (K, *stored) of its parameters."""
