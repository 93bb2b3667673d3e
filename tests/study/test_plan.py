"""A study's runs, and what is refused before anything runs."""

from pathlib import Path

import pytest

from pipeline.config import composed
from pipeline.data.dataset import FORMAT, Manifest
from pipeline.errors import ConfigError
from pipeline.schema.base import validated
from pipeline.schema.study import StudyDefinition
from pipeline.study.plan import cells, contrasts, problems, variants

CONF = Path(__file__).resolve().parents[2] / "conf"
FACTORS = {
    "activation": {"relu": {"model.activation": "relu"}, "tanh": {"model.activation": "tanh"}},
    "depth": {"2": {"model.widths": [8, 8]}, "4": {"model.widths": [8] * 4}},
}
DATA = Manifest(
    format=FORMAT, kind="image", task="single", classes=["a", "b", "c"], shape=[1, 8, 8], dtype="uint8",
    fit={"mean": [0.5], "std": [0.2]},
    counts={"train": 100, "val": 20, "test": 20}, class_counts={}, source="digits", source_digest="s", digest="d",
    num_read=140, num_rejected=0, notes=[],
)  # fmt: skip


@pytest.fixture(scope="module")
def values():
    return composed(CONF)


def study(variants=None, baseline=None, seeds=2, **more):
    own = {"question": "?", "baseline": baseline or {}, "variants": variants or {}, "seeds": seeds}
    return validated(StudyDefinition, own | more, "study")


def test_every_variant_has_the_same_seeds(values):
    found = cells(study({"none": {"model.dropout": 0.0}}, {"train.epochs": 5, "train.warmup_epochs": 1.0}), values)
    assert [(cell.variant, cell.seed) for cell in found] == [("baseline", 0), ("baseline", 1), ("none", 0), ("none", 1)]
    assert {cell.config.train.epochs for cell in found} == {5}
    assert [cell.config.train.seed for cell in found] == [0, 1, 0, 1]
    assert [cell.config.model.dropout for cell in found] == [0.2, 0.2, 0.0, 0.0]


def test_a_variant_may_change_any_section(values):
    changes = {"augment.strength": 0.5, "data.max_pixels": 2000, "data.size": 6, "train.limit": 50}
    [_, found] = cells(study({"a": changes}, seeds=1), values)
    assert found.config.augment.rotate == 5.0
    assert (found.config.data.max_pixels, found.config.data.size, found.config.train.limit) == (2000, 6, 50)


def test_a_full_grid_compares_the_first_factor_within_the_levels_of_the_others(values):
    found = [(variant.name, variant.against) for variant in variants(study(factors=FACTORS))]
    assert found == [("baseline", ""), ("relu-4", "baseline"), ("tanh-2", "baseline"), ("tanh-4", "relu-4")]
    tanh = cells(study(factors=FACTORS, seeds=1), values)[-1].config.model
    assert (tanh.activation, tanh.widths) == ("tanh", [8] * 4)


def test_one_factor_at_a_time(values):
    found = [(variant.name, variant.against) for variant in variants(study(factors=FACTORS, grid="one_at_a_time"))]
    assert found == [("baseline", ""), ("tanh", "baseline"), ("4", "baseline")]


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ({"a": {"model.drpout": 0.1}}, r"variant a: model.drpout = 0.1: unknown key; did you mean model.dropout\?"),
        (
            {"a": {"train": {"epochs": 4, "limit": 9}}},
            r"variant a: train = {.*}: keys are dotted; write train.epochs: 4, train.limit: 9$",
        ),
        ({"a": {"train.seed": 5}}, "variant a: train.seed = 5: a variant may not change it"),
        (
            {"a": {"train.threads": 2}},
            "train.seed, prepare.fold, train.device, train.threads, .*train.callbacks, .* are the study's own",
        ),
        (
            {"a": {"data.path": "x"}},
            "variant a: data.path = 'x': judged on other samples, so it can't be compared seed by seed",
        ),
        ({"a": {"model.dropout": 2.0}}, "variant a: model.dropout = 2.0: should be less than 1"),
        ({"a": {}}, "variant a: the same as baseline"),
        ({"a": {"model.dropout": 0.4}, "b": {"model.dropout": 0.4}}, "variant b: the same as a"),
        ({"baseline": {"model.dropout": 0.4}}, "variant baseline: the baseline itself has this name"),
        ({}, "neither variants nor factors"),
    ],
)
def test_a_wrong_variant_is_refused(values, variants, said):
    with pytest.raises(ConfigError, match=said):
        cells(study(variants), values)


def test_two_levels_of_one_name_are_refused(values):
    factors = {"a": {"x": {}, "y": {"model.dropout": 0.1}}, "b": {"x": {}, "y": {"model.norm": "layer"}}}
    with pytest.raises(ConfigError, match="variant y: two variants have this name"):
        cells(study(factors=factors, grid="one_at_a_time"), values)


def test_a_factor_of_one_level_and_an_unknown_expectation_are_refused(values):
    found = problems(study({"none": {"model.dropout": 0.0}}, factors={"a": {"x": {}}}, expected={"nine": "helps"}), values)
    assert found == [
        "expected.nine: there is no such variant; did you mean none?",
        "factors.a: has 1 levels; a factor needs two",
    ]


