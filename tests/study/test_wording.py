"""How settings are worded in the answers of studies."""

import pytest

from pipeline.study.wording import setting_words, settings, value_words


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model.init_from", None, "weights from scratch"),
        ("model.init_from", "20261126-101500-3fa4c0de", "weights of 20261126-101500-3fa4c0de"),
        ("model.freeze", 0, "nothing frozen"),
        ("model.freeze", 1, "1 block frozen"),
        ("model.freeze", 2, "2 blocks frozen"),
        ("train.unfreeze_epoch", None, "frozen to the end"),
        ("train.unfreeze_epoch", 5, "unfrozen from epoch 5"),
        ("train.transferred_rate", 1.0, "one learning rate for all"),
        ("train.transferred_rate", 0.1, "old layers at 0.1 of the learning rate"),
        ("model.dropout", 0.0, "no dropout"),
        ("train.batch_size", 256, "batch size 256"),
        ("model.name", "vit", "network vit"),
        ("model.keys.width", 64, "width 64"),
    ],
)
def test_a_key_and_its_value_are_natural_words(key, value, said):
    assert setting_words(key, value) == said


def test_several_are_listed_and_the_other_side_is_said_as_fully():
    assert settings({"model.init_from": None, "model.freeze": 0}) == "weights from scratch, nothing frozen"
    assert value_words("model.init_from", None) == "weights from scratch"
    assert value_words("model.dropout", 0.0) == "none"
