import numpy as np
import pytest
import torch
from kornia.color import rgb_to_hsv
from kornia.enhance import adjust_brightness_accumulative, adjust_contrast_with_mean_subtraction
from kornia.enhance import adjust_saturation_with_gray_subtraction as adjust_saturation

from pipeline.kinds.image.parameters import view_parameters
from pipeline.kinds.image.transforms import (
    LUMA,
    colour_gains,
    colour_matrices,
    colour_shifts,
    erased_box,
    grid_line,
    sin_cos,
    source_matrices,
)

IDS, VIEWS = np.arange(200, dtype=np.uint64), np.zeros(200, dtype=np.int64)


def neutral(policy, **values):
    p = view_parameters(IDS[:1], VIEWS[:1], policy())
    return p | {name: np.array([float(value)]) for name, value in values.items()}


def test_sin_cos():
    turns = np.random.default_rng(0).uniform(-2, 2, 10_000)
    sine, cosine = sin_cos(turns)
    np.testing.assert_allclose(sine, np.sin(2 * np.pi * turns), atol=2e-15)
    np.testing.assert_allclose(cosine, np.cos(2 * np.pi * turns), atol=2e-15)
    assert np.array_equal(np.abs(sin_cos(np.array([0.0, 0.25, -0.5, 0.75]))), [[0, 1, 0, 1], [1, 0, 1, 0]])


def test_bits_do_not_depend_on_the_length():
    turns = np.random.default_rng(0).uniform(-1, 1, 67)
    whole = np.stack(sin_cos(turns))
    for length in (1, 2, 3, 7, 16, 33):
        np.testing.assert_array_equal(np.stack(sin_cos(turns[:length])), whole[:, :length])


