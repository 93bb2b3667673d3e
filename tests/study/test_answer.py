"""A study's answer to the person who asked, and what follows from it as commands."""

import shlex
from pathlib import Path

import pytest
from test_effects import BASELINE, Definition, Variant, around, outcome

from pipeline.commands.study import own_keys
from pipeline.config import composed
from pipeline.overrides import Overrides, added, candidate
from pipeline.schema.base import validated
from pipeline.schema.study import StudyDefinition
from pipeline.study.effects import effects, told
from pipeline.study.plan import contrasts, variants

CONF = Path(__file__).resolve().parents[2] / "conf"
RATES = {"slow": 0.0002, "fast": 0.02}


def dropout(shift, now=0.2, num=8, **definition):
    """A study of dropout 0.2 against none, where the project has dropout `now`."""
    contrast = {"with-dropout": {"model.dropout": {"variant": 0.2, "reference": 0.0, "now": now}}}
    rows = {"baseline": around(0, 0, num), "with-dropout": around(shift, num=num)}
    outcomes = [outcome(name, seed, value) for name, row in rows.items() for seed, value in enumerate(row)]
    every = [BASELINE, Variant("with-dropout", {"model.dropout": 0.2})]
    return effects("dropout", Definition(**definition), every, outcomes, contrast)


def test_the_answer_names_what_is_compared_with_all_its_numbers():
    found = dropout(-0.02)
    assert found["answer"] == (
        "Dropout 0.2 against none helps: validation loss 0.5153 against 0.535, "
        "a difference of -0.0197 [-0.0209, -0.0185], 8 seeds, p < 0.0001 (Holm)"
    )
    assert found["sentences"][0].startswith("with-dropout (dropout 0.2 against none) helps: validation loss -0.0197 [")
    assert dropout(0.02)["answer"].startswith("Dropout 0.2 against none hurts: validation loss 0.5553 against 0.535, ")
    assert dropout(0.0)["answer"].startswith("No evidence that dropout 0.2 against none makes a difference: validation loss ")
    assert dropout(0.0, margin=0.01)["answer"].startswith("Dropout 0.2 against none is equivalent within 0.01: validation ")
    few = dropout(-0.02, num=2)["answer"]
    assert few.startswith("2 of the 3 seeds that a verdict needs: dropout 0.2 against none: validation loss 0.4")


@pytest.mark.parametrize(
    ("shift", "now", "text", "command"),
    [(-0.02, 0.2, "Keep dropout 0.2, as your configuration has it", None),
     (-0.02, 0.0, "Take dropout 0.2", "regatta run model.dropout=0.2"),
     (0.02, 0.0, "Keep no dropout, as your configuration has it", None),
     (0.02, 0.2, "Take no dropout", "regatta run model.dropout=0.0"),
     (0.0, 0.2, "8 seeds leave open with-dropout; more seeds may tell", "regatta study dropout study.seeds=16")],
)  # fmt: skip
def test_what_follows_is_a_command(shift, now, text, command):
    assert dropout(shift, now)["advice"] == [{"text": text, "command": command}]


def test_too_few_seeds_and_seeds_enough_to_stop():
    [step] = dropout(-0.02, num=2)["advice"]
    assert step == {
        "text": "A verdict needs 3 seeds, and 8 say more",
        "command": "regatta study dropout study.seeds=8",
    }
    many = {
        name: [0.5 + 0.01 * (seed % 3 + k * (-1) ** seed) for seed in range(32)] for k, name in enumerate(("baseline", "v"))
    }
    outcomes = [outcome(name, seed, value) for name, row in many.items() for seed, value in enumerate(row)]
    [step] = effects("s", Definition(), [BASELINE, Variant("v")], outcomes)["advice"]
    assert step["command"] is None
    assert step["text"].startswith("32 seeds leave open v; say with study.margin")


def rates(shifts):
    """A study of learning rates against 0.002, which the project has."""
    contrast = {
        name: {"train.learning_rate": {"variant": rate, "reference": 0.002, "now": 0.002}} for name, rate in RATES.items()
    }
    rows = {"baseline": around(0, 0), **{name: around(shift, 1 + k) for k, (name, shift) in enumerate(shifts.items())}}
    outcomes = [outcome(name, seed, value) for name, row in rows.items() for seed, value in enumerate(row)]
    every = [BASELINE, *(Variant(name, {"train.learning_rate": RATES[name]}) for name in shifts)]
    return effects("rates", Definition(), every, outcomes, contrast)


