import subprocess
import sys

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline import keyed
from pipeline.artifacts import digest
from pipeline.errors import ConfigError
from pipeline.kinds.image import parameters
from pipeline.kinds.image.keys import OPERATIONS
from pipeline.kinds.image.parameters import ENGINE, SLOTS, check_colour, noise_keys, policy_digest, view_parameters

RNG = np.random.default_rng(1)
IDS, VIEWS = RNG.integers(0, 2**64, 4000, dtype=np.uint64), RNG.integers(0, 2**31, 4000)


def test_parameters_are_those_of_the_keyed_draws(policy):
    p = view_parameters(IDS, VIEWS, policy(rotate=30.0, seed=5))
    draws = keyed.view_draws(5, IDS, VIEWS, len(SLOTS))
    np.testing.assert_array_equal(p["rotate"], 30 * (2 * draws[:, list(SLOTS).index("rotate")] - 1))


def test_golden_vector(policy):
    """Stored views depend on these numbers: where one changes, ENGINE must be raised."""
    keys = dict.fromkeys(OPERATIONS, 0.5) | {"rotate": 8.0, "shear": 4.0}
    p = view_parameters(
        np.array([1, 2**64 - 1], dtype=np.uint64), np.array([0, 2**31 - 1]), policy(**keys, erase_area=0.25, seed=7)
    )
    assert ENGINE == 1
    assert p["rotate"].tolist() == [2.4129542206742514, -1.438347664785658]
    assert p["crop_aspect"].tolist() == [0.8102307170094766, 1.1927270352933308]
    assert digest({name: values.tolist() for name, values in p.items()}) == "be275b937c88bd3e2563dbd077aff28e"


def test_order_and_batch_are_irrelevant(everything):
    whole = view_parameters(IDS, VIEWS, everything)
    order = RNG.permutation(len(IDS))
    mixed = view_parameters(IDS[order], VIEWS[order], everything)
    alone = view_parameters(IDS[7:8], VIEWS[7:8], everything)
    for name, values in whole.items():
        np.testing.assert_array_equal(values[order], mixed[name])
        assert values[7] == alone[name][0]


def test_views_of_odd_numbers_are_mirrored_where_flips_alternate(policy):
    always = view_parameters(IDS, VIEWS, policy(flip=0.5, flip_alternates=True))["flip"]
    np.testing.assert_array_equal(always, VIEWS % 2)
    seldom = view_parameters(IDS, VIEWS, policy(flip=0.1, flip_alternates=True))["flip"]
    assert not seldom[VIEWS % 2 == 0].any()
    assert abs(seldom.mean() - 0.1) < 0.02


def test_shifts_by_whole_pixels(policy):
    shifts = view_parameters(IDS, VIEWS, policy(translate=0.125, whole_pixels=True), (16, 32))
    assert sorted(set(shifts["translate_x"] * 32)) == list(range(-4, 5))
    assert sorted(set(shifts["translate_y"] * 16)) == list(range(-2, 3))


@pytest.mark.parametrize("keys", [{"flip": 0.6}, {"flip": 0.5, "views": 3}])
def test_flips_that_can_not_alternate_are_refused(policy, keys):
    with pytest.raises(ValidationError, match="with flip_alternates"):
        policy(flip_alternates=True, **keys)


def test_keys_that_came_later_change_nothing_where_they_are_off(policy):
    assert policy_digest(policy(flip=0.5)) != policy_digest(policy(flip=0.5, flip_alternates=True))
    keys = policy(flip=0.5).model_dump(exclude={"views", *parameters.LATER})
    expected = {"engine": "kornia", "version": ENGINE, "libraries": parameters.engine_versions(), "policy": keys}
    del expected["libraries"]["engine"]
    assert policy_digest(policy(flip=0.5)) == digest(expected)


def test_an_operation_leaves_the_others_alone(policy):
    one = view_parameters(IDS, VIEWS, policy(rotate=10.0))
    two = view_parameters(IDS, VIEWS, policy(rotate=10.0, flip=0.5, erase=1.0, hue=0.1))
    np.testing.assert_array_equal(one["rotate"], two["rotate"])


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_off_is_neutral(policy, name):
    others = {n: 0.2 for n in OPERATIONS if n != name}
    on, off = view_parameters(IDS, VIEWS, policy(**others | {name: 0.2})), view_parameters(IDS, VIEWS, policy(**others))
    neutral = view_parameters(IDS, VIEWS, policy())
    mine = [key for key in on if key == name or key.startswith(f"{name}_")]
    assert mine
    for key in on:
        if key in mine:
            np.testing.assert_array_equal(off[key], neutral[key])
            assert not np.array_equal(on[key], neutral[key])
        else:
            np.testing.assert_array_equal(off[key], on[key])


