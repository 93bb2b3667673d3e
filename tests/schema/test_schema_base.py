from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, model_validator

from pipeline.errors import ConfigError
from pipeline.schema.base import Section, key_paths, nearest, validated


class Layer(Section):
    width: Annotated[int, Field(ge=1)]
    kind: Literal["dense", "conv"]


class Model(Section):
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    size: Annotated[int, Field(ge=1)] | list[Annotated[int, Field(ge=1)]] | None
    layers: dict[str, Layer]

    @model_validator(mode="after")
    def _fits(self) -> Model:
        if self.dropout > 0.8:
            raise ValueError("dropout = 0.9 leaves too little")
        return self


class Train(Section):
    epochs: int
    learning_rate: float


class Whole(Section):
    model: Model
    train: Train


GOOD: dict[str, Any] = {
    "model": {"dropout": 0.1, "size": [2, 3], "layers": {"a": {"width": 1, "kind": "dense"}}},
    "train": {"epochs": 1, "learning_rate": 0.1},
}


def complaints(section: str, **changes: Any) -> list[str]:
    values = {**GOOD, section: {**GOOD[section], **changes}}
    with pytest.raises(ConfigError) as error:
        validated(Whole, values, "")
    assert error.value.exit_code == 2
    return str(error.value).splitlines()


def test_good_values_pass_and_are_frozen() -> None:
    config = validated(Whole, GOOD, "")
    assert config.model.layers["a"].width == 1
    with pytest.raises(ValueError, match="frozen"):
        config.model.dropout = 0.5  # type: ignore[misc]


def test_every_error_is_listed_at_once_with_key_value_and_what_is_allowed() -> None:
    assert complaints("model", dropout=1.5, size="x", layers={"a": {"width": 0, "kind": "dens"}}) == [
        "model.dropout = 1.5: should be less than 1",
        "model.size = 'x': should be a valid integer, or a valid list",
        "model.layers.a.width = 0: should be greater than or equal to 1",
        "model.layers.a.kind = 'dens': should be 'dense' or 'conv'; did you mean dense?",
    ]


def test_an_unknown_key_names_the_nearest_sibling() -> None:
    assert complaints("model", dropuot=0.5) == ["model.dropuot: unknown key (value 0.5); did you mean model.dropout?"]


def test_an_unknown_key_names_the_same_name_in_another_section() -> None:
    assert complaints("model", learning_rate=1.0) == [
        "model.learning_rate: unknown key (value 1.0); did you mean train.learning_rate?"
    ]


@pytest.mark.parametrize("name", ["lr", "LR", "base_lr", "base-lr"])
def test_what_other_frameworks_call_a_key_is_understood(name: str) -> None:
    said = f"train.{name}: unknown key (value 0.1); did you mean train.learning_rate?"
    assert complaints("train", **{name: 0.1}) == [said]
    with pytest.raises(ConfigError, match=rf"^{name}: .*; did you mean train\.learning_rate\?$"):
        validated(Whole, {**GOOD, name: 0.1}, "")


def test_an_alias_of_a_key_that_the_schema_lacks_is_no_hint() -> None:
    assert complaints("train", wd=1) == ["train.wd: unknown key (value 1); did you mean train.epochs?"]


def test_an_unknown_key_inside_a_named_section_names_its_siblings() -> None:
    layer = {"width": 1, "kind": "dense"}
    assert complaints("model", layers={"a": {**layer, "widht": 3}}) == [
        "model.layers.a.widht: unknown key (value 3); did you mean model.layers.a.width?"
    ]
    assert complaints("train", zzz=1) == ["train.zzz: unknown key (value 1); allowed: train.epochs, train.learning_rate"]


def test_an_unknown_section_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"^modl: unknown key \(value 3\); did you mean model\?$"):
        validated(Whole, {**GOOD, "modl": 3}, "")


def test_missing_keys_are_named() -> None:
    with pytest.raises(ConfigError) as error:
        validated(Train, {"epochs": 1}, "train")
    assert str(error.value).startswith("train.learning_rate: missing; add it")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(value: float) -> None:
    assert complaints("train", learning_rate=value) == [f"train.learning_rate = {value}: should be a finite number"]


def test_text_is_no_number_and_a_number_is_no_truth() -> None:
    assert complaints("train", epochs="3") == ["train.epochs = '3': should be a valid integer"]
    assert complaints("train", epochs=True) == ["train.epochs = True: should be a valid integer"]


def test_a_rule_between_keys_names_its_section() -> None:
    assert complaints("model", dropout=0.9) == ["model.dropout = 0.9 leaves too little"]


def test_key_paths_and_nearest() -> None:
    assert list(key_paths(Train, "train")) == ["train.epochs", "train.learning_rate"]
    assert nearest("epohcs", ["epochs", "learning_rate"]) == "epochs"
    assert nearest("qqq", ["epochs", "learning_rate"]) is None
