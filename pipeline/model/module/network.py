"""A torch module as a `Net` of one lane: its tensors are views of `flat`, its gradient is written where it is summed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor, nn

from pipeline import keyed
from pipeline.kinds.ragged import Rows
from pipeline.model.draw import Draw
from pipeline.model.module.building import built, given, layout_of, logits_of, num_given, returned_logits, tensors_of, told
from pipeline.model.module.compiling import compiled
from pipeline.model.module.spec import ModuleSpec
from pipeline.model.net import BUFFER, FULL, TRAINED


class ModuleNet:
    """One network: columns [trained | frozen | buffers] (see `Net`).

    Stochastic layers draw from torch's generator, seeded for each shard of each step. BatchNorm normalises over a shard; a
    buffer's gradient is its change times the shard's share of the batch, so that it is summed as gradients are.
    """

    def __init__(self, spec: ModuleSpec, num_lanes: int, device: torch.device | str = "cpu") -> None:
        assert num_lanes == spec.max_lanes, "packs of modules have one lane"
        self.spec, self.device = spec, torch.device(device)
        self.module = built(spec, 0).to(device)
        self.layout = layout_of(spec, self.module)
        self.flat = torch.zeros(1, self.layout.num_columns, device=device)
        self.call: Callable[..., object] = self.module
        if spec.compiled:
            self.call = compiled(self.module, self.device, ragged=spec.lengths is not None)
        tensors = tensors_of(self.module)
        self.parameters = [tensors[slot.name] for slot in self.layout.slots if slot.role == TRAINED]
        for slot, view in zip(self.layout.slots, self.layout.views(self.flat), strict=True):
            view[0].copy_(tensors[slot.name].detach())
            tensors[slot.name].data = view[0]
        self.buffers = [
            (self.module.get_submodule(owner), own, tensors[slot.name])
            for slot in self.layout.slots
            if slot.role == BUFFER
            for owner, _, own in [slot.name.rpartition(".")]
        ]
        self.first_buffer = sum(slot.num_columns for slot in self.layout.slots if slot.role != BUFFER)
        self.statistics = {slot.name for slot in self.layout.slots if slot.role == BUFFER}
        self.held: Collection[str] = ()
        self.resting: list[nn.Module] = []
        """Parts whose running statistics are held: they are in evaluation mode when the others are trained."""
        self.aimed_at: Tensor | None = None

    def initialise(self, seeds: Sequence[int]) -> None:
        fresh = tensors_of(built(self.spec, seeds[0]))
        for slot, view in zip(self.layout.slots, self.layout.views(self.flat), strict=True):
            view[0].copy_(fresh[slot.name].detach())

    def hold(self, names: Collection[str]) -> None:
        if names is self.held:
            return
        self.held = names
        owners = [name.rpartition(".")[0] for name in names if name in self.statistics]
        self.resting = [self.module.get_submodule(owner) for owner in dict.fromkeys(owners)]
        self.module.train(False)  # so that the next step goes through all parts

    @torch.no_grad()
    def forward(self, x: Rows) -> Tensor:
        self._in_mode(training=False)
        with self._precision(), told(self.spec, "its forward in evaluation"):
            out = self.module(*given(x))
        return logits_of(self.spec, out, num_given(x)).unsqueeze(0)

    def plain(self) -> nn.Module:
        self._in_mode(training=False)
        return Plain(self.spec, self.module)

    def gradient(self, x: Rows, draw: Draw, loss: Callable[[Tensor], Tensor], out: Tensor) -> Tensor:
        self._in_mode(training=True)
        self._aim(out.zero_())
        before = self.flat[:, self.first_buffer :].clone()
        with keyed.TORCH, torch.enable_grad():
            draw.seed_torch()
            with self._precision(), told(self.spec, "its forward in training"):
                returned = self.call(*given(x))
            logits = logits_of(self.spec, returned, num_given(x))
        stacked = logits.detach().unsqueeze(0)
        with torch.no_grad():
            grad = loss(stacked)[0]
        with told(self.spec, "its backward"):
            torch.autograd.backward(logits, grad)
        if self.buffers:
            self._take_changes(before, draw.share, out)
        return stacked

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.spec.precision != FULL)

    def _in_mode(self, *, training: bool) -> None:
        """Only where it is another one: it goes through all of the module's parts."""
        if self.module.training == training:
            return
        self.module.train(training)
        for part in self.resting:
            part.eval()

    def _aim(self, out: Tensor) -> None:
        """Have autograd add each gradient to its place in `out`, which is mostly the same again."""
        if self.aimed_at is not out:
            for parameter, place in zip(self.parameters, self.layout.views(out), strict=False):
                parameter.grad = place[0]
            self.aimed_at = out

    @torch.no_grad()
    def _take_changes(self, before: Tensor, share: float, out: Tensor) -> None:
        """The buffers' changes to `out`; they themselves start from the same values in every shard of a step."""
        for owner, name, place in self.buffers:
            now = owner._buffers[name]
            if now is not place and now is not None:  # replaced by the module instead of written
                place.copy_(now)
                owner._buffers[name] = place
        buffers = self.flat[:, self.first_buffer :]
        torch.sub(buffers, before, out=out[:, self.first_buffer :]).mul_(share)
        buffers.copy_(before)


class Plain(nn.Module):
    """A user's module whose forward gives the logits and nothing else."""

    def __init__(self, spec: ModuleSpec, module: nn.Module) -> None:
        super().__init__()
        self.spec, self.module = spec, module

    def forward(self, x: Tensor) -> Tensor:
        return returned_logits(self.spec, self.module(x))  # no look at its shape, which would be taken for that of all batches
