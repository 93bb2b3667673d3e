import numpy as np
import pytest
import torch
from kornia.geometry.transform import warp_affine

from pipeline.errors import ConfigError
from pipeline.kinds.image.engine import _shifts, batch_views
from pipeline.kinds.image.keys import OPERATIONS
from pipeline.kinds.image.parameters import noise_keys, view_parameters
from pipeline.kinds.image.transforms import LUMA, colour_matrices, colour_shifts, erased_box, source_matrices
from pipeline.kinds.noise import SPREAD, batch_noise

GOLDEN_VIEW = [
    177, 186, 178, 185, 185, 143, 183, 186, 156, 132, 135, 118, 121, 124, 110, 108, 85, 101,
    79, 69, 66, 66, 48, 52, 51, 21, 45, 23, 11, 20, 131, 138, 129, 121, 101, 120,
    127, 126, 112, 99, 94, 94, 85, 72, 72, 65, 62, 69, 50, 40, 22, 16, 24, 184,
    194, 194, 186, 194, 186, 211, 104, 87, 87, 81, 72, 71, 60, 84, 61, 62, 48, 81,
    47, 45, 33, 19, 184, 190, 188, 170, 170, 182, 227, 181, 189, 191, 151, 178, 176, 163,
]  # fmt: skip


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


