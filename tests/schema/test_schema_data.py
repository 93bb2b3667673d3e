from __future__ import annotations

from typing import Any

import pytest
from data_samples import data_config, prepare_config

from pipeline.errors import ConfigError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "folder", "path": "a", "train_path": "b"}, "path = a and train_path = b both name the training samples"),
        ({"source": "folder", "path": "a", "group": "patient"}, "source = folder has no columns for group"),
        ({"source": "idx", "path": "a", "label": ["x", "y"]}, "source = idx has no columns for label"),
        ({"source": "csv", "path": "a", "label": ["x", "y"], "separator": "|"}, "separator splits one label column"),
        ({"source": "folder", "path": "a", "exclusive": True}, "source = folder has no columns for exclusive"),
        ({"source": "csv", "path": "a", "separator": ""}, "at least one character"),
        ({"source": "csv", "train_path": "a", "split": "fold"}, "use one of them"),
        ({"source": "csv", "path": "a", "label": ["x"]}, "data.label"),
        ({"source": "csv", "path": "a", "size": [8, 8, 8]}, "data.size"),
        ({"source": "csv", "path": "a", "size": 0}, "data.size"),
        ({"source": "zip"}, "data.source"),
        ({"source": "csv", "path": "a", "image": "id", "label": ["x", "id"]}, "image and label both name the column id"),
        ({"source": "folder", "path": "a", "files": "{}.png"}, "source = folder has no columns for files"),
        ({"source": "csv", "path": "a", "files": "img/"}, r"files = 'img/': write {} once"),
        ({"source": "csv", "path": "a", "files": "{}/{}.png"}, r"write {} once"),
        ({"source": "csv", "path": "a", "files": "img\\{}.png"}, "write / between folders"),
        ({"source": "csv", "path": "a", "files": "/img/{}.png"}, "leads out of the table's folder"),
        ({"source": "csv", "path": "a", "files": "img/../../{}.png"}, "leads out of the table's folder"),
        ({"source": "csv", "path": "a", "files": "img/{}.*"}, r"\* may stand in the names of folders before {} alone"),
    ],
)
def test_wrong_keys_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        data_config(**changes)


def test_size() -> None:
    assert data_config("folder", path="a", size=8).height_and_width == (8, 8)
    assert data_config("folder", path="a", size=[8, 9]).height_and_width == (8, 9)
    assert data_config("folder", path="a").height_and_width is None


def test_something_must_be_left_to_train_on() -> None:
    with pytest.raises(ConfigError, match="must be below 1"):
        prepare_config(val_fraction=0.5, test_fraction=0.5)
