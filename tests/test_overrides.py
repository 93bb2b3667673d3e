from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import composed
from pipeline.errors import ConfigError
from pipeline.overrides import PHOTOS, Overrides, added, candidate, chosen, read_overrides, write_overrides


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """Two groups of two files, one of which shares keys with others."""
    files = {
        "config.yaml": "defaults:\n  - _self_\n  - model: dnn\n  - study: none\n  - data: digits\n  - overrides\n",
        "data/base.yaml": "path: null\n",
        "data/digits.yaml": "source: digits\n",
        "data/folder.yaml": "source: folder\n",
        "model/dnn.yaml": "dropout: 0.2\nwidths: [8]\n",
        "model/cnn.yaml": "dropout: 0.3\nwidths: [9]\n",
        "study/none.yaml": "definitions: {}\n",
        "study/a.yaml": "definitions: {a: 1}\n",
        "study/b.yaml": "definitions: {b: 1}\n",
    }
    for name, text in files.items():
        place = tmp_path / "conf" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return tmp_path / "conf"


def add(conf: Path, *arguments: str, to: Overrides | None = None) -> Overrides:
    return added(to or Overrides(), arguments, conf)[0]


def complaint(conf: Path, *arguments: str, to: Overrides | None = None) -> str:
    with pytest.raises(ConfigError) as error:
        add(conf, *arguments, to=to)
    return str(error.value)


def test_files_and_values_are_told_apart(conf: Path) -> None:
    found = add(conf, "model.dropout=0.5", "data=folder", "model.widths=[16,8]", "study=[a,b]")
    assert found.files == {"data": "folder", "study": ["a", "b"]}
    assert found.values == {"model": {"dropout": 0.5, "widths": [16, 8]}}
    assert found.words() == ["data=folder", "study=[a,b]", "model.dropout=0.5", "model.widths=[16, 8]"]


def test_values_that_hydra_has_no_grammar_for_are_texts_as_they_stand(conf: Path) -> None:
    found = add(conf, "model.rule=precision>=0.9", "model.strip=;", "model.file=a@b<c>")
    assert found.values["model"] == {"rule": "precision>=0.9", "strip": ";", "file": "a@b<c>"}
    for argument in ("model.widths=[8,9", "model.rule='a", 'model.rule="a', "model.rule={a>b", "model.rule=a, >b"):
        assert "not GROUP=FILE, KEY=VALUE or ~KEY" in complaint(conf, argument) or "one value" in complaint(conf, argument)


def test_what_the_runs_of_a_study_change_is_one_dotted_key(conf: Path) -> None:
    above = "study.definitions.d"
    found = add(
        conf,
        f"{above}.baseline.train.epochs=40",
        f"{above}.baseline.model.widths=[8]",
        f"{above}.variants.no-decay.train.weight_decay=0.0",
        f"{above}.variants.own.model.arch=module",
        f"{above}.variants.own.model.keys.width=16",
        f"{above}.factors.depth.2.model.widths=[8,8]",
        f"{above}.seeds=5",
    )
    assert found.values["study"]["definitions"]["d"] == {
        "baseline": {"train.epochs": 40, "model.widths": [8]},
        "variants": {"no-decay": {"train.weight_decay": 0.0}, "own": {"model.arch": "module", "model.keys.width": 16}},
        "factors": {"depth": {"2": {"model.widths": [8, 8]}}},
        "seeds": 5,
    }
    assert add(conf, *found.words()) == found
    left = add(conf, f"~{above}.baseline.train.epochs", to=found)
    assert left.values["study"]["definitions"]["d"]["baseline"] == {"model.widths": [8]}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001), ("3", 3), ("true", True), ("null", None), ("'3'", "3"), ("a b", "a b"), ("'a, b'", "a, b"),
        ("{x:1,y:[2]}", {"x": 1, "y": [2]}), ("[]", []), ("", ""), ("1e-05", 1e-05), ("no", "no"), ("'1e-3'", "1e-3"),
    ],
)  # fmt: skip
def test_values_survive_the_file(conf: Path, written: str, value: object) -> None:
    found = add(conf, f"train.x={written}")
    write_overrides(found, conf)
    assert read_overrides(conf) == found
    assert read_overrides(conf).values["train"]["x"] == value


