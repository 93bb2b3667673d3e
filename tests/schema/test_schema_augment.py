import pytest

from pipeline.errors import ConfigError
from pipeline.kinds.image.keys import OPERATIONS, ImagePolicy
from pipeline.schema.base import validated


def test_every_file_of_conf_is_a_valid_policy(policy):
    assert not policy("none").active
    assert all(policy(name).active for name in ("light", "fashion", "photos"))


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_alone_makes_a_policy_active(policy, name):
    assert policy(**{name: 0.1}).active


def test_other_keys_do_not(policy):
    assert not policy(seed=3, views=5, erase_area=0.9, erase_value=1.0, padding="border").active


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("flip", 1.1),
        ("rotate", -1.0),
        ("scale", 1.0),
        ("crop", 1.0),
        ("hue", 0.6),
        ("views", -1),
        ("padding", "mirror"),
        ("seed", -1),
    ],
)
def test_nonsense_is_refused_by_name(policy, key, value):
    with pytest.raises(ConfigError, match=rf"augment\.{key} = "):
        validated(ImagePolicy, policy().model_dump() | {key: value}, "augment")


def test_erasing_nothing_is_refused(policy):
    with pytest.raises(ConfigError, match="erase_area = 0 erases nothing; set erase_area above 0"):
        validated(ImagePolicy, policy().model_dump() | {"erase": 0.5, "erase_area": 0.0}, "augment")


def test_a_misspelt_key_gets_the_nearest(policy):
    with pytest.raises(ConfigError, match=r"augment\.roteta: unknown key.*did you mean augment\.rotate"):
        validated(ImagePolicy, policy().model_dump() | {"roteta": 5.0}, "augment")
