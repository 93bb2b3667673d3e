"""Kornia's augmentations by name (`augment.kornia`): parameters drawn per sample, applied to many at once.

Kornia draws for a whole batch from torch's global generator, so that a sample's view would depend on its neighbours. Here
each sample's parameters are drawn alone, the generator seeded by (seed, sample id, view, place in the list), and joined:
`aug(x, params=...)` replays them exactly. What this can't make the same in any batch is refused by name, tried out with the
shape of the images before anything is drawn.
"""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline import keyed
from pipeline.errors import ConfigError
from pipeline.keyed import U64
from pipeline.kinds.image.keys import ImagePolicy, Named

ROWS_AT_ONCE = 16
"""Images in one call: few enough that every number of them is tried before (a library may compute other numbers otherwise)."""
_SEEDS, _CHANCES = 2**33, 2**34
"""Draws of a view that decide the generators and whether an operation is applied: far beyond the slots of the other ones."""
_LOADING = ("RandomDissolving",)
"""These load a model over the network."""
Params = dict[str, torch.Tensor]


def with_named(images: torch.Tensor, ids: U64, views: NDArray[np.int64], policy: ImagePolicy) -> torch.Tensor:
    """The images (B, C, H, W) uint8 after each of the policy's named operations, in their order, rounded after each."""
    out = images.clone()
    for place, entry in enumerate(policy.kornia):
        rows = np.flatnonzero(applied(ids, views, policy, place))
        operation = checked(_written(entry), tuple(images.shape[1:]))
        for first in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[first : first + ROWS_AT_ONCE]
            index = torch.from_numpy(part).to(images.device)
            out[index] = _replayed(operation, out[index], _seeds(ids[part], views[part], policy.seed, place))
    return out


def applied(ids: U64, views: NDArray[np.int64], policy: ImagePolicy, place: int) -> NDArray[np.bool_]:
    """Whether (B,) each view has the named operation of this place in the list."""
    drawn = keyed.unit(keyed.words("view", policy.seed, ids, views.astype(np.uint64), _CHANCES + place))
    chosen: NDArray[np.bool_] = drawn < policy.kornia[place].p
    return chosen


def check_named(policy: ImagePolicy, shape: Sequence[int]) -> None:
    """ConfigError where one of the policy's named operations can't be the same in any batch of such images."""
    for entry in policy.kornia:
        checked(_written(entry), tuple(shape))


def _written(entry: Named) -> str:
    """The operation without its probability, which is drawn here."""
    return json.dumps(entry.model_dump(exclude={"p"}), sort_keys=True)


def _seeds(ids: U64, views: NDArray[np.int64], seed: int, place: int) -> list[int]:
    words = keyed.words("view", seed, ids, views.astype(np.uint64), _SEEDS + place)
    found: list[int] = (words >> np.uint64(1)).astype(np.int64).tolist()
    return found


def _replayed(operation: Any, images: torch.Tensor, seeds: list[int]) -> torch.Tensor:
    """Images (b, C, H, W) uint8, each with the parameters that its own seed draws: uint8."""
    shape = torch.Size((1, *images.shape[1:]))
    drawn = [_drawn(operation, shape, seed) for seed in seeds]
    joined = {name: torch.cat([own[name] for own in drawn]).to(images.device) for name in drawn[0] if name != _SHAPE}
    out: torch.Tensor = operation(images.float() / 255, params={**joined, _SHAPE: torch.tensor(images.shape)})
    return (out * 255).round_().clamp_(0, 255).to(torch.uint8)


_SHAPE = "forward_input_shape"


def _drawn(operation: Any, shape: torch.Size, seed: int) -> Params:
    """What one call of Kornia draws for a batch of this shape, from a generator of its own."""
    with keyed.seeded_torch(seed):
        found: Params = operation.forward_parameters(shape)
    return found


# --- What can be done so


@lru_cache(maxsize=64)
def checked(written: str, shape: tuple[int, ...]) -> Any:
    """An operation that was tried with images of this shape; ConfigError where it is not the same in any batch."""
    keys = json.loads(written)
    name = keys.pop("name")
    operation = _made(name, keys, shape)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (ROWS_AT_ONCE, *shape), dtype=np.uint8))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            problem = _problem(operation, images)
    except Exception as error:  # Kornia raises nearly anything where an operation does not fit the images
        raise _refusal(name, f"images of {' x '.join(map(str, shape))}: {' '.join(str(error).split())[:300]}") from None
    if problem:
        raise _refusal(name, problem)
    return operation


_INSTEAD = {
    **dict.fromkeys(("ColorJiggle", "ColorJitter"), "set augment.brightness, contrast, saturation and hue"),
    **dict.fromkeys(("RandomCrop", "CenterCrop"), "set augment.crop or augment.translate"),
    "RandomMotionBlur": "take RandomGaussianBlur or RandomBoxBlur",
    "RandomChannelDropout": "take RandomChannelShuffle or RandomGrayscale",
    "RandomRain": "take RandomSnow or RandomSaltAndPepperNoise",
}


def _refusal(name: str, why: str) -> ConfigError:
    return ConfigError(f"augment.kornia: {name}: {why}; {_INSTEAD.get(name, 'take it out of the list, or choose another')}")


def _made(name: str, keys: dict[str, Any], shape: tuple[int, ...]) -> Any:
    """An operation that is applied to all it is given; a `size` that it asks for is the images' own."""
    import kornia.augmentation as kornia
    from kornia.augmentation._2d.base import AugmentationBase2D

    kind = getattr(kornia, name, None)
    if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
        raise _refusal(name, "Kornia has no augmentation of this name (https://kornia.readthedocs.io, kornia.augmentation)")
    if name in _LOADING:
        raise _refusal(name, "loads a model over the network")
    if not issubclass(kind, AugmentationBase2D):
        raise _refusal(name, "is not of one image: it mixes samples, chooses for a whole batch, or is for volumes")
    known = inspect.signature(kind).parameters
    own: dict[str, Any] = {"p": 1.0} | ({"size": shape[1:]} if "size" in known else {})
    try:
        return kind(**keys, **own)
    except Exception as error:
        allowed = [key for key in known if key not in ("p", "size", "same_on_batch", "keepdim")]
        said = " ".join(str(error).split())[:200]
        raise _refusal(name, f"not with these keys ({said}); it takes {', '.join(allowed)}") from None


def _problem(operation: Any, images: torch.Tensor) -> str | None:
    """Why an operation is not the same in any batch; None where it is: bit for bit, at every size and on one thread or more."""
    num = len(images)
    drawn = _drawn(operation, torch.Size((3, *images.shape[1:])), 0)
    whole = sorted(key for key, value in drawn.items() if key != _SHAPE and (value.ndim == 0 or len(value) != 3))
    if whole:
        return f"draws {', '.join(whole)} once for a whole batch, not per sample"
    seeds = list(range(1, num + 1))
    with _threads(1):
        alone = torch.cat([_replayed(operation, images[i : i + 1], seeds[i : i + 1]) for i in range(num)])
    if alone.shape != images.shape:
        return f"makes images of another size ({' x '.join(map(str, alone.shape[1:]))})"
    for size in range(1, num + 1):
        with keyed.seeded_torch(size):  # whatever else is drawn from it meanwhile
            if not torch.equal(_replayed(operation, images[-size:], seeds[-size:]), alone[-size:]):
                return "gives an image other pixels among others than alone: it draws while it is applied, or sums otherwise"
    return None


@contextmanager
def _threads(num: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(num)
    try:
        yield
    finally:
        torch.set_num_threads(before)