def test_several_variants_are_summed_up_by_verdict():
    found = rates({"slow": 0.05, "fast": -0.02})
    assert found["answer"] == "By validation loss, 8 seeds: helps: fast (-0.0197); hurts: slow (+0.0503)"
    assert found["advice"] == [{"text": "Take learning rate 0.02", "command": "regatta run train.learning_rate=0.02"}]
    both = rates({"slow": -0.05, "fast": -0.02})["advice"]
    assert both[0]["command"] == "regatta run train.learning_rate=0.0002"
    assert both[0]["text"] == "Take learning rate 0.0002 (of those that help, slow helps most)"
    neither = rates({"slow": 0.05, "fast": 0.02})["advice"]
    assert neither == [
        {"text": "Keep learning rate 0.002, as your configuration has it (none of the variants helps)", "command": None}
    ]


def test_what_all_harmful_variants_are_compared_with_is_kept_wherever_it_was_asked():
    values = composed(CONF, ["study=activations"])
    definition = validated(StudyDefinition, values["study"]["definitions"]["activations"], "study")
    every = variants(definition)
    rows = {v.name: around(0.5 if "sigmoid" in v.name else 0, i and 1 + i % 3) for i, v in enumerate(every)}
    outcomes = [outcome(name, seed, value) for name, row in rows.items() for seed, value in enumerate(row)]
    first, more = effects("activations", definition, every, outcomes, contrasts(definition, values))["advice"]
    assert first["text"] == "Keep activation relu, as your configuration has it (none of the variants helps)"
    assert more["command"] == "regatta study activations study.seeds=16"


def planned_values(name, words):
    """The configuration that `regatta study NAME WORDS` would make of conf/."""
    overrides, _ = added(Overrides(), own_keys(name, words), CONF)
    with candidate(overrides, CONF) as conf:
        return composed(conf)


def embedded(shift, *words, num=8):
    """What the study that comes along finds, where dropout of 0.2 changes the loss by `shift`."""
    values = planned_values("dropout", words)
    definition = validated(StudyDefinition, values["study"]["definitions"]["dropout"], "study")
    rows = {"baseline": around(0, 0, num), "with-dropout": around(shift, 1, num)}
    outcomes = [outcome(name, seed, value) for name, row in rows.items() for seed, value in enumerate(row)]
    return effects("dropout", definition, variants(definition), outcomes, contrasts(definition, values))


def test_what_is_found_with_fewer_epochs_is_asked_again_before_it_is_taken():
    found = embedded(0.02)
    assert found["answer"].startswith("With 10 epochs (yours: 40), dropout 0.2 against none hurts: validation loss 0.5553")
    [step] = found["advice"]
    assert step["text"] == ("Before you take no dropout, ask with epochs of your own, since what holds for 10 may not for 40")
    assert step["command"] == ("regatta study dropout study.baseline.train.epochs=40 study.baseline.train.warmup_epochs=2.0")
    assert embedded(-0.02, "model.dropout=0.0")["advice"][0]["text"].startswith("Before you take dropout 0.2, ask with epochs ")
    one = embedded(0.02, "train.epochs=11", "study.baseline.train.epochs=1", "study.baseline.train.limit=300")
    assert one["answer"].startswith("With 1 epoch (yours: 11) and 300 training samples (yours: all), dropout 0.2 ")
    assert one["advice"][0]["text"].endswith(
        "ask with epochs and training samples of your own, since what holds for 1 and 300 may not for 11 and all"
    )
    assert "study.baseline.train.limit=null" in one["advice"][0]["command"]


def test_the_command_asks_with_the_epochs_of_the_run():
    name, *words = shlex.split(embedded(0.02)["advice"][0]["command"])[2:]
    values = planned_values(name, words)
    assert values["study"]["definitions"]["dropout"]["baseline"] == {
        "model.dropout": 0.0,
        "train.epochs": values["train"]["epochs"],
        "train.warmup_epochs": values["train"]["warmup_epochs"],
    }
    definition = validated(StudyDefinition, values["study"]["definitions"]["dropout"], "study")
    assert contrasts(definition, values)["baseline"].keys() == {"model.dropout"}


def test_epochs_as_many_or_compared_are_no_reason_to_ask_again():
    assert embedded(0.02, "train.epochs=10")["answer"].startswith("Dropout 0.2 against none hurts: validation loss")
    more = embedded(0.02, "train.epochs=5")
    assert more["answer"].startswith("Dropout 0.2 against none hurts: validation loss")
    assert more["advice"] == [
        {
            "text": "Take no dropout, found with epochs 10 (yours: 5), warmup epochs 1 (yours: 2)",
            "command": "regatta run model.dropout=0.0",
        }
    ]
    values = composed(CONF, ["study=epochs"])
    definition = validated(StudyDefinition, values["study"]["definitions"]["epochs"], "study")
    outcomes = [outcome(v.name, s, 0.5) for v in variants(definition) for s in range(3)]
    found = effects("epochs", definition, variants(definition), outcomes, contrasts(definition, values))
    assert found["answer"].startswith("By validation loss of the last epoch, 3 seeds: ")