def test_all_that_is_wrong_is_named_at_once(values):
    wrong = {"a": {"model.x": 1, "model.dropout": 3.0}, "b": {"train.y": 1}}
    assert len(problems(study(wrong), values)) == 3


def test_what_does_not_fit_the_data_is_named_by_its_variant(values):
    [line] = problems(study({"big": {"train.batch_size": 101}, "small": {"train.batch_size": 50}}), values, DATA)
    assert line.startswith("variant big: train.batch_size = 101: there are 100 training samples")


@pytest.mark.parametrize("seeds", [0, -1, "3", 1.5])
def test_a_number_of_seeds_is_a_positive_integer(seeds):
    with pytest.raises(ConfigError, match="seeds"):
        study({"a": {"model.dropout": 0.1}}, seeds=seeds)


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "study").glob("*.yaml") if path.stem != "none"))
def test_the_studies_that_come_along_are_sound(name):
    kind = [f"data={name.split('-')[0]}"] if name.startswith(("audio-", "text-")) else []
    values = composed(CONF, [*kind, f"study={name}"])
    own = values["study"]["definitions"][name]
    own |= {"sources": {"other": "run-1"}} if own.get("sources") == {} else {}  # they are the user's to name
    definition = validated(StudyDefinition, own, "study")
    assert problems(definition, values) == []
    assert len(cells(definition, values)) == definition.seeds * len(variants(definition))


def test_names_that_the_run_cache_looks_past_are_refused(values):
    levels = {"8": {"model.widths": [8]}, "nfiles": {"model.widths": [16]}}
    [first, second] = problems(study(factors={"size": levels}), values)
    assert first.startswith("nfiles: DVC's run cache takes no notice of what is named nfiles")
    assert second.startswith("size: ")
    assert problems(study({"size": {"model.dropout": 0.1}}), values)[0].startswith("size: ")


def test_a_variant_may_be_a_module_and_brings_nothing_of_the_built_in_network(values, own_modules):
    chosen = study(
        {
            "cnn": {"model.arch": "module", "model.name": "cnn", "model.keys.width": 8},
            "patches": {"model.arch": "module", "model.name": "patches"},
        },
        {"model.dropout": 0.3},
        seeds=1,
    )
    baseline, cnn, patches = (cell.config.model for cell in cells(chosen, values))
    assert (baseline.arch, baseline.dropout, baseline.widths) == ("dnn", 0.3, [256, 128])
    assert (cnn.name, cnn.keys, cnn.dropout, cnn.widths) == ("cnn", {"width": 8}, 0.0, [])
    assert (patches.name, patches.keys) == ("patches", {})
    found = contrasts(chosen, values)["cnn"]
    assert found == {
        "model.arch": {"variant": "module", "reference": "dnn", "now": "dnn"},
        "model.name": {"variant": "cnn", "reference": None, "now": None},
        "model.keys.width": {"variant": 8, "reference": None, "now": None},
    }


def test_what_a_variant_says_of_a_network_that_does_not_read_it_is_named_with_the_way_out(values, own_modules):
    module = {"model.arch": "module", "model.name": "cnn"}
    found = problems(study({"with-dropout": {"model.dropout": 0.2}, "wide": {"model.keys.width": 9}}, module), values)
    [line] = [line for line in found if line.startswith("variant with-dropout")]
    assert "model.dropout = 0.2: a module does not read it; say model.keys.drop in a study of your own" in line
    assert "leave the study out with `regatta run study=none`" in line
    assert not any("wide" in line for line in found)
    [line] = problems(study({"cnn": {"model.name": "cnn"}}), values)
    assert "model.name = 'cnn': a dnn does not read it; say model.arch: module beside it" in line


def test_another_module_does_not_take_the_keys_of_the_one_before(values, own_modules):
    base = {"model.arch": "module", "model.name": "cnn", "model.keys.width": 8}
    chosen = study({"wide": {"model.keys.width": 16}, "patches": {"model.name": "patches"}}, base, seeds=1)
    assert [cell.config.model.keys for cell in cells(chosen, values)] == [{"width": 8}, {"width": 16}, {}]
    with pytest.raises(ConfigError, match=r"variant other: model.keys.widht = 3: its function takes width"):
        cells(study({"other": {"model.keys.widht": 3}}, base, seeds=1), values)


@pytest.mark.parametrize("kind", ["text", "audio", "table"])
def test_dropout_stands_for_the_modules_own_key(kind):
    values = composed(CONF, [f"data={kind}", "study=dropout"])
    definition = validated(StudyDefinition, values["study"]["definitions"]["dropout"], "study")
    assert problems(definition, values) == []
    first, other = (cell.config.model for cell in cells(definition, values)[:: definition.seeds])
    found = [model.keys["dropout"] if model.is_module else model.dropout for model in (first, other)]
    assert found == [0.0, 0.2]


def test_a_study_of_what_a_module_lacks_names_what_it_has():
    values = composed(CONF, ["data=text", "study=activations"])
    definition = validated(StudyDefinition, values["study"]["definitions"]["activations"], "study")
    said = "\n".join(problems(definition, values))
    assert "model.activation = 'tanh': a module does not read it; say in a study of your own what it has: " in said
    assert "model.keys.hidden" in said
