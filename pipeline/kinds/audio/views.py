"""Augmented sounds: SpecAugment on spectrograms (Park et al. 2019), speed on waveforms, shifts, loudness and noise on both.

What is drawn is decided for each sample alone; what is done with a batch are shifts by whole columns, masks, and sums and
products of single values: no function of them that may round otherwise elsewhere in a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.errors import ConfigError
from pipeline.keyed import U64
from pipeline.kinds.audio.features import FLOOR
from pipeline.kinds.audio.keys import SPECTRAL, TEMPORAL, AudioPolicy
from pipeline.kinds.kind import Fit

if TYPE_CHECKING:
    from torch import Tensor

ENGINE = 1
"""Raised where a view of the same policy changes."""
_SHIFT, _GAIN, _SPEED, _NOISE, _KEY = range(5)
_FIRST = 5
"""Draws of a view: one for each of these, then two for each mask, its width and its place."""
Floats = NDArray[np.float64]


class Drawn(NamedTuple):
    """What views are, (B,) each: columns or samples of shift, decibels, factors of speed, shares of noise, keys, masks."""

    shift: NDArray[np.int64]
    gain: Floats
    speed: Floats
    noise: Floats
    keys: NDArray[np.int32]
    times: NDArray[np.int64]
    """(B, masks, 2): where each stretch begins and ends."""
    mels: NDArray[np.int64]


def check_policy(policy: AudioPolicy, shape: Sequence[int]) -> None:
    """ConfigError where an operation is of spectrograms and rows are waveforms, or the other way round."""
    is_spectrum = len(shape) == 3
    wrong = [name for name in (TEMPORAL if is_spectrum else SPECTRAL) if getattr(policy, name) > 0]
    if wrong:
        kept, instead = ("spectrograms", "audio") if is_spectrum else ("waveforms", "waveform")
        off = " ".join(f"augment.{name}=0" for name in wrong)
        raise ConfigError(
            f"augment.{wrong[0]} = {getattr(policy, wrong[0]):g}: the data is stored as {kept} (data.features), which have no "
            f"such views; say `regatta run augment={instead}`, or `{off}`"
        )


def engine_versions() -> dict[str, Any]:
    """What can change a view besides the policy."""
    return {"engine": ENGINE, "contract": keyed.CONTRACT}


def advised(shape: Sequence[int], policy: AudioPolicy) -> list[tuple[str, Mapping[str, Any]]]:
    """Augmentation at all, its full strength, then noise."""
    if not policy.active:
        return [("Augment the training sounds", {"augment": "audio" if len(shape) == 3 else "waveform"})]
    if policy.strength < 1:
        return [("Augment them in full strength", {"augment.strength": 1.0})]
    return [] if policy.noise else [("Add noise to the training sounds", {"augment.noise": 0.2})]


def batch_views(stored: Tensor, ids: U64, numbers: NDArray[np.int64], policy: AudioPolicy, fit: Fit) -> Tensor:
    """View `numbers[i]` of rows (B, 1, bands, columns) float16 or (B, 1, samples) float32: the same, where they are."""
    drawn = view_parameters(ids, numbers, policy, stored.shape[1:])
    views = _spectrograms if stored.dim() == 4 else _waveforms
    return views(stored[:, 0].float(), drawn, policy, fit).to(stored.dtype)[:, None]


def view_parameters(ids: U64, numbers: NDArray[np.int64], policy: AudioPolicy, shape: Sequence[int]) -> Drawn:
    """What is drawn for views of rows of this shape."""
    num_times, num_mels = policy.time_masks * (policy.time_mask > 0), policy.mel_masks * (policy.mel_mask > 0)
    u = keyed.view_draws(policy.seed, ids, numbers, _FIRST + 2 * (num_times + num_mels))
    either = 2 * u - 1
    masks = u[:, _FIRST:].reshape(len(u), num_times + num_mels, 2)
    return Drawn(
        np.rint(either[:, _SHIFT] * policy.shift * shape[-1]).astype(np.int64),
        either[:, _GAIN] * policy.gain,
        1 + either[:, _SPEED] * policy.speed,
        u[:, _NOISE] * policy.noise,
        (u[:, _KEY] * 2.0**32 - 2.0**31).astype(np.int64).astype(np.int32),
        _stretches(masks[:, :num_times], policy.time_mask, shape[-1]),
        _stretches(masks[:, num_times:], policy.mel_mask, shape[-2]),
    )


def _stretches(u: Floats, share: float, length: int) -> NDArray[np.int64]:
    """(B, masks, 2): a width from 0 to the largest, and a place where it fits."""
    width = np.floor(u[..., 0] * (math.floor(share * length) + 1))
    first = np.floor(u[..., 1] * (length - width + 1))
    return np.stack([first, first + width], -1).astype(np.int64)


def _spectrograms(x: Tensor, drawn: Drawn, policy: AudioPolicy, fit: Fit) -> Tensor:
    """Of (B, bands, columns) float32, logarithms of power."""
    import torch

    mean, std = (torch.tensor(fit[key], dtype=torch.float32, device=x.device)[:, None] for key in ("mean", "std"))
    if policy.shift:
        x = _shifted(x, drawn.shift)
    if policy.gain:
        change = (drawn.gain * (math.log(10) / 10)).astype(np.float32)
        x = (x + torch.from_numpy(change).to(x.device)[:, None, None]).clamp_(min=math.log(FLOOR))
    if policy.noise:
        x = x + _noise(x, drawn) * std
    if drawn.times.shape[1] or drawn.mels.shape[1]:
        blank = _inside(drawn.times, x.shape[2], x)[:, None, :] | _inside(drawn.mels, x.shape[1], x)[:, :, None]
        x = torch.where(blank, mean, x)
    return x


def _shifted(x: Tensor, shift: NDArray[np.int64]) -> Tensor:
    """Rows later by so many columns; what comes in is as quiet as the row's quietest value."""
    import torch

    length = x.shape[2]
    places = torch.arange(length, device=x.device) - torch.from_numpy(shift).to(x.device)[:, None]
    came_in = (places < 0) | (places >= length)
    moved = x.gather(2, places.clamp(0, length - 1)[:, None, :].expand_as(x))
    return torch.where(came_in[:, None, :], x.amin((1, 2))[:, None, None], moved)