def test_a_baseline_that_fails_on_every_seed_is_said():
    outcomes = [outcome(name, seed, value) for name, value in (("baseline", None), ("v", 0.5)) for seed in range(3)]
    [step] = effects("s", Definition(), [BASELINE, Variant("v")], outcomes)["advice"]
    assert step == {"text": "The baseline failed on every seed, so nothing can be compared with it", "command": None}


def test_a_list_is_written_as_the_command_line_takes_it():
    contrast = {"wide": {"model.widths": {"variant": [512, 512], "reference": [64], "now": [64]}}}
    outcomes = [
        outcome(name, s, v) for name, row in (("baseline", around(0, 0)), ("wide", around(-0.02))) for s, v in enumerate(row)
    ]
    found = effects("s", Definition(), [BASELINE, Variant("wide")], outcomes, contrast)
    assert found["answer"].startswith("Widths 512-512 against 64 helps")
    assert shlex.split(found["advice"][0]["command"]) == ["regatta", "run", "model.widths=[512,512]"]


def test_contrasts_are_those_of_the_configurations_that_are_compared():
    values = composed(CONF, ["study=regularisation"])
    definition = validated(StudyDefinition, values["study"]["definitions"]["regularisation"], "study")
    found = contrasts(definition, values)
    assert list(found) == [variant.name for variant in variants(definition)]
    assert found["dropout-few"] == {"model.dropout": {"variant": 0.3, "reference": 0.0, "now": 0.2}}
    assert found["none-few"] == {"train.limit": {"variant": 300, "reference": None, "now": None}}
    assert found["baseline"]["train.epochs"] == {"variant": 30, "reference": 40, "now": 40}


def test_runs_that_are_otherwise_than_the_projects_are_said():
    found = embedded(-0.02, num=3)
    assert found["notes"] == ["all of its runs have epochs 10 (yours: 40), warmup epochs 1 (yours: 2)"]
    assert told(found) == [
        "Does dropout of 0.2 help?",
        *found["notes"],
        f"Answer: {found['answer']}",
        "Keep dropout 0.2, as your configuration has it",
    ]


def starts(whole, few, now=None, sources=("scratch", "photos")):
    """Of starting from a run instead of nothing: what it adds to the loss with all samples, and with few."""
    contrast = {"model.init_from": {"variant": "run-1", "reference": None, "now": now}}
    scratch, photos = sources
    every = [
        BASELINE,
        Variant("scratch-5", start=scratch),
        Variant("photos-all", start=photos),
        Variant("photos-5", {}, "scratch-5", photos),
    ]
    shifts = {"baseline": 0.0, "scratch-5": 0.3, "photos-all": whole, "photos-5": 0.3 + few}
    rows = {name: around(by, row) for row, (name, by) in enumerate(shifts.items())}
    outcomes = [outcome(name, seed, value) for name, row in rows.items() for seed, value in enumerate(row)]
    few_samples = {"train.per_class": {"variant": 5, "reference": None, "now": None}}
    contrasts = {"scratch-5": few_samples, "photos-all": contrast, "photos-5": contrast}
    return effects("transfer", Definition(), every, outcomes, contrasts)


def test_what_helps_elsewhere_alone_is_not_taken():
    [taken] = starts(-0.02, -0.1)["advice"]
    assert taken == {"text": "Start from photos", "command": "regatta run model.init_from=run-1"}
    [apart] = starts(0.1, -0.1)["advice"]
    text = (
        "Start from scratch, as your configuration has it (no source is shown to help with your own settings; photos-5 helps)"
    )
    assert apart == {"text": text, "command": None}
    factor = starts(0.1, -0.1, sources=(None, None))["advice"]
    assert factor == [{"text": "Nothing to take for your own settings: only photos-5 helps", "command": None}]
    [other] = starts(0.1, 0.1, now="run-1")["advice"]
    assert other["text"] == "Start from scratch (no source is shown to help with your own settings)"
    assert other["command"] == "regatta run model.init_from=null"


def test_of_sources_the_answer_is_about_the_sources_alone():
    found = starts(0.0, 0.1)
    scratch, _, few = found["variants"]
    assert found["answer"] == (
        "Against scratch, by validation loss, 8 seeds: photos: no evidence with all (+0.00030), hurts with 5 (+0.100)"
    )
    assert [step["text"] for step in found["advice"]] == [
        "Start from scratch, as your configuration has it (no source is shown to help with your own settings)",
        "8 seeds leave open photos-all; more seeds may tell",
    ]
    assert found["sentences"][2].startswith("beside the question: scratch-5 (samples of each class 5 against all) hurts: ")
    assert found["sentences"][0].startswith("photos-all (")
    assert scratch["p_holm"] == scratch["p"], "a family of its own"
    assert few["p_holm"] == pytest.approx(2 * few["p"]), "of the two that are asked"