def test_what_is_there_is_kept_and_the_last_word_wins(conf: Path) -> None:
    first = add(conf, "model.dropout=0.5", "train.epochs=3")
    second = add(conf, "model.dropout=0.1", "+model.extra={a:1}", to=first)
    third = add(conf, "model.extra={b:2}", to=second)
    assert third.values == {"model": {"dropout": 0.1, "extra": {"a": 1, "b": 2}}, "train": {"epochs": 3}}


def test_another_file_forgets_the_values_of_the_one_before_and_says_so(conf: Path) -> None:
    start = add(conf, "data=folder", "data.path=data/photos", "model.dropout=0.5")
    found, notes = added(start, ["data=digits"], conf)
    assert found == Overrides({"data": "digits"}, {"model": {"dropout": 0.5}})
    assert notes == ["data=digits: forgot data.path=data/photos, set for another file of conf/data/"]


@pytest.mark.parametrize("arguments", [("data.path=x", "data=folder"), ("data=folder", "data.path=x")])
def test_a_file_and_its_values_may_be_said_in_any_order(conf: Path, arguments: tuple[str, ...]) -> None:
    assert add(conf, *arguments) == Overrides({"data": "folder"}, {"data": {"path": "x"}})


def test_the_same_file_again_forgets_nothing(conf: Path) -> None:
    start = add(conf, "model.dropout=0.5")
    assert added(start, ["model=dnn"], conf) == (Overrides({"model": "dnn"}, start.values), [])


def test_what_was_said_over_a_file_that_a_preset_chose_goes_with_it_and_stays_where_that_is_said_itself() -> None:
    before = added(Overrides(), ["preset=backbone", "model.backbone=hf", "model.backbone_path=data/vit"])[0]
    found, notes = added(before, ["preset=none", "model=dnn"])
    assert found.values == {}
    assert "model=dnn: forgot model.backbone=hf model.backbone_path=data/vit" in notes[0]
    assert added(before, ["model=backbone"])[0].values == before.values


def test_overrides_can_be_forgotten_one_by_one(conf: Path) -> None:
    start = add(conf, "model=cnn", "model.dropout=0.5", "model.widths=[1]", "train.epochs=1")
    assert add(conf, "~model.dropout", to=start).values == {"model": {"widths": [1]}, "train": {"epochs": 1}}
    assert add(conf, "~train.epochs", to=start).values == {"model": {"dropout": 0.5, "widths": [1]}}
    assert add(conf, "~model", to=start) == Overrides({}, {"train": {"epochs": 1}})
    assert "train.seed is not overridden (overridden: model=cnn, " in complaint(conf, "~train.seed", to=start)


def test_an_unknown_file_lists_those_that_there_are(conf: Path) -> None:
    said = complaint(conf, "data=foldr")
    assert said == "data=foldr: there is no conf/data/foldr.yaml; allowed: digits, folder; did you mean folder?"
    assert "there is no conf/model/3.yaml" in complaint(conf, "model=3")


@pytest.mark.parametrize("argument", ["model", "=3", "model.dropout=0.1=0.2", "model.widths=[1,2", "my key=3"])
def test_what_is_no_override_is_named(conf: Path, argument: str) -> None:
    assert complaint(conf, argument).startswith(f"{argument}: not GROUP=FILE, KEY=VALUE or ~KEY (")


@pytest.mark.parametrize("argument", ["model.dropout=0.1,0.2", "model=cnn,dnn", "train.seed=range(3)"])
def test_several_values_at_once_are_refused(conf: Path, argument: str) -> None:
    assert "one run takes one value" in complaint(conf, argument)


def test_all_errors_are_said_at_once(conf: Path) -> None:
    said = complaint(conf, "data=x", "model.dropout=0.1,0.2", "~train.epochs").splitlines()
    assert [line.partition(":")[0] for line in said] == ["data=x", "model.dropout=0.1,0.2", "~train.epochs"]


def test_an_empty_file_and_no_file_are_no_overrides(conf: Path) -> None:
    assert read_overrides(conf) == Overrides()
    write_overrides(Overrides(), conf)
    assert read_overrides(conf) == Overrides()


