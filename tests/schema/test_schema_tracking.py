import pytest

from pipeline.errors import ConfigError
from pipeline.schema.base import validated
from pipeline.schema.tracking import TrackingConfig


@pytest.mark.parametrize("key", ["project", "entity"])
@pytest.mark.parametrize("name", ["", "a/b", "50%", "a\x1b[31m", "a" * 129])
def test_name_that_wandb_refuses_is_refused_before_anything_runs(key, name):
    values = {"mode": "online", "project": "regatta", "entity": None, key: name}
    with pytest.raises(ConfigError) as error:
        validated(TrackingConfig, values, "tracking")
    allowed = "should be 1 to 128 letters that can be printed, none of them / \\ # ? % :"
    assert str(error.value) == f"tracking.{key} = {name!r}: {allowed}"


def test_name_of_128_letters_and_blanks_is_taken():
    name = "our crew " + "é" * 119
    assert validated(TrackingConfig, {"mode": "offline", "project": name, "entity": name}, "tracking").project == name
