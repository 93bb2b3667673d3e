"""What a configuration may be made of, wherever it comes from."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config import composed, read_values
from pipeline.errors import ConfigError
from pipeline.overrides import Overrides, added, read_overrides
from pipeline.schema.reading import MAX_DEPTH, check_conf, check_references, check_text

ROOT = Path(__file__).resolve().parents[2]
Command = Callable[..., str]
LETTERS = "abcdefghij"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in itertools.pairwise(LETTERS)
)
DEEP = "{a: " * 3000 + "1" + "}" * 3000
RESOLVERS = [
    "${oc.env:HOME}", "x${oc.env:HOME,nobody}y", "${oc.decode:'1'}", "${oc.create:{a: 1}}", "${oc.select:train.seed}",
    "${oc.dict.keys:train}", "${hydra:runtime.cwd}", "${now:%Y}", "${env:HOME}", "${train.${.name}}", "\\${oc.env:HOME}",
    "${oc.env:", "${}",
]  # fmt: skip


def complaint(text: str, **options: bool) -> str:
    with pytest.raises(ConfigError) as error:
        check_text(text.encode(), "conf/x.yaml", **options)
    return str(error.value)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """A copy of conf/, with nothing overridden."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "conf" / "overrides.yaml").write_text("# @package _global_\n")
    return tmp_path / "conf"


@pytest.mark.parametrize("text", ["${train.seed}", "${.path}", "a${..b.c}d", "${a.b[0].c}", "${a[b]}", "$5 {and} more", "$x"])
def test_references_to_keys_are_allowed(text: str) -> None:
    assert check_text(f"a: {{b: '{text}'}}".encode(), "conf/x.yaml") == 5


@pytest.mark.parametrize("text", RESOLVERS)
def test_a_resolver_is_refused_by_file_and_key(text: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    expected = f"conf/x.yaml: train.names.1 = {text!r}: of ${{...}} only references to other keys are allowed"
    assert complaint(f"train: {{names: [a, {quoted}]}}").startswith(expected)
    assert "of ${...} only references" in complaint(f"train: {{{quoted}: 1}}")


def test_a_resolver_that_is_written_with_escapes_is_one() -> None:
    assert "conf/x.yaml: a = '${oc.env:HOME}'" in complaint('a: "\\x24{oc.env:HOME}"')


def test_params_hold_no_reference_at_all(tmp_path: Path) -> None:
    assert "nothing is replaced here" in complaint("a: ${b}\nb: 1", references=False)
    (tmp_path / "params.yaml").write_text("a: ${oc.env:HOME}\n")
    assert read_values(tmp_path / "params.yaml") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "conf/x.yaml: e: more than 20,000 values, aliases followed"),
        ("a: [" + "1, " * 20_000 + "]", "conf/x.yaml: a: more than 20,000 values"),
        (DEEP, f"more than {MAX_DEPTH} levels, one in the other"),
        ("[" * 1_000_000, f"more than {MAX_DEPTH} levels"),
        ("a: &a {b: {c: [*a]}}", "conf/x.yaml: a.b.c: *a holds itself"),
        ("a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 40 + "*a" + "]" * 40, f"more than {MAX_DEPTH} levels"),
        ("hydra: {searchpath: ['file:///elsewhere']}", "conf/x.yaml: hydra: Hydra's own settings"),
        ("defaults: [{data: ../../elsewhere}]", "conf/x.yaml: defaults.0.data = '../../elsewhere': a file outside"),
    ],
    ids=["aliases", "values", "levels", "no end", "itself", "levels behind an alias", "hydra", "elsewhere"],
)
def test_what_grows_or_leads_elsewhere_is_refused_before_it_is_read(text: str, words: str) -> None:
    assert words in complaint(text)


def test_aliases_that_stay_small_are_counted_and_allowed() -> None:
    assert check_text(b"a: &a {b: 1, c: [2, 3]}\nd: [*a, *a]\n<<: *a\n", "x") == 1 + 1 + 7 + 2 + 7 * 2 + 1 + 7


def test_what_is_no_yaml_is_left_to_the_reader() -> None:
    check_text(b"a: [1,\n", "x")
    check_text(b"a: *unknown\n", "x")
    check_text(b"\xff\xfe\x00", "x")


