from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config import (
    Config,
    checked,
    choices,
    composed,
    differences,
    edited,
    flat,
    groups,
    merged,
    params_text,
    read_values,
    with_key,
    write_params,
)
from pipeline.errors import ConfigError
from pipeline.overrides import Overrides, candidate
from pipeline.schema.base import ALIASES, key_paths

ROOT = Path(__file__).resolve().parent.parent


def complaints(values: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as error:
        checked(values)
    return str(error.value).splitlines()


def test_the_defaults_are_allowed_and_complete(defaults: dict[str, Any]) -> None:
    assert set(defaults) == set(Config.model_fields)
    assert checked(defaults).data.source == "digits"


def test_every_alias_leads_to_a_key_and_is_none(defaults: dict[str, Any]) -> None:
    keys = set(key_paths(Config, ""))
    assert set(ALIASES.values()) <= keys
    assert not ALIASES.keys() & set(Config.model_fields)


@pytest.mark.parametrize(
    ("section", "key", "kind"),
    [("data", "tokens", "text"), ("data", "rate", "audio"), ("augment", "swap", "text"), ("data", "rare", "table")],
)
def test_a_key_of_another_kind_is_told_with_its_kind(defaults: dict[str, Any], section: str, key: str, kind: str) -> None:
    said = f"{section}.{key}: unknown key (value 3); it is of data.kind = {kind}, and here that is image"
    [line] = complaints({**defaults, section: {**defaults[section], key: 3}})
    assert line.startswith(said)
    assert line.endswith("leave it out, or say data of that kind too")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("lr", "train.learning_rate"),
        ("learning_rate", "train.learning_rate"),
        ("bs", "train.batch_size"),
        ("batch", "train.batch_size"),
        ("batch_size", "train.batch_size"),
        ("epochs", "train.epochs"),
        ("num_epochs", "train.epochs"),
        ("max_epochs", "train.epochs"),
        ("wd", "train.weight_decay"),
        ("dropout", "model.dropout"),
        ("seed", "train.seed"),
        ("imgsz", "data.size"),
        ("workers", "cluster.workers"),
        ("gpus", "cluster.workers"),
    ],
)
def test_names_of_other_frameworks_are_understood(defaults: dict[str, Any], given: str, meant: str) -> None:
    said = f"{given}: unknown key (value 3); did you mean {meant}?"
    assert complaints({**defaults, given: 3}) == [said]


OF_KIND = {
    "table": "table",
    "audio": "audio",
    "waveform": "audio",
    "audio-augmentation": "audio",
    "text": "text",
    "synonyms": "text",
    "text-augmentation": "text",
}


@pytest.mark.usefixtures("own_modules")
def test_every_file_of_conf_is_allowed() -> None:
    with candidate(Overrides(), ROOT / "conf") as conf:
        for group in groups(conf):
            for choice in choices(conf, group):
                kind = OF_KIND.get(choice) if group in ("augment", "study") else None
                rows = [f"data={kind}"] if kind else []
                values = composed(conf, [*rows, f"{group}={choice}"])
                if values["data"]["source"] != "digits":
                    values["data"]["path"] = "data/x"
                if choice == "module":
                    values["model"]["name"] = "cnn"
                if choice == "transfer":
                    values["study"]["definitions"][choice]["sources"] = {"other": "run-1"}
                if choice == "backbone":
                    values["model"] |= {"backbone": "hf", "backbone_path": "data/x"}
                checked(values)


def test_every_file_of_conf_says_first_what_it_is_for() -> None:
    for path in (ROOT / "conf").rglob("*.yaml"):
        lines = path.read_text().splitlines()
        assert any(line.startswith("# ") and not line.startswith("# @package") for line in lines[:2]), path


def test_the_committed_parameters_are_what_conf_composes_to() -> None:
    assert (ROOT / "params.yaml").read_text() == params_text(composed(ROOT / "conf"))
    assert not edited(ROOT / "params.yaml")


def test_dvc_writes_the_same_composition(tmp_path: Path) -> None:
    from dvc.utils.hydra import compose_and_dump

    overrides = ["model.dropout=0.5", "model=cnn", "train.learning_rate=1e-5", "data.label=[a,b]"]
    compose_and_dump(tmp_path / "params.yaml", str(ROOT / "conf"), None, "config", str(tmp_path), overrides)
    ours = params_text(composed(ROOT / "conf", overrides)).partition("\n")[2]
    assert (tmp_path / "params.yaml").read_text() == ours


