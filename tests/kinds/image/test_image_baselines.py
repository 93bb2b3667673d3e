"""What simple methods see of images: whole pixels, and histograms of gradients as a plain loop has them."""

import numpy as np
import pytest

from pipeline.kinds.image.baselines import _histograms, _shrunk, baselines


def test_large_images_are_made_smaller_by_whole_pixels():
    rows = np.random.default_rng(0).integers(0, 256, (2, 3, 70, 45), np.uint8)
    small = _shrunk(rows, 32)
    assert small.shape == (2, 3, 23, 15)
    assert small[1, 2, 4, 5] == pytest.approx(rows[1, 2, 12:15, 15:18].mean())
    assert _shrunk(rows[:, :, :20, :20], 32).tolist() == rows[:, :, :20, :20].tolist()
    assert _shrunk(rows[:, :, :, :1], 32).shape == (2, 3, 23, 1)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (1, 1, 1), (3, 200, 90), (1, 5, 2)])
def test_each_images_features_are_its_own(shape):
    rows = np.random.default_rng(1).integers(0, 256, (5, *shape), np.uint8)
    for seen in baselines({}, shape):
        together = seen.features(rows)
        assert together.dtype == np.float32
        assert np.isfinite(together).all()
        assert (np.concatenate([seen.features(row[None]) for row in rows]) == together).all()


def plain(image):
    """Histograms of 2 x 2 cells of an (8, 8) image, pixel by pixel, as one normalised block."""
    cells = np.zeros((4, 4, 9))
    for y in range(8):
        for x in range(8):
            dy = image[y + 1, x] - image[y - 1, x] if 0 < y < 7 else 0.0
            dx = image[y, x + 1] - image[y, x - 1] if 0 < x < 7 else 0.0
            place = np.arctan2(dy, dx) / np.pi * 9 % 9
            first, share = int(place) % 9, place - int(place)
            cells[y // 2, x // 2, first] += np.hypot(dy, dx) * (1 - share)
            cells[y // 2, x // 2, (first + 1) % 9] += np.hypot(dy, dx) * share
    blocks = []
    for i in range(3):
        for j in range(3):
            block = np.concatenate([cells[i, j], cells[i, j + 1], cells[i + 1, j], cells[i + 1, j + 1]])
            for _ in range(2):
                block = np.minimum(block / np.sqrt((block**2).sum() + 1e-6), 0.2)
            blocks.append(block / np.sqrt((block**2).sum() + 1e-6))
    return np.concatenate(blocks)


def test_histograms_are_those_of_a_plain_loop():
    image = np.random.default_rng(2).integers(0, 256, (8, 8)).astype(np.uint8)
    assert _histograms(image[None, None])[0] == pytest.approx(plain(image.astype(float)), abs=1e-5)


def test_what_is_seen_is_said():
    assert [one.words for one in baselines({}, [3, 48, 40])] == [
        "pixels of images made at most 32 x 32",
        "histograms of gradients (HOG)",
    ]
