"""Kornia's augmentations by name: the same in any batch, stored or drawn; what can't be so is refused."""

import json
import threading

import numpy as np
import pytest
import torch

from pipeline import keyed
from pipeline.artifacts import view_path
from pipeline.data.dataset import Stored
from pipeline.data.view_files import write_views
from pipeline.errors import ConfigError
from pipeline.kinds.image.by_name import _drawn, applied, checked
from pipeline.kinds.image.parameters import policy_digest
from pipeline.kinds.image.views import batch_views, check_policy
from pipeline.schema.base import validated

BLUR = {"name": "RandomGaussianBlur", "p": 0.5, "kernel_size": [3, 3], "sigma": [0.1, 2.0]}
LIST = [BLUR, {"name": "RandomPerspective", "p": 0.6}, {"name": "RandomPosterize", "p": 0.4, "bits": 3},
        {"name": "RandomResizedCrop", "p": 0.5, "scale": [0.5, 1.0]}]  # fmt: skip


@pytest.fixture
def named(policy):
    return policy("light", kornia=LIST, views=2)


def test_a_view_is_the_same_in_any_batch(named, batch):
    images, ids, views = batch(40, 3, 12, 10)
    whole = batch_views(images, ids, views, named, {})
    assert (whole != batch_views(images, ids, views, named.model_copy(update={"kornia": []}), {})).any()
    order = np.random.default_rng(0).permutation(40)
    torch.manual_seed(1)
    for size in (1, 7, 40):
        parts = [order[i : i + size] for i in range(0, 40, size)]
        found = torch.cat([batch_views(images[part], ids[part], views[part], named, {}) for part in parts])
        assert torch.equal(found, whole[order]), size


def test_stored_views_are_the_drawn_ones(named, batch, tmp_path):
    images, ids, _ = batch(30, 3, 12, 10)
    write_views(Stored(images.numpy()), ids, named, {}, tmp_path, torch.device("cpu"))
    rows = np.array([3, 29, 11])
    for view in range(2):
        stored = np.load(view_path(tmp_path, view))
        drawn = batch_views(images[rows], ids[rows], np.full(3, view), named, {})
        np.testing.assert_array_equal(stored[rows], drawn.numpy())


def test_a_view_is_what_kornia_makes_of_the_image_alone_with_these_parameters(policy, batch):
    from kornia.augmentation import RandomGaussianBlur

    images, ids, views = batch(1, 3, 12, 10)
    found = batch_views(images, ids, views, policy(kornia=[BLUR | {"p": 1.0}]), {})
    aug = RandomGaussianBlur((3, 3), (0.1, 2.0), p=1.0)
    seed = int(keyed.words("view", 0, ids, views.astype(np.uint64), 2**33)[0] >> np.uint64(1))
    torch.manual_seed(seed)
    expected = aug(images.float() / 255, params=aug.forward_parameters(torch.Size((1, 3, 12, 10))))
    assert torch.equal(found, (expected * 255).round().byte())


def test_each_operation_is_applied_as_often_as_its_probability_says(policy):
    ids, views = np.arange(20000, dtype=np.uint64), np.zeros(20000, np.int64)
    chosen = policy(kornia=[BLUR | {"p": 0.3}, BLUR | {"p": 0.3}, BLUR | {"p": 0.0}, BLUR | {"p": 1.0}])
    shares = [applied(ids, views, chosen, place) for place in range(4)]
    assert [float(share.mean()) for share in shares] == pytest.approx([0.3, 0.3, 0.0, 1.0], abs=0.01)
    assert float((shares[0] & shares[1]).mean()) == pytest.approx(0.09, abs=0.01), "each of its own"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "ColorJiggle", "brightness": 0.2}, "ColorJiggle: draws order once for a whole batch.*set augment.brightness"),
        ({"name": "RandomMotionBlur", "kernel_size": 3, "angle": 35.0, "direction": 0.5}, "draws idx once for a whole batch"),
        ({"name": "RandomChannelDropout"}, "RandomChannelDropout: gives an image other pixels among others than alone"),
        ({"name": "LongestMaxSize", "max_size": 6}, "LongestMaxSize: makes images of another size"),
        ({"name": "RandomMixUpV2"}, "RandomMixUpV2: is not of one image"),
        ({"name": "RandomDissolving"}, "loads a model over the network"),
        ({"name": "RandomBlurr"}, "RandomBlurr: Kornia has no augmentation of this name"),
        ({"name": "Path"}, "Path: Kornia has no augmentation of this name"),
        (
            {"name": "RandomGaussianBlur", "sigma": [0.1, 2.0]},
            "RandomGaussianBlur: not with these keys .*it takes kernel_size, sigma",
        ),
    ],
)
def test_what_is_not_per_sample_is_refused_by_name_with_what_to_do(policy, entry, said):
    with pytest.raises(ConfigError, match=said):
        check_policy(policy(kornia=[{"p": 0.5, **entry}]), (3, 8, 8))


def test_what_does_not_fit_the_images_is_refused_with_their_shape(policy):
    hue = policy(kornia=[{"name": "RandomHue", "p": 0.5, "hue": [-0.1, 0.1]}])
    check_policy(hue, (3, 8, 8))
    with pytest.raises(ConfigError, match=r"augment\.kornia: RandomHue: images of 1 x 8 x 8"):
        check_policy(hue, (1, 8, 8))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"name": "RandomCrop", "p": 0.5, "size": 4}, "RandomCrop takes no size: images keep their size"),
        ({"name": "RandomHue", "p": 0.5, "same_on_batch": True}, "takes no same_on_batch: images"),
        ({"name": "os.system", "p": 0.5}, "augment.kornia"),
        ({"name": "RandomHue"}, "augment.kornia.0.p"),
        ({"name": "RandomHue", "p": 1.5}, "augment.kornia.0.p"),
        ({"name": "RandomHue", "p": 0.5, "hue": {"a": 1}}, "augment.kornia.0"),
    ],
)
def test_what_is_no_entry_is_refused_before_anything_runs(policy, entry, said):
    values = policy().model_dump() | {"kornia": [entry]}
    with pytest.raises(ConfigError, match=said):
        validated(type(policy()), values, "augment")


def test_the_strength_scales_the_probabilities_and_the_list_is_part_of_the_identity(policy, named):
    half = policy(kornia=[BLUR], strength=0.5).scaled()
    assert (half.kornia[0].p, half.active) == (0.25, True)
    assert not policy(kornia=[BLUR | {"p": 0.0}]).active
    assert policy_digest(named) != policy_digest(named.model_copy(update={"kornia": named.kornia[:1]}))


def test_drawing_leaves_the_global_generator_as_it_was_and_threads_take_turns():
    operation = checked(json.dumps({"name": "RandomErasing"}), (3, 8, 8))
    shape = torch.Size((1, 3, 8, 8))
    expected = {seed: _drawn(operation, shape, seed) for seed in range(20)}
    torch.manual_seed(5)
    first = torch.rand(1)
    torch.manual_seed(5)
    wrong = []

    def draw() -> None:
        for seed, params in expected.items():
            if any(not torch.equal(params[key], value) for key, value in _drawn(operation, shape, seed).items()):
                wrong.append(seed)

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert torch.equal(torch.rand(1), first)
