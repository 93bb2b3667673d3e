"""CutMix's boxes: the proportions of the image, cut off at its border, and the share that is left to the pixel."""

import pytest
import torch

from pipeline.kinds.image.views import pasted


def one(share, centre, shape=(3, 20, 10)):
    own, other = torch.zeros(1, *shape), torch.ones(1, *shape)
    found, left = pasted(own, other, torch.tensor([share]), torch.tensor([centre]))
    return found[0], float(left)


def test_a_box_in_the_middle():
    found, left = one(0.75, [0.5, 0.5])
    assert found[0].nonzero().min(0).values.tolist() == [5, 3]
    assert found[0].nonzero().max(0).values.tolist() == [14, 6]
    assert left == pytest.approx(1 - 40 / 200)
    assert (found == found[0]).all(), "all channels alike"


@pytest.mark.parametrize(("share", "centre"), [(0.3, [0.0, 0.99]), (0.9, [0.99, 0.0]), (0.5, [0.2, 0.7])])
def test_the_share_is_counted_in_pixels(share, centre):
    found, left = one(share, centre)
    assert left == pytest.approx(1 - float(found[0].mean()))


def test_nothing_and_all():
    found, left = one(1.0, [0.5, 0.5])
    assert (float(found.sum()), left) == (0.0, 1.0)
    found, left = one(0.0, [0.5, 0.5])
    assert (float(found.mean()), left) == (1.0, 0.0)