def test_ranges_and_shares(policy):
    keys = {"flip": 0.3, "rotate": 20.0, "translate": 0.1, "scale": 0.2, "crop": 0.4, "brightness": 0.3, "noise": 0.1}
    p = view_parameters(IDS, VIEWS, policy(**keys, erase=0.25, erase_area=0.3))
    assert p["flip"].mean() == pytest.approx(0.3, abs=0.03)
    assert set(p["flip"]) == {0.0, 1.0}
    for name, low, high in (
        ("rotate", -20, 20),
        ("scale", 0.8, 1.2),
        ("crop_area", 0.6, 1),
        ("brightness", 0.7, 1.3),
        ("noise", 0, 0.1),
    ):
        assert low <= p[name].min() < low + 0.02 * (high - low)
        assert high >= p[name].max() > high - 0.02 * (high - low)
    erased = p["erase_area"][p["erase_area"] > 0]
    assert len(erased) / len(IDS) == pytest.approx(0.25, abs=0.03)
    assert 0.02 <= erased.min() < 0.03
    assert 0.29 < erased.max() <= 0.3
    aspect = np.log(p["crop_aspect"])
    assert aspect.mean() == pytest.approx(0, abs=0.02)
    assert aspect.max() <= np.log(4 / 3) + 1e-12


def test_views_and_samples_and_seeds_are_independent(policy):
    p = policy(rotate=1.0, translate=0.5)
    base = view_parameters(IDS, VIEWS, p)["rotate"]
    others = [
        view_parameters(IDS, VIEWS + 1, p)["rotate"],
        view_parameters(IDS + np.uint64(1), VIEWS, p)["rotate"],
        view_parameters(IDS, VIEWS, p.model_copy(update={"seed": 1}))["rotate"],
        view_parameters(IDS, VIEWS, p)["translate_x"],
    ]
    assert all(abs(np.corrcoef(base, other)[0, 1]) < 0.06 for other in others)


def test_noise_keys_differ(policy):
    keys = [noise_keys(IDS, VIEWS, policy()), noise_keys(IDS, VIEWS + 1, policy()), noise_keys(IDS, VIEWS, policy(seed=1))]
    assert keys[0].dtype == np.int32
    assert len(np.unique(np.concatenate(keys))) > 3 * len(IDS) - 10


def test_digest_names_all_that_can_change_a_pixel(policy, monkeypatch):
    light = policy("light")
    assert policy_digest(light) == policy_digest(policy("light", views=3))
    plain = [name for name in type(light).model_fields if name not in ("views", "kornia")]
    switches = {name: True for name in plain if getattr(light, name) is False}
    changed = [light.model_copy(update={name: switches.get(name, 1)}) for name in plain]
    changed += [policy("light", kornia=[{"name": "RandomHue", "p": p}]) for p in (0.1, 0.2)]
    digests = {policy_digest(light), *map(policy_digest, changed)}
    monkeypatch.setattr(parameters, "ENGINE", 2)
    digests.add(policy_digest(light))
    assert len(digests) == len(changed) + 2


def test_digest_holds_the_libraries_versions(policy, monkeypatch):
    before = policy_digest(policy("light"))
    monkeypatch.setattr(parameters, "version", lambda name: {"kornia": "0.9.9", "torch": "2.13.0+cpu"}[name])
    assert policy_digest(policy("light")) != before
    assert parameters.engine_versions() == {"engine": ENGINE, "kornia": "0.9.9", "torch": "2.13.0"}


def test_colour_needs_three_channels(policy):
    check_colour(policy("photos"), (3, 8, 8))
    check_colour(policy("light", brightness=0.1), (1, 8, 8))
    with pytest.raises(
        ConfigError, match=r"augment\.saturation = 0\.2, augment\.hue = 0\.03: needs images of 3 channels.*grey"
    ):
        check_colour(policy("photos"), (1, 8, 8))


def test_parameters_need_no_torch():
    code = "import sys, pipeline.kinds.image.parameters; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