SHAPES = [(3, 32, 32), (3, 17, 23), (3, 7, 5), (3, 1, 9)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_pixels_in_any_batch(batch, everything, shape, threads):
    images, ids, views = batch(131, *shape)
    torch.set_num_threads(1)
    whole = batch_views(images, ids, views, everything)
    torch.set_num_threads(threads)
    for size in (1, 2, 7, 64, 131):
        parts = [slice(i, i + size) for i in range(0, 131, size)]
        cut = torch.cat([batch_views(images[part], ids[part], views[part], everything) for part in parts])
        assert torch.equal(cut, whole), size


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_operation_alone_in_any_batch_and_order(batch, policy, name, channels, threads):
    if channels == 1 and name in ("saturation", "hue"):
        pytest.skip("colour only")
    one = policy(**{name: {"rotate": 40.0, "shear": 20.0, "hue": 0.2, "erase": 0.7}.get(name, 0.4)}, padding="reflection")
    images, ids, views = batch(67, channels, 13, 11)
    whole = batch_views(images, ids, views, one)
    assert not torch.equal(whole, images)
    order = np.random.default_rng(0).permutation(67)
    assert torch.equal(batch_views(images[order], ids[order], views[order], one), whole[order])
    for i in (0, 31, 66):
        row = slice(i, i + 1)
        assert torch.equal(batch_views(images[row], ids[row], views[row], one), whole[row])


def test_the_size_of_a_chunk_changes_nothing(batch, everything, monkeypatch):
    images, ids, views = batch(50, 3, 11, 9)
    whole = batch_views(images, ids, views, everything)
    monkeypatch.setattr("pipeline.kinds.image.engine.CACHE_VALUES", 3 * 11 * 9 * 4)
    assert torch.equal(batch_views(images, ids, views, everything), whole)


def test_golden_pixels(everything):
    """Where these change by more than the last bit of float32, ENGINE must be raised."""
    images = (torch.arange(3 * 5 * 6) * 7 % 256).to(torch.uint8).view(1, 3, 5, 6)
    drawn = batch_views(images, np.array([42], dtype=np.uint64), np.array([3]), everything)
    assert (drawn.int() - torch.tensor(GOLDEN_VIEW).view(1, 3, 5, 6)).abs().max() <= 1


def test_shifts_by_whole_pixels_copy_pixels(batch, policy):
    images, ids, views = batch(40, 3, 12, 16)
    drawn = batch_views(images, ids, views, policy(translate=0.25, whole_pixels=True, padding="zeros"))
    shifts = view_parameters(ids, views, policy(translate=0.25, whole_pixels=True), (12, 16))
    for image, shown, across, down in zip(images, drawn, shifts["translate_x"] * 16, shifts["translate_y"] * 12, strict=True):
        padded = torch.nn.functional.pad(image, (4, 4, 3, 3))
        top, left = 3 - round(down), 4 - round(across)
        assert torch.equal(shown, padded[:, top : top + 12, left : left + 16])


def test_large_images_in_any_batch_and_number_of_threads(batch, everything, threads):
    """A sum over one large image is what torch would split among threads."""
    images, ids, views = batch(3, 3, 300, 301)
    whole = batch_views(images, ids, views, everything)
    torch.set_num_threads(3 - threads)
    alone = [batch_views(images[i : i + 1], ids[i : i + 1], views[i : i + 1], everything) for i in range(3)]
    assert torch.equal(torch.cat(alone), whole)


def test_contrasts_grey_is_summed_in_whole_numbers(batch, policy):
    """500 x 500 pixels sum to more than float32 can count; a rounded sum would depend on threads and batch."""
    images, ids, views = batch(8, 3, 500, 500)
    p = view_parameters(ids, views, policy(contrast=0.5))
    exact = [sum(w * int(c.long().sum()) for w, c in zip(LUMA, image, strict=True)) for image in images]
    expected = np.array(exact) * (colour_shifts(p) / 500**2)
    assert _shifts(images, p).flatten().tolist() == expected.astype(np.float32).tolist()


def test_global_generators_are_neither_read_nor_moved(batch, everything):
    images, ids, views = batch(5)
    torch.manual_seed(0)
    first = batch_views(images, ids, views, everything)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(batch_views(images, ids, views, everything), first)
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_input_is_untouched_and_may_have_any_strides(batch, everything):
    images, ids, views = batch(9)
    before = images.clone()
    whole = batch_views(images, ids, views, everything)
    assert torch.equal(images, before)
    assert torch.equal(batch_views(images.to(memory_format=torch.channels_last), ids, views, everything), whole)


def test_off_is_the_input_bit_for_bit(batch, policy):
    images, ids, views = batch(5)
    assert batch_views(images, ids, views, policy()) is images


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_a_warp_that_moves_nothing_is_exact(batch, policy, padding):
    images, ids, views = batch(20)
    assert torch.equal(batch_views(images, ids, views, policy(rotate=1e-12, scale=1e-13, padding=padding)), images)


@pytest.mark.parametrize("size", [(8, 8), (27, 28), (32, 32), (224, 223), (1, 5)])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_flips_through_the_warp_are_exact(batch, policy, size, padding):
    images, ids, views = batch(4, 3, *size)
    across = batch_views(images, ids, views, policy(flip=1.0, padding=padding))
    assert torch.equal(across, images.flip(3))
    assert torch.equal(batch_views(across, ids, views, policy(flip=1.0, padding=padding)), images)
    assert torch.equal(batch_views(images, ids, views, policy(vertical_flip=1.0)), images.flip(2))
    assert torch.equal(batch_views(images, ids, views, policy(flip=1.0, vertical_flip=1.0)), images.flip(2, 3))


def test_a_flip_of_one_half_gives_images_or_mirrors(batch, policy):
    images, ids, views = batch(400, 1, 6, 6)
    flipped = view_parameters(ids, views, policy(flip=0.5))["flip"].astype(bool)
    drawn = batch_views(images, ids, views, policy(flip=0.5))
    assert 150 < flipped.sum() < 250
    assert torch.equal(drawn[flipped], images[flipped].flip(3))
    assert torch.equal(drawn[~flipped], images[~flipped])


def test_a_whole_shift_is_exact(policy, batch, monkeypatch):
    """translate = 1/8 of 8 pixels at a draw of 1 is one pixel to the right and down."""
    images, ids, views = batch(3, 1, 8, 8)
    monkeypatch.setattr("pipeline.keyed.view_draws", lambda seed, ids, views, num: np.ones((len(ids), num)))
    moved = batch_views(images, ids, views, policy(translate=0.125))
    assert torch.equal(moved[:, :, 1:, 1:], images[:, :, :-1, :-1])
    assert not moved[:, :, 0].any()


def slow_view(image: torch.Tensor, sample_id: np.uint64, view: int, policy) -> torch.Tensor:
    """One sample, float64, Kornia's own warp of the forward matrix and plain loops."""
    ids, views = np.array([sample_id]), np.array([view])
    p, (height, width) = view_parameters(ids, views, policy), image.shape[1:]
    half = np.diag([max(width - 1, 1) / 2, max(height - 1, 1) / 2, 1])
    centre = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]]) @ half
    inverse = centre @ np.vstack([source_matrices(p, height, width)[0], [0, 0, 1]]) @ np.linalg.inv(centre)
    forward = torch.from_numpy(np.linalg.inv(inverse)[None, :2])
    x = warp_affine(image[None].double(), forward, (height, width), padding_mode=policy.padding, align_corners=True)[0].numpy()
    grey = sum(w * c for w, c in zip(LUMA, image.double().mean(dim=(1, 2)).tolist(), strict=True))
    noise = batch_noise(torch.from_numpy(noise_keys(ids, views, policy)), image.numel()).view(image.shape).numpy()
    rows, columns = erased_box(p, height, width)
    out = np.zeros(image.shape)
    for y in range(height):
        for column in range(width):
            pixel = colour_matrices(p)[0] @ x[:, y, column] + colour_shifts(p)[0] * grey
            pixel = pixel + noise[:, y, column] * (p["noise"][0] * 255 / SPREAD)
            erased = rows[0, y] and columns[0, column]
            out[:, y, column] = round(255 * policy.erase_value) if erased else np.clip(np.rint(pixel), 0, 255)
    return torch.from_numpy(out)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_equals_a_slow_loop_over_samples_and_pixels(batch, everything, padding):
    images, ids, views = batch(12, 3, 10, 14)
    policy = everything.model_copy(update={"padding": padding})
    fast = batch_views(images, ids, views, policy).double()
    slow = torch.stack([slow_view(images[i], ids[i], int(views[i]), policy) for i in range(12)])
    assert (fast - slow).abs().max() <= 1  # float32 against float64 at a rounding edge
    assert (fast != slow).double().mean() < 0.001