def test_photos_take_their_network_and_augmentation_unless_another_is_chosen(tmp_path: Path) -> None:
    """By `regatta run`, by an override on top and by DVC alike."""
    from dvc.utils.hydra import compose_and_dump

    with candidate(Overrides({"data": "folder"}), ROOT / "conf") as conf:
        kept = composed(conf)
    assert (kept["model"]["arch"], kept["augment"]["flip"], kept["train"]["batch_size"]) == ("cnn", 0.5, 16)
    assert (kept["data"]["enlarge"], kept["data"]["channels"]) == (False, "rgb")
    assert composed(ROOT / "conf", ["data=folder"]) == kept
    compose_and_dump(tmp_path / "params.yaml", str(ROOT / "conf"), None, "config", str(tmp_path), ["data=folder"])
    assert read_values(tmp_path / "params.yaml") == kept
    with candidate(Overrides({"data": "folder", "model": "dnn"}, {"train": {"batch_size": 8}}), ROOT / "conf") as conf:
        other = composed(conf)
    assert (other["model"]["arch"], other["augment"]["flip"], other["train"]["batch_size"]) == ("dnn", 0.5, 8)
    assert composed(ROOT / "conf", ["data=folder", "model=dnn", "train.batch_size=8"]) == other


def test_all_errors_of_all_sections_are_said_at_once(values: dict[str, Any]) -> None:
    values["model"]["dropout"] = 1.5
    values["train"]["epoch"] = 3
    values["data"]["path"] = "data/x"
    values["prepare"]["val_fraction"] = "a fifth"
    assert [line.partition(" ")[0].rstrip(":") for line in complaints(values)] == [
        "prepare.val_fraction", "model.dropout", "train.epoch", "data.path",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("model", "train", "told"),
    [
        (
            {"init_from": "run-1", "freeze": 1},
            {"epochs": 3, "unfreeze_epoch": 5},
            "train.unfreeze_epoch = 5: training has train.epochs = 3; choose at most that",
        ),
        ({}, {"unfreeze_epoch": 1}, "train.unfreeze_epoch = 1: model.freeze is 0; say e.g. model.freeze=1, or null here"),
        (
            {},
            {"transferred_rate": 0.1},
            "train.transferred_rate = 0.1: nothing is taken over; say model.init_from=RUN, or 1 here",
        ),
        (
            {"channels": [4]},
            {},
            "model.channels = [4]: these are of convolutions, and a dnn has none; say [], or arch: cnn beside it",
        ),
        (
            {},
            {"precision": "bf16-mixed"},
            "train.precision = 'bf16-mixed': a dnn computes in 32-true; say train.precision=32-true, or model=module",
        ),
        (
            {},
            {"limit": 16, "shards": 32},
            "train.limit = 16: a batch has a sample for each of train.shards x train.accumulate = 32 at least; choose at "
            "least as many, or fewer of them",
        ),
    ],
)
def test_values_that_no_data_would_suit_are_refused(
    values: dict[str, Any], model: dict[str, Any], train: dict[str, Any], told: str
) -> None:
    values["model"] |= model
    values["train"] |= train
    assert complaints(values) == [told]


def test_embedded_data_takes_no_path(values: dict[str, Any]) -> None:
    values["data"]["path"] = "data/photos"
    [line] = complaints(values)
    assert line.startswith("data.path = 'data/photos': data=digits is embedded and reads no path; choose data=folder")


def test_other_data_needs_a_path(values: dict[str, Any]) -> None:
    values["data"]["source"] = "folder"
    assert complaints(values) == ["data.path is not given: data=folder needs it; say data.path=FOLDER"]
    values["data"]["test_path"] = "data/test"
    assert complaints(values) == ["data.path is not given: data=folder needs it; say data.path=FOLDER"]
    values["data"]["train_path"] = "data/train"
    checked(values)


@pytest.mark.parametrize("path", ["/home/me/photos", "~/photos", "../photos"])
def test_no_path_of_one_machine(values: dict[str, Any], path: str) -> None:
    values["data"] |= {"source": "folder", "path": path}
    [line] = complaints(values)
    assert "no path of one machine" in line
    assert f"`regatta run data.path={path}`" in line


def test_null_is_no_path(values: dict[str, Any]) -> None:
    values["data"]["val_path"] = None
    [line] = complaints(values)
    assert line.startswith("data.val_path = null: DVC can't depend on nothing")


def test_a_path_that_is_not_given_is_read_as_null(values: dict[str, Any]) -> None:
    assert checked(values).data.path is None
    values["data"] |= {
        "source": "folder",
        "path": "data/x",
        "train_path": "data/x",
        "val_path": "data/x",
        "test_path": "data/y",
    }
    data = checked(values).data
    assert (data.path, data.train_path, data.val_path, data.test_path) == ("data/x", None, None, "data/y")


def test_an_unknown_file_is_named_with_those_that_there_are() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^model=dn: there is no conf/model/dn\.yaml; allowed: airbench, .*dnn, .*; did you mean dnn\?$",
    ):
        composed(ROOT / "conf", ["model=dn"])


@pytest.mark.parametrize(
    ("text", "said"),
    [("dropout: [1\n", "conf/: "), ("dropout: ${nothing.there}\n", "nothing"), ("dropout: ???\n", "dropout")],
)
def test_a_broken_file_is_an_error_of_configuration(text: str, said: str) -> None:
    with candidate(Overrides(), ROOT / "conf") as conf:
        (conf / "model" / "dnn.yaml").write_text(text)
        with pytest.raises(ConfigError, match=said):
            composed(conf)