def _inside(stretches: NDArray[np.int64], length: int, like: Tensor) -> Tensor:
    """Which places (B, length) lie in one of a sample's stretches."""
    import torch

    places = torch.arange(length, device=like.device)
    ends = torch.from_numpy(stretches).to(like.device)[..., None]
    return ((places >= ends[:, :, 0]) & (places < ends[:, :, 1])).any(1)


def _waveforms(x: Tensor, drawn: Drawn, policy: AudioPolicy, fit: Fit) -> Tensor:
    """Of (B, samples) float32."""
    import torch

    if policy.shift or policy.speed:
        x = _played(x, drawn.shift, drawn.speed)
    if policy.gain:
        factors = [math.pow(10.0, decibels / 20) for decibels in drawn.gain.tolist()]
        x = x * torch.tensor(factors, dtype=torch.float32, device=x.device)[:, None]
    return x + _noise(x[:, None], drawn)[:, 0] * fit["std"][0] if policy.noise else x


def _played(x: Tensor, shift: NDArray[np.int64], speed: Floats) -> Tensor:
    """At another speed around the middle, and later: linear between two samples, silence where there is none."""
    import torch

    length = x.shape[1]
    middle = (length - 1) / 2
    factors, later = (torch.from_numpy(each).to(x.device, torch.float64)[:, None] for each in (speed, shift))
    places = (torch.arange(length, device=x.device, dtype=torch.float64) - later - middle) * factors + middle
    first = places.floor()
    share = (places - first).float()
    one, other = (_heard(x, first.long() + i) for i in (0, 1))
    return one + (other - one) * share


def _heard(x: Tensor, places: Tensor) -> Tensor:
    """Samples at places (B, n) of each row, 0 beyond its ends."""
    length = x.shape[1]
    return x.gather(1, places.clamp(0, length - 1)) * ((places >= 0) & (places < length))


def _noise(x: Tensor, drawn: Drawn) -> Tensor:
    """(B, bands, columns) of each sample's own deviation, as a share of 1."""
    import torch

    from pipeline.kinds.noise import SPREAD, batch_noise

    keys, shares = torch.from_numpy(drawn.keys), torch.from_numpy((drawn.noise / SPREAD).astype(np.float32))
    values = batch_noise(keys.to(x.device), x.shape[1] * x.shape[2])
    return (values * shares.to(x.device)[:, None]).view_as(x)
