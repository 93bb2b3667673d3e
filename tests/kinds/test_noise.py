import numpy as np
import pytest
import torch

from pipeline.kinds.noise import SPREAD, batch_noise


def keys(num: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(-(2**31), 2**31, num, dtype=np.int64).astype(np.int32))


def slow_noise(key: int, pixel: int) -> int:
    """The same arithmetic on Python's whole numbers, one pixel at a time."""
    word = 2**32 - 1
    x = pixel
    for multiplier, shift in ((0x7FEB352D, 15), (0x846CA68B, 16), (1, 16)):
        x = x * multiplier & word
        x ^= x >> shift
    x ^= key & word
    for multiplier, shift in ((0x9E3779B1, 15), (0x85EBCA6B, 13), (0xC2B2AE35, 16)):
        x = x * multiplier & word
        x ^= x >> shift
    return sum(x.to_bytes(4, "little")) - 510


def test_equals_a_plain_loop():
    some = keys(5)
    expected = [[slow_noise(int(key), pixel) for pixel in range(70)] for key in some]
    assert batch_noise(some, 70).tolist() == expected


def test_bits_do_not_depend_on_the_batch_or_the_size():
    some = keys(65)
    whole = batch_noise(some, 333)
    for num in (1, 2, 7, 64):
        assert torch.equal(batch_noise(some[:num], 333), whole[:num])
        assert torch.equal(batch_noise(some, num), whole[:, :num])


def test_statistics():
    x = batch_noise(keys(500), 3072).double() / SPREAD
    num = x.numel()
    assert abs(x.mean()) < 4 / num**0.5
    assert x.std() == pytest.approx(1, abs=0.003)
    assert abs((x**3).mean()) < 0.02
    assert (x**4).mean() == pytest.approx(3 - 1.2 / 4, abs=0.02)
    lags = [float((x[:, lag:] * x[:, :-lag]).mean()) for lag in (1, 2, 32, 1024)]
    across = float((x[1:] * x[:-1]).mean())
    assert max(map(abs, [*lags, across])) < 5 / num**0.5


def test_neighbouring_keys_are_independent():
    """Keys that differ in one bit must not give related noise."""
    base = torch.arange(64, dtype=torch.int32)
    x = batch_noise(base, 4096).double() / SPREAD
    correlations = torch.corrcoef(x) - torch.eye(64)
    assert correlations.abs().max() < 6 / 4096**0.5