def test_composing_twice_in_a_process_and_from_two_places_is_the_same(defaults: dict[str, Any]) -> None:
    with candidate(Overrides(), ROOT / "conf") as conf:
        assert composed(conf) == defaults
        assert composed(conf) == defaults


def test_parameters_know_whether_they_were_edited(tmp_path: Path, values: dict[str, Any]) -> None:
    path = tmp_path / "params.yaml"
    assert not edited(path)
    write_params(values, path)
    assert not edited(path)
    assert read_values(path) == values == yaml.safe_load(path.read_text())
    whole = path.read_text()
    path.write_text(whole + "# a remark\n")
    assert not edited(path)
    path.write_text(whole.replace("dropout: 0.2", "dropout: 0.3"))
    assert edited(path)
    path.write_text(whole.partition("\n")[2])
    assert edited(path)
    path.write_text(whole + "x: .nan\n")
    assert edited(path)
    path.write_text("a: [")
    assert edited(path)
    assert read_values(path) is None


def test_nested_values() -> None:
    old = {"a": {"b": 1, "c": {"d": 2}}, "e": []}
    assert dict(flat(old)) == {"a.b": 1, "a.c.d": 2, "e": []}
    assert with_key(old, "a.c.x", 3) == {"a": {"b": 1, "c": {"d": 2, "x": 3}}, "e": []}
    assert with_key(old, "a.b", {"y": 1})["a"]["b"] == {"y": 1}
    assert merged(old, {"a": {"b": 2}, "z": 1}) == {"a": {"b": 2, "c": {"d": 2}}, "e": [], "z": 1}
    assert old == {"a": {"b": 1, "c": {"d": 2}}, "e": []}


def test_differences_are_said_key_by_key() -> None:
    before, after = {"a": {"b": 1, "c": None}, "d": 0}, {"a": {"b": 2, "e": "x"}, "d": 0.0}
    assert differences(before, after) == ["a.b: 1 -> 2", "a.c: null -> (none)", "d: 0 -> 0.0", "a.e: (none) -> x"]


@pytest.mark.parametrize("key", ["variants", "seeds", "factors"])
def test_a_key_of_a_study_without_its_name_is_told_where_it_belongs(values: dict[str, Any], key: str) -> None:
    values["study"][key] = {"x": 3}
    with pytest.raises(ConfigError, match=rf"study\.{key}: unknown key .*did you mean study\.definitions\.NAME\.{key}\?"):
        checked(values)


def test_what_does_not_suit_the_kind_or_the_target_is_refused_before_anything_is_kept() -> None:
    with candidate(Overrides({"data": "table"}, {"data": {"path": "data/t.csv"}}), ROOT / "conf") as conf:
        values = composed(conf)
    checked(values)
    with_boxes = with_key(values, "train.cutmix", 1.0)
    assert complaints(with_boxes) == ["train.cutmix = 1.0: data of kind table has no boxes to paste; say train.cutmix=0"]
    numbers = with_key(values, "data.target", "number")
    checked(numbers)
    wrong = {"train.balance": "weights", "train.label_smoothing": 0.1, "train.monitor": "val_accuracy", "model.loss": "softmax"}
    for key, value in {**wrong, "evaluate.threshold": "f1"}.items():
        assert complaints(with_key(numbers, key, value))[0].startswith(f"{key} = {value!r}: ")


def test_a_small_table_takes_what_suits_it_and_all_else_of_tables() -> None:
    small, table = composed(ROOT / "conf", ["preset=small-table"]), composed(ROOT / "conf", ["data=table"])
    assert [small["data"].pop("bins"), small["model"].pop("widths")] == [8, [64, 64]]
    assert [small["train"].pop("epochs"), small["train"].pop("batch_size")] == [80, 32]
    for section in ("data", "model", "train"):
        assert small[section] == {key: table[section][key] for key in small[section]}


@pytest.mark.parametrize(
    ("data", "key", "said"),
    [
        ("text", "mixup", "texts, rows of different lengths, can't be mixed"),
        ("text", "cutmix", "texts, rows of different lengths, can't be mixed"),
        ("audio", "cutmix", "data of kind audio has no boxes to paste"),
    ],
)
def test_samples_that_no_data_of_a_kind_let_mix_are_refused_with_the_configuration(data, key, said):
    values = with_key(composed(ROOT / "conf", [f"data={data}", "data.path=data/x"]), f"train.{key}", 0.2)
    assert complaints(values) == [f"train.{key} = 0.2: {said}; say train.{key}=0"]
    if (data, key) == ("audio", "cutmix"):
        checked(with_key(with_key(values, "train.cutmix", 0.0), "train.mixup", 0.2))
