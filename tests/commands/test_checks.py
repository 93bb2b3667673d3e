"""What is wrong with a configuration and the studies in it is said at once, before anything of it is kept."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.commands.checks import check
from pipeline.config import with_key
from pipeline.errors import ConfigError


def complaints(values: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as error:
        check(values)
    return str(error.value).splitlines()


def study(variants: dict[str, Any], **baseline: Any) -> dict[str, Any]:
    return {"mine": {"question": "?", "baseline": baseline, "variants": variants, "seeds": 2}}


LEAVE = ", or leave the study out with `regatta run study=none` (another: study=NAME)"


def test_a_studys_variants_are_checked(values: dict[str, Any]) -> None:
    variants = {"none": {"model.dropuot": 0.0}, "much": {"model.dropout": 2.0}, "fine": {"train.epochs": 3}}
    values["study"]["definitions"] = {
        "drop": {"question": "Does dropout help?", "baseline": {"train.epochs": 2}, "variants": variants, "seeds": 2}
    }
    assert complaints(values) == [
        "study drop: variant none: model.dropuot = 0.0: unknown key; did you mean model.dropout?",
        "study drop: variant much: model.dropout = 2.0: should be less than 1",
    ]


def test_a_study_shares_its_data(values: dict[str, Any]) -> None:
    variants = {"elsewhere": {"data.path": "data/y"}, "mistyped": {"modl.dropout": 0.1}, "moved": {"augment.translate": 0.5}}
    values["study"]["definitions"] = {"x": {"question": "?", "baseline": {}, "variants": variants, "seeds": 2}}
    assert complaints(values) == [
        "study x: variant elsewhere: data.path = 'data/y': judged on other samples, so it can't be compared seed by seed; "
        "of data.* only data.size, data.resize, data.channels, data.max_pixels",
        "study x: variant mistyped: modl.dropout = 0.1: unknown key; did you mean model.dropout?",
    ]


def test_studies_on_run_are_studies(values: dict[str, Any]) -> None:
    values["study"]["on_run"] = ["dropuot"]
    assert complaints(values) == ["study.on_run: there is no study dropuot; did you mean dropout?"]


def test_a_wrong_baseline_is_said_once_for_itself(values: dict[str, Any]) -> None:
    values["study"]["definitions"] = {
        "drop": {"question": "?", "baseline": {"train.epochs": 0}, "variants": {"a": {"train.epochs": 3}}, "seeds": 2}
    }
    assert complaints(values) == ["study drop: baseline: train.epochs = 0: should be greater than or equal to 1"]


def test_a_study_has_no_name_that_the_run_cache_looks_past(values: dict[str, Any]) -> None:
    own = {"question": "?", "baseline": {}, "variants": {"a": {"model.dropout": 0.3}}, "seeds": 2}
    values["study"]["definitions"] = {"size": own}
    with pytest.raises(ConfigError, match="study size: DVC's run cache takes no notice"):
        check(values)


def test_keys_of_a_variants_own_network_are_checked(values: dict[str, Any]) -> None:
    """Those of another network, and unknown ones, each by its whole name with its value."""
    vit = {"model.arch": "module", "model.name": "vit"}
    values["study"]["definitions"] = study(
        {
            "mistyped": {**vit, "model.keys.widht": 32, "model.keys.of_none": [1]},
            "elsewhere": {**vit, "model.name": "residual", "model.keys.patch": 2},
            "of_text": {**vit, "model.keys.width": "abc", "model.keys.dropout": True},
            "fine": {**vit, "model.keys.patch": 2, "model.keys.dropout": 0},
        }
    )
    vits, others = "width, depth, patch, dropout", "width, depth, dropout"
    forget = "forget it with `regatta run '~model.keys."
    assert complaints(values) == [
        f"study mine: variant mistyped: model.keys.widht = 32: its function takes {vits}; did you mean width?",
        f"study mine: variant mistyped: model.keys.of_none = [1]: its function takes {vits}; {forget}of_none'`",
        f"study mine: variant elsewhere: model.keys.patch = 2: its function takes {others}; did you mean depth?",
        "study mine: variant of_text: model.keys.width = 'abc': its function takes a whole number",
        "study mine: variant of_text: model.keys.dropout = True: its function takes a number",
    ]


def test_what_does_not_go_together_in_a_variant_is_said_with_the_configuration(values: dict[str, Any]) -> None:
    values["study"]["definitions"] = study(
        {
            "cut": {"model.channels": [8]},
            "late": {"train.unfreeze_epoch": 2},
            "half": {"train.precision": "bf16-mixed"},
            "few": {"train.limit": 2, "train.shards": 4},
        }
    )
    found = complaints(values)
    assert [line.split(":")[1:3] for line in found] == [
        [" variant cut", " model.channels = [8]"],
        [" variant late", " train.unfreeze_epoch = 2"],
        [" variant half", " train.precision = 'bf16-mixed'"],
        [" variant few", " train.limit = 2"],
    ]
    assert all(line.endswith(LEAVE) for line in found)
    assert "a dnn has none; say [], or arch: cnn beside it" in found[0]


def test_what_the_project_has_and_a_studys_runs_can_not_is_said_once_of_its_baseline(values: dict[str, Any]) -> None:
    """Such as epochs that are fewer than those of the project."""
    values = with_key(with_key(values, "model.freeze", 1), "model.init_from", "run-1")
    values = with_key(values, "train.unfreeze_epoch", 20)
    values["study"]["definitions"] = study({"a": {"model.dropout": 0.4}, "b": {"train.epochs": 30}}, **{"train.epochs": 10})
    assert complaints(values) == [
        "study mine: baseline: train.unfreeze_epoch = 20: training has train.epochs = 10; choose at most that" + LEAVE
    ]


def test_what_is_wrong_with_the_project_is_not_said_of_its_studies_again(values: dict[str, Any]) -> None:
    values["study"]["definitions"] = study({"a": {"model.dropout": 0.4}, "b": {"model.dropuot": 0.4}})
    [own, of_study] = complaints(with_key(values, "train.unfreeze_epoch", 20))
    assert own.startswith("train.unfreeze_epoch = 20: ")
    assert of_study.startswith("study mine: variant b: model.dropuot = 0.4: unknown key; did you mean model.dropout?")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("trian", "a study's runs differ in keys of data, prepare, augment, model, train"),
        ("prepare.zz", "allowed: prepare.val_fraction, "),
        ("model.epochs", "did you mean train.epochs?"),
        ("model.dropuot", "did you mean model.dropout?"),
        ("modl.dropuot", "did you mean model.dropout?"),
    ],
)
def test_an_unknown_key_with_no_near_one_is_told_what_there_is(values: dict[str, Any], key: str, said: str) -> None:
    values["study"]["definitions"] = study({"a": {key: 1}})
    [line] = complaints(values)
    assert line.startswith(f"study mine: variant a: {key} = 1: unknown key; {said}")