@pytest.mark.parametrize("text", ["defaults:\n  - other\n", "a: [1\n", "defaults:\n  - model: cnn\n", "- 1\n"])
def test_a_file_edited_into_something_else_is_refused(conf: Path, text: str) -> None:
    (conf / "overrides.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"overrides\.yaml"):
        read_overrides(conf)


def test_a_candidate_leaves_conf_alone(conf: Path) -> None:
    before = sorted(conf.rglob("*"))
    with candidate(Overrides({"data": "folder"}), conf) as copy:
        assert read_overrides(copy).files == {"data": "folder"}
    assert sorted(conf.rglob("*")) == before
    assert not copy.exists()


def test_what_a_file_chooses_for_other_groups_is_said(conf: Path) -> None:
    (conf / "preset").mkdir()
    (conf / "preset" / "photos.yaml").write_text("defaults:\n  - override /model: cnn\n  - override /study: a\n")
    (conf / "data" / "folder.yaml").write_text("defaults:\n  - /data/base@data\n  - /preset/photos\ndata: {source: folder}\n")
    found, notes = added(Overrides(), ["data=folder"], conf)
    assert notes == ["data=folder takes model=cnn study=a along; to overrule it say another, such as model=dnn"]
    assert added(found, ["data=folder", "train.epochs=3"], conf)[1] == []
    assert added(Overrides(), ["data=folder", "model=dnn"], conf)[1] == [
        "data=folder takes study=a along; to overrule it say another, such as study=none"
    ]


def test_what_a_preset_chooses_is_not_said_to_come_with_the_data() -> None:
    conf = Path(__file__).parents[1] / "conf"
    _, notes = added(Overrides(), ["preset=text-cnn", "data=text"], conf)
    assert notes == [
        "preset=text-cnn takes model=textcnn train=tokens along; to overrule it say another, such as model=dnn",
        "data=text takes augment=text study=none along; to overrule it say another, such as augment=light",
    ]


def test_what_two_files_choose_alike_is_said_once() -> None:
    conf = Path(__file__).parents[1] / "conf"
    (note,) = added(Overrides(), ["data=folder", "preset=few-photos"], conf)[1]
    assert note == (
        "data=folder and preset=few-photos take model=photos augment=photos study=none along; to overrule it say another, "
        "such as model=dnn"
    )


def test_a_table_of_photos_is_told_the_keys_that_a_folder_takes_by_itself(conf: Path) -> None:
    for name in ("csv", "parquet", "idx"):
        (conf / "data" / f"{name}.yaml").write_text(f"defaults: [base, _self_]\nsource: {name}\n")
    for name in ("csv", "parquet"):
        found, [note] = added(Overrides(), [f"data={name}"], conf)
        assert note.startswith(
            f"data={name} takes no preset along; for photos say preset=photos data.channels=rgb data.size=64 "
        )
        assert added(found, [f"data={name}", "train.epochs=3"], conf)[1] == []
    for arguments in (["data=idx"], ["data=csv", "model=cnn"]):
        assert added(Overrides(), arguments, conf)[1] == []


def test_the_keys_told_for_photos_are_those_that_a_folder_takes() -> None:
    """Of this project's own conf/."""
    project = Path(__file__).resolve().parents[1] / "conf"
    taken = composed(project, ["data=folder", "data.path=data/x"])
    told = composed(project, ["data=csv", "data.path=data/x", *PHOTOS.split()])
    assert taken["data"].pop("source") != told["data"].pop("source")
    assert told == taken


@pytest.mark.parametrize(
    "words",
    [["data=text"], ["data=folder"], ["model=airbench"], ["preset=small-table"], ["preset=fashion", "data=text"]],
)
def test_the_files_in_force_are_those_that_hydra_takes(words: list[str]) -> None:
    from hydra import compose, initialize_config_dir

    overrides, _ = added(Overrides(), words)
    with candidate(overrides) as conf, initialize_config_dir(str(conf.resolve()), version_base=None):
        taken = compose("config", return_hydra_config=True).hydra.runtime.choices
        assert chosen(overrides, conf) == {group: taken[group] for group in chosen(overrides, conf)}