def test_every_file_of_conf_is_looked_at_before_one_is_composed(conf: Path) -> None:
    (conf / "study" / "mine.yaml").write_text("definitions: {a: {variants: {b: {model.dropout: '${oc.env:HOME}'}}}}\n")
    with pytest.raises(ConfigError, match=r"^conf/study/mine\.yaml: definitions\.a\.variants\.b\.model\.dropout = "):
        composed(conf)
    (conf / "study" / "mine.yaml").write_text(DEEP)
    with pytest.raises(ConfigError, match=r"^conf/study/mine\.yaml: .*more than 64 levels"):
        composed(conf)
    (conf / "study" / "mine.yaml").write_text("# " + "x" * 5 * 2**20)
    with pytest.raises(ConfigError, match="have more than 4 MB"):
        composed(conf)


def test_overrides_are_looked_at_in_the_file_and_on_the_command_line(conf: Path) -> None:
    for argument in ("train.name=${oc.env:HOME}", "train.x=[1,{a: '${now:%Y}'}]", "model=${oc.env:HOME}"):
        with pytest.raises(ConfigError, match=r"only references to other keys"):
            added(Overrides(), [argument], conf)
    assert added(Overrides(), ["train.x=${.seed}"], conf)[0].values == {"train": {"x": "${.seed}"}}
    for argument in ("train.x=" + "[" * 3000 + "]" * 3000, ".".join("a" * 3000) + "=1"):
        with pytest.raises(ConfigError, match="more than 64 levels"):
            added(Overrides(), [argument], conf)
    (conf / "overrides.yaml").write_text("train: {name: '${oc.env:HOME}'}\n")
    with pytest.raises(ConfigError, match=r"overrides\.yaml: train\.name = "):
        read_overrides(conf)


def test_the_projects_own_files_are_fit_and_few() -> None:
    check_conf(ROOT / "conf", "conf")


def doubled(levels: int) -> dict[str, object]:
    """A section whose value is two of the next one, and so on."""
    values: dict[str, object] = {f"s{i}": {"a": f"${{s{i + 1}}}", "b": f"${{s{i + 1}}}"} for i in range(levels)}
    return {**values, f"s{levels}": {"a": 1}}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (doubled(30), "s0.a = '${s1}': refers to what holds references itself"),
        ({"a": "${b}${b}", "b": "x"}, "a = '${b}${b}': one reference in a value"),
        ({"a": "${b}", "b": "${a}"}, "a circle of them"),
        ({"a": "${.a}"}, "a circle of them"),
        ({"x": "y" * 10**6, **{f"k{i}": "${x}" for i in range(5)}}, "more than 20,000 values, references followed"),
        ({"x": list(range(9000)), "a": {"b": "${x}", "c": ["${..x}", "${x}"]}}, "more than 20,000 values, references"),
    ],
    ids=["sections", "texts", "circle", "itself", "long", "lists"],
)
def test_references_that_would_grow_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_references(values, "conf")
    assert words in str(error.value)


def test_references_are_followed_as_omegaconf_does(conf: Path) -> None:
    (conf / "data" / "digits.yaml").write_text(
        "defaults: [image_base, _self_]\nsource: digits\nsize: ${..model.widths}\nimage: ${.label}\nlabel: ${train.schedule}\n"
    )
    values = composed(conf)
    assert values["data"]["size"] == values["model"]["widths"]
    assert values["data"]["image"] == values["data"]["label"] == values["train"]["schedule"]


def test_nothing_of_the_environment_lands_in_params_whoever_composes(
    project: Path, regatta: Command, dvc: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s3cr3t")
    before = Path("params.yaml").read_text()
    said = regatta("run", "train.schedule=${oc.env:SECRET}", code=2) + regatta("compose", "--force")
    said += dvc("exp", "run", "-S", "train.schedule=${oc.env:SECRET}", code=255)
    file = project / "conf" / "train" / "default.yaml"
    file.write_text(file.read_text() + "name: ${oc.env:SECRET}\n")
    said += regatta("run", code=2) + dvc("exp", "run", "-S", "train.epochs=1", code=255)
    assert "conf/train/default.yaml: name = '${oc.env:SECRET}'" in said
    assert "s3cr3t" not in said
    assert Path("params.yaml").read_text() == before