def test_neutral_is_the_identity(policy):
    np.testing.assert_array_equal(source_matrices(neutral(policy), 5, 9)[0], [[1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    ("values", "place", "source"),
    [
        ({"flip": 1}, (0, 0), (30, 0)),
        ({"vertical_flip": 1}, (3, 0), (3, 20)),
        ({"translate_x": 0.1}, (10, 4), (10 - 3.1, 4)),
        ({"translate_y": -0.2}, (10, 4), (10, 4 + 4.2)),
        ({"scale": 2}, (17, 10), (16, 10)),
        ({"rotate": 90}, (15, 12), (17, 10)),
        ({"crop_area": 0.25, "crop_x": -1, "crop_y": -1}, (-0.5, -0.5), (-0.5, -0.5)),
        ({"crop_area": 0.25, "crop_x": 1, "crop_y": 1}, (30.5, 20.5), (30.5, 20.5)),
        ({"crop_area": 0.25, "crop_x": 1, "crop_y": 1}, (-0.5, -0.5), (15, 10)),
        ({"shear": 45}, (15, 5), (20, 5)),
    ],
)
def test_one_operation_at_a_time(policy, values, place, source):
    """By hand, in pixels of an image of 31 x 21: a pixel of the view, and where it comes from."""
    matrix = source_matrices(neutral(policy, **values), 21, 31)[0]
    half = np.array([15.0, 10.0])
    found = (matrix @ np.append((np.array(place) - half) / half, 1)) * half + half
    np.testing.assert_allclose(found, source, atol=1e-12)


def test_composition_equals_the_product_of_single_ones(policy):
    """Cropped, flipped, sheared, zoomed, rotated, shifted: the source matrix is the product of the parts in that order."""
    together = {"crop_area": 0.7, "crop_aspect": 1.2, "crop_x": 0.3, "crop_y": -0.8}
    parts = [together, {"flip": 1}, {"vertical_flip": 1}, {"shear": 12}, {"scale": 1.1}, {"rotate": 33}]
    parts.append({"translate_x": 0.1, "translate_y": 0.05})
    product = np.eye(3)
    for part in parts:
        product = product @ np.vstack([source_matrices(neutral(policy, **part), 21, 31)[0], [0, 0, 1]])
    everything = {name: value for part in parts for name, value in part.items()}
    np.testing.assert_allclose(source_matrices(neutral(policy, **everything), 21, 31)[0], product[:2], atol=1e-14)


def test_a_crop_keeps_its_area_and_stays_inside(policy):
    p = view_parameters(IDS, VIEWS, policy(crop=0.6))
    corners = np.array([[-1.0, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]]) * [16 / 15, 16 / 15, 1]  # outer edges of 16 pixels
    matrices = source_matrices(p, 16, 16)
    area = np.abs(matrices[:, 0, 0] * matrices[:, 1, 1])
    np.testing.assert_allclose(area, p["crop_area"])
    assert np.abs(corners @ matrices.transpose(0, 2, 1)).max() <= 16 / 15 + 1e-12


def test_size_one_has_no_division_by_zero(policy):
    assert np.isfinite(source_matrices(view_parameters(IDS, VIEWS, policy(rotate=10.0, crop=0.2)), 1, 7)).all()
    assert grid_line(1).tolist() == [0.0]


def test_grid_is_antisymmetric():
    for size in (2, 3, 28, 31, 224):
        np.testing.assert_array_equal(grid_line(size), -grid_line(size)[::-1])


def test_colour_equals_kornias_chain_where_nothing_is_clipped(policy):
    p = view_parameters(IDS, VIEWS, policy(brightness=0.1, contrast=0.2, saturation=0.2))
    x = torch.rand(200, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3
    f = {name: torch.from_numpy(p[name]) for name in ("brightness", "contrast", "saturation")}
    kornia = adjust_brightness_accumulative(x, f["brightness"])
    kornia = adjust_saturation(adjust_contrast_with_mean_subtraction(kornia, f["contrast"]), f["saturation"])
    grey = torch.einsum("c,bchw->b", torch.tensor(LUMA, dtype=torch.float64), x) / 16
    ours = torch.einsum("bij,bjhw->bihw", torch.from_numpy(colour_matrices(p)), x)
    ours += (grey * torch.from_numpy(colour_shifts(p)))[:, None, None, None]
    torch.testing.assert_close(ours, kornia, atol=1e-3, rtol=0)  # Kornia's luma weights are rounded otherwise
    np.testing.assert_allclose(colour_gains(p), p["brightness"] * p["contrast"])


def test_hue_at_a_third_of_a_turn_permutes_the_channels(policy):
    third = colour_matrices(neutral(policy, hue=1 / 3))[0]
    np.testing.assert_allclose(third @ [1.0, 0.2, 0.1], [0.1, 1.0, 0.2], atol=1e-12)


def test_hue_turns_the_way_of_hsv_and_leaves_grey_alone(policy):
    turned = colour_matrices(neutral(policy, hue=0.03))[0]
    np.testing.assert_allclose(turned @ [0.4, 0.4, 0.4], [0.4] * 3, atol=1e-12)
    colour = torch.tensor([0.6, 0.45, 0.4], dtype=torch.float64).view(3, 1, 1)
    before, after = rgb_to_hsv(colour), rgb_to_hsv(torch.from_numpy(turned @ colour.numpy().ravel()).view(3, 1, 1))
    assert float(after[0] - before[0]) / (2 * np.pi) == pytest.approx(0.03, abs=0.01)


def test_erased_box_has_its_area_and_stays_inside(policy):
    p = view_parameters(IDS, VIEWS, policy(erase=1.0, erase_area=0.3))
    rows, columns = erased_box(p, 64, 64)
    covered = rows.sum(1) * columns.sum(1) / 64**2
    np.testing.assert_allclose(covered, p["erase_area"], atol=0.02)
    assert all((np.diff(np.flatnonzero(line)) == 1).all() for line in [*rows, *columns])
    assert rows.any(0).all()
    assert columns.any(0).all()


def test_no_erasing_covers_nothing_and_all_covers_all(policy):
    assert not np.concatenate(erased_box(view_parameters(IDS, VIEWS, policy()), 8, 8)).any()
    whole = neutral(policy, erase_area=1, erase_aspect=1, erase_x=0.9, erase_y=-1)
    assert np.concatenate(erased_box(whole, 8, 8)).all()