def test_labels_follow(batch, policy):
    """What is bright stays bright: a view shows its own sample and no other."""
    _, ids, views = batch(64)
    levels = torch.arange(64) * 4
    images = levels.to(torch.uint8).view(64, 1, 1, 1).expand(64, 1, 9, 9)
    drawn = batch_views(images, ids, views, policy(rotate=30.0, scale=0.2, flip=0.5, padding="border"))
    assert torch.equal(drawn, images)


def test_noise_has_the_asked_spread(batch, policy):
    _, ids, views = batch(200)
    grey = torch.full((200, 1, 32, 32), 128, dtype=torch.uint8)
    drawn = batch_views(grey, ids, views, policy(noise=0.1)).double() - 128
    asked = torch.from_numpy(view_parameters(ids, views, policy(noise=0.1))["noise"]) * 255
    plain = asked > 1  # below that, rounding to whole grey levels counts
    torch.testing.assert_close(drawn.std(dim=(1, 2, 3))[plain], (asked**2 + 1 / 12).sqrt()[plain], rtol=0.1, atol=0)


def test_two_and_four_channels(batch, policy):
    for channels in (2, 4):
        images, ids, views = batch(3, channels, 8, 8)
        drawn = batch_views(images, ids, views, policy("light", brightness=0.3, contrast=0.3, erase=0.5))
        assert drawn.shape == images.shape
        assert drawn.dtype == torch.uint8


def test_rounding_is_half_to_even(policy, batch, monkeypatch):
    """Contrast is off; brightness of 0.5 halves odd levels to .5."""
    monkeypatch.setattr("pipeline.keyed.view_draws", lambda seed, ids, views, num: np.zeros((len(ids), num)))
    images = torch.tensor([1, 3, 5, 7, 254, 255], dtype=torch.uint8).view(1, 1, 1, 6)
    halves = batch_views(images, np.zeros(1, np.uint64), np.zeros(1, np.int64), policy(brightness=0.5))
    assert halves.flatten().tolist() == [0, 2, 2, 4, 127, 128]


def test_empty_batch_and_wrong_channels(batch, policy):
    images, ids, views = batch(0)
    assert batch_views(images, ids, views, policy("light")).shape == images.shape
    grey, ids, views = batch(2, 1)
    with pytest.raises(ConfigError, match=r"augment\.hue = 0\.1: needs images of 3 channels"):
        batch_views(grey, ids, views, policy(hue=0.1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_the_same_views_within_a_grey_level(batch, everything):
    images, ids, views = batch(300)
    ours, gpu = batch_views(images, ids, views, everything), batch_views(images.cuda(), ids, views, everything).cpu()
    assert (ours.int() - gpu.int()).abs().max() <= 1
    assert torch.equal(batch_views(images[5:6].cuda(), ids[5:6], views[5:6], everything).cpu(), gpu[5:6])
