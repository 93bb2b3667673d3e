"""The rules about classes and studies, and what is advised in the light of the configuration."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from made_up import FLAT, GUESS, finding, manifest, project, records, sized

from pipeline.report.run.records import ClassCounts, Effect
from pipeline.report.run.rules import remedies
from pipeline.report.run.rules.classes import for_rare
from pipeline.report.run.rules.finding import Step
from pipeline.report.run.rules.guessing import hits_by_chance
from pipeline.report.run.verdict import verdict


def rare(train=(2000, 12), val=(300, 2), test=(600, 3)):
    """Two classes of which one is rare."""
    sizes = {"train": list(train), "val": list(val), "test": list(test)}
    counts = {split: sum(own) for split, own in sizes.items()}
    return manifest(classes=["well", "ill"], class_counts=sizes, counts=counts)


def counted(actual, predicted, right):
    return ClassCounts(*(np.array(values) for values in (actual, predicted, right)))


def of_rule(given, rule):
    return [found for found in verdict(given).findings if found.rule == rule]


def commands(found):
    return [step.command for step in found.steps]


def test_a_rare_class_that_is_never_predicted_is_said():
    test = {"accuracy": 600 / 603, "mean_confidence": 0.99, "macro_f1": 0.499}
    counts = counted([600, 3], [603, 0], [600, 0])
    given = records([0.01, 0.008, 0.007], task=rare(), test=test, counts=counts, best_val_measure=300 / 302)
    said = verdict(given)
    (found,) = of_rule(given, "never_predicted")
    assert (found.topic, found.level, found.headline) == ("Classes", "warn", "1 of 2 classes never predicted")
    assert "ill (3 test samples, 12 in training)" in found.detail
    assert "603 test samples" in found.detail
    assert said.level == "warn"
    assert "Confidence matches accuracy" not in [f.headline for f in said.findings]
    assert [f.headline for f in said.findings if f.rule == "few_of_class"] == ["Few test samples of 1 of 2 classes"]


def test_a_network_that_answers_one_class_alone_is_told_of_the_rare_one():
    test = {"accuracy": 600 / 603, "mean_confidence": 0.99}
    given = records([0.02, 0.009, 0.012, 0.011], [0.08, 0.06, 0.04, 0.04], task=rare(), test=test,
                    counts=counted([600, 3], [603, 0], [600, 0]), best_val_measure=300 / 302,
                    settings={"data.source": "folder", "data.path": "data/x"})  # fmt: skip
    found = finding(given, "Learning")
    assert (found.rule, found.level) == ("learned", "warn")
    assert "so rare that accuracy hardly shows them" in found.detail
    assert found.steps[0].text.startswith("Add samples of the rare classes")
    assert found.steps[1].command == "regatta run train.balance=weights"
    assert "Overfits" not in " ".join(f.headline for f in verdict(given).findings)


def test_one_of_ten_classes_that_is_never_predicted_stands_in_the_first_sentence():
    actual = [40] * 10
    given = records(FLAT, counts=counted(actual, [*[44] * 8, 48, 0], [*[40] * 9, 0]), test={"accuracy": 0.9})
    assert verdict(given).headline == "The network learned, but never predicts some of the classes."


@pytest.mark.parametrize(("hits", "said"), [(0, True), (10, True), (20, False), (40, False)])
def test_a_class_that_is_hardly_found_is_said_beyond_chance(hits, said):
    actual, right = [40] * 10, [*[39] * 9, hits]
    given = records(FLAT, counts=counted(actual, [*[40] * 9, 40], right), test={"accuracy": sum(right) / 400})
    assert [f.level for f in of_rule(given, "missed")] == (["warn"] if said else [])


def test_a_class_that_a_threshold_of_precision_leaves_aside_is_no_fault():
    actual, right = [200, 200], [199, 20]
    given = {"counts": counted(actual, [380, 20], right), "test": {"accuracy": sum(right) / 400}}
    asked = {**given, "test": given["test"] | {"threshold": "precision>=0.99"}}
    assert [len(of_rule(records(FLAT, **one), "missed")) for one in (given, asked)] == [1, 0]


def test_few_samples_of_a_class_prove_nothing_about_it():
    given = records(FLAT, task=rare(), counts=counted([600, 3], [602, 1], [600, 1]), test={"accuracy": 0.997})
    assert of_rule(given, "missed") == []
    assert len(of_rule(given, "few_of_class")) == 1


def test_a_rare_class_that_is_found_is_not_nothing_learned():
    task = rare(test=(588, 12))
    given = records([0.01, 0.008, 0.007], task=task, counts=counted([588, 12], [588, 12], [582, 6]),
                    test={"accuracy": 0.98, "mean_confidence": 0.98}, best_val_measure=300 / 302)  # fmt: skip
    found = finding(given, "Learning")
    assert (found.rule, found.level) == ("not_more_right", "note")
    assert "is right no more often than guessing" in verdict(given).headline


@pytest.mark.parametrize(("num", "actual", "predicted", "right"), [(20, 5, 4, 3), (20, 5, 4, 0), (12, 8, 9, 6)])
def test_hits_by_chance_are_counted_as_by_hand(num, actual, predicted, right):
    ways = [math.comb(actual, k) * math.comb(num - actual, predicted - k) for k in range(right, min(actual, predicted) + 1)]
    assert hits_by_chance(num, actual, predicted, right) == pytest.approx(sum(ways) / math.comb(num, predicted))


def test_a_guesser_is_neither_calibrated_nor_in_agreement_with_itself():
    test = {"accuracy": 0.1, "mean_confidence": 0.1, "calibration_error": 0.0}
    given = records([GUESS * 1.001] * 8, [GUESS] * 8, test=test, best_val_measure=0.1)
    good = [f.topic for f in verdict(given).findings if f.level == "good"]
    assert good == ["Gradients"]


def tempered(temperature=2.0, val_loss=0.3, scaled=0.25, num_val=200, **more):
    counts = {"train": [100] * 10, "val": [num_val // 10] * 10, "test": [40] * 10}
    task = manifest(class_counts=counts, counts={split: sum(own) for split, own in counts.items()})
    test = {"temperature": temperature, "val_loss": val_loss, "scaled_val_loss": scaled, **more.pop("test", {})}
    return records(FLAT, task=task, test=test, **more)


def test_a_temperature_that_clearly_helps_is_advised_in_place_of_praise():
    said = [found for found in verdict(tempered()).findings if found.topic == "Calibration"]
    assert [(found.rule, found.level) for found in said] == [("temperature", "note")]
    assert commands(said[0]) == ["regatta run evaluate.temperature=used"]
    assert "from 0.3 to 0.25 nats: it should be less sure" in said[0].detail.replace("0.300", "0.3").replace("0.250", "0.25")
    (sharper,) = of_rule(tempered(0.5), "temperature")
    assert "it should be more sure" in sharper.detail


@pytest.mark.parametrize(
    "changes",
    [
        {"scaled": 0.296},  # 1.3 % of the loss
        {"num_val": 30},  # 2 * 30 * 0.05 = 3 < 3.84
        {"settings": {"evaluate.temperature": "used"}},
        {"temperature": 0.5, "test": {"mean_confidence": 0.97}},
        {"temperature": None},
    ],
)
def test_a_temperature_that_is_used_or_hardly_helps_is_not(changes):
    assert of_rule(tempered(**changes), "temperature") == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"temperature": 0.0500001, "scaled": 0.001}, "where the range that was tried ends"),
        ({"temperature": 19.99, "scaled": 0.001}, "where the range that was tried ends"),
        ({"temperature": 0.5, "scaled": 0.001, "num_val": 90}, "but there are only 90 validation samples"),
    ],
)
def test_a_temperature_that_was_not_found_or_rests_on_few_samples_is_not_advised(changes, why):
    given = tempered(**changes)
    assert of_rule(given, "temperature") == []
    (said,) = of_rule(given, "unfitted")
    assert why in said.detail
    assert "it is not advised to use it" in said.detail
    assert commands(said)
    assert "regatta run evaluate.temperature=used" not in commands(said)


def test_where_nothing_is_learned_no_temperature_is_advised():
    test = {"accuracy": 0.1, "mean_confidence": 0.1}
    assert of_rule(tempered(test=test, best_val_measure=0.1), "temperature") == []


OVERFITS = ([*FLAT], [0.01] * len(FLAT))


@pytest.mark.parametrize(
    ("settings", "first"),
    [({}, ["regatta run augment.erase=0.25", "regatta run model.dropout=0.3"]),
     ({"model.dropout": 0.5, "augment.erase": 0.2},
      ["regatta run train.weight_decay=0.03", "regatta run 'model.widths=[128,64]'"]),
     ({"augment.strength": 0.0, "model.dropout": 0.0}, ["regatta run augment=light", "regatta run model.dropout=0.2"]),
     ({"augment.strength": 0.5}, ["regatta run augment.strength=1", "regatta run model.dropout=0.3"]),
     ({"train.limit": 100}, ["regatta run train.limit=null", "regatta run augment.erase=0.25"]),
     ({"model.widths": [], "augment.erase": 0.1}, ["regatta run train.weight_decay=0.03", "regatta study regularisation"])],
)  # fmt: skip
def test_against_overfitting_what_is_not_done_yet(settings, first):
    assert commands(finding(records(*OVERFITS, settings=settings), "Overfitting")) == first


def test_a_limit_that_left_nothing_out_is_not_lifted():
    overfits = partial(records, *OVERFITS)  # 1,600 samples were read, 1,000 are for training
    nothing = finding(overfits(settings={"prepare.limit": 1600, "train.limit": 1000}), "Overfitting")
    assert not any("limit" in command for command in commands(nothing))
    some = finding(overfits(settings={"prepare.limit": 1599, "train.limit": 1000}), "Overfitting")
    assert "regatta run prepare.limit=null" in commands(some)


def test_photos_are_augmented_as_photos():
    given = records(*OVERFITS, task=manifest(shape=[3, 64, 64]), settings={"augment.strength": 0.0})
    assert commands(finding(given, "Overfitting"))[0] == "regatta run augment=photos"


def test_against_underfitting_less_regularisation_then_a_larger_network():
    given = records([0.95 * GUESS] * 10, [0.9 * GUESS] * 10)
    assert commands(finding(given, "Underfitting")) == [
        "regatta run model.dropout=0", "regatta run 'model.widths=[512,256]'"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "first"),
    [({"model.activation": "sigmoid"}, ["regatta run model.activation=relu", "regatta run model.norm=layer"]),
     ({"model.norm": "layer"}, ["regatta run model.activation=leaky_relu", "regatta run 'model.widths=[256]'"]),
     ({"model.norm": "layer", "model.activation": "gelu", "model.init": "xavier"},
      ["regatta run model.init=auto", "regatta run 'model.widths=[256]'"])],
)  # fmt: skip
def test_against_vanishing_gradients(settings, first):
    given = records([0.95 * GUESS] * 10, [0.9 * GUESS] * 10, layers={"a": 0.001, "b": 1.0}, settings=settings)
    assert commands(finding(given, "Gradients")) == first
    assert commands(finding(given, "Underfitting")) == first


def test_against_exploding_gradients_a_bound_where_there_is_none():
    layers = {"a": 300.0, "b": 1.0}
    assert commands(finding(records(FLAT, layers=layers), "Gradients"))[0] == (
        "regatta run train.learning_rate=0.0007 train.clip_norm=1"
    )
    bounded = records(FLAT, layers=layers, settings={"train.clip_norm": 0.5})
    assert commands(finding(bounded, "Gradients"))[0] == "regatta run model.norm=layer"


def test_over_confidence_is_answered_by_smoothing_where_there_is_none():
    sure = {"mean_confidence": 0.99, "calibration_error": 0.06}
    assert commands(finding(records(FLAT, test=sure), "Calibration"))[0] == "regatta run train.label_smoothing=0.1"
    smooth = records(FLAT, test=sure, settings={"train.label_smoothing": 0.1})
    assert commands(finding(smooth, "Calibration"))[0] == "regatta run augment.erase=0.25"
    unsure = {"mean_confidence": 0.8, "calibration_error": 0.13}
    smooth = records(FLAT, test=unsure, settings={"train.label_smoothing": 0.1})
    assert commands(finding(smooth, "Calibration"))[0] == "regatta run train.label_smoothing=0"


def test_what_a_graver_finding_would_undo_is_not_advised():
    unsure = {"mean_confidence": 0.8, "calibration_error": 0.13}
    given = records(*OVERFITS, test=unsure)
    (step,) = [step for step in finding(given, "Calibration").steps if "dropout" in step.command or "erase" in step.command]
    assert (step.text, step.command) == ("Settle first what is said under Overfitting", "regatta run augment.erase=0.25")


def test_a_study_overrules_the_textbook():
    hurts = Effect("model.dropout", 1, helps=False)
    found = finding(records(*OVERFITS, effects=[hurts]), "Overfitting")
    assert "regatta run model.dropout=0.3" not in commands(found)
    helps = replace(hurts, helps=True)
    given = records([0.95 * GUESS] * 10, [0.9 * GUESS] * 10, effects=[helps])
    assert "regatta run model.dropout=0" not in commands(finding(given, "Underfitting"))


def test_where_studies_forbid_all_that_helps_otherwise_they_are_named():
    both = [Effect("train.epochs", way, helps=False) for way in (1, -1)]
    assert commands(finding(records(list(np.geomspace(2.0, 0.5, 20)), effects=both), "Epochs")) == ["regatta study"]


@pytest.mark.parametrize(
    ("source", "given"), [("digits", False), ("idx", True), ("parquet", True)]
)  # fmt: skip
def test_a_test_split_that_came_with_the_data_is_not_cut_anew(source, given):
    settings = {"data.source": source, "data.path": "data/x", "prepare.test_fraction": 0.1}
    if source == "parquet":
        settings["data.split"] = "part"
    task = manifest(counts={"train": 1000, "val": 120, "test": 120})
    made = records(FLAT, task=task, settings=settings)
    assert remedies.test_is_given(made) == given
    assert any("test_fraction" in step.command for step in remedies.larger_test(made)) != given
    assert remedies.another_split(made)[0].command == (
        "regatta runs" if given else "regatta run prepare.split_seed=1"
    )  # fmt: skip


def test_a_test_split_is_never_advised_to_be_so_large_that_nothing_is_left():
    made = records(FLAT, settings={"prepare.val_fraction": 0.6, "prepare.test_fraction": 0.2})
    shares = [step.changes["prepare.test_fraction"] for step in remedies.larger_test(made) if step.changes]
    assert all(share + 0.6 < 1 for share in shares)


def test_of_little_data_no_training_samples_are_taken_for_the_test_split():
    settings = {"data.source": "parquet", "data.path": "data/x", "prepare.test_fraction": 0.2}
    little = {"task": manifest(counts={"train": 34, "val": 10, "test": 10})}
    made = records(FLAT, settings=settings, **little)
    added, folds = remedies.larger_test(made)
    assert added.text == "Add samples to the data; the next regatta run takes them in"
    assert folds.command == "regatta run 'prepare.fold=[1,5]'"
    again = records(FLAT, settings=settings | {"prepare.fold": [5, 5]}, **little)
    assert remedies.larger_test(again)[1].command == "regatta run 'prepare.fold=[1,5]'"
    by_time = records(FLAT, settings=settings | {"data.time": "day"}, **little)
    assert remedies.larger_test(by_time) == [added]


def test_a_step_is_written_as_a_shell_reads_it():
    step = Step("", {"model.widths": [64, 32], "train.limit": None, "train.learning_rate": 1e-5, "train.epochs": 1000000})
    assert step.command == (
        "regatta run 'model.widths=[64,32]' train.limit=null train.learning_rate=1e-05 train.epochs=1000000"
    )


def test_opposed_steps():
    given = records(FLAT, settings={"model.dropout": 0.2})
    more, less = Step("", {"model.dropout": 0.3}), Step("", {"augment.strength": 0.5})
    assert remedies.opposed(given, more, less)
    assert not remedies.opposed(given, more, Step("", {"augment": "light"}))
    assert not remedies.opposed(given, more, Step("", {"train.epochs": 10}))
    assert project({"model.dropout": 0.4}).value("model.dropout") == 0.4


def test_data_that_gives_the_answer_away_is_the_first_thing_said():
    said = "column 'paid' alone says the class of 99 of 100 validation samples (50 are of the most frequent)"
    given = records(FLAT, task=manifest(telling={"said": said, "without": "data.ignore=[paid]"}))
    (found,) = of_rule(given, "telling")
    assert (found.level, found.topic) == ("warn", "Data")
    assert found.detail.startswith("Column 'paid' alone says the class of 99 of 100 validation samples")
    assert verdict(given).headline == (
        "The network learned, but some of the data alone gives the answer away: is it known beforehand?"
    )
    assert verdict(given).next.command == 'regatta run "data.ignore=[paid]"'
    assert of_rule(records(FLAT), "telling") == []


SIMPLE = {"name": "logistic", "words": "logistic regression on the columns", "measure": "accuracy", "score": 1.0,
          "network_score": 0.5, "difference": -0.5, "difference_low": -0.9, "difference_high": 0.1, "p": 0.06,
          "better": "neither", "num_rows": 40, "whole": True, "tried": {"logistic": 1.0}, "trivial": "always a",
          "trivial_score": 0.54}  # fmt: skip


def test_a_network_that_did_not_learn_what_a_simple_method_does_is_not_excused_by_few_samples():
    few = {"task": sized(30, 30), "test": {"accuracy": 0.5, "num_samples": 30}, "best_val_measure": 0.5}
    guess = [0.7, 0.695, 0.69, 0.69]
    alone = verdict(records(guess, **few))
    assert "there are too few samples to tell" in alone.headline
    given = records(guess, **{**few, "test": few["test"] | {"baseline": SIMPLE}})
    said = verdict(given)
    assert said.headline == "The network did not learn, though a simple method did: its training has to change."
    assert "logistic regression on the columns is right on 100.0% of the same samples" in of_rule(given, "unlearned")[0].detail
    assert said.next.changes == {"train.epochs": 80}
    weak = SIMPLE | {"score": 0.56}
    unclear = records(guess, **{**few, "test": few["test"] | {"baseline": weak}})
    assert of_rule(unclear, "unlearned") == []
    # Its numbers are on the page where nothing is shown to be learned, too.
    (beside,) = [found for found in verdict(unclear).findings if found.rule == "baseline"]
    assert beside.detail.startswith(
        "Logistic regression on the columns has accuracy 56.0% on the test samples, the network 50.0%"
    )


def test_a_step_without_a_command_shows_none():
    assert Step("Add samples to the data", words="").command == ""
    module = {"model.arch": "module", "model.name": "airbench", "model.widths": [], "model.dropout": 0.0}
    given = records([0.65] * 6, settings=module | {"model.keys": {"dropout": 0.5, "width": 16}})
    assert [step.command for step in remedies.larger(given)] == ["regatta run model.keys.width=32"]
    (step,) = remedies.larger(records([0.65] * 6, settings=module))
    assert (step.command, "regatta run model.keys.KEY=VALUE" in step.text) == ("", True)


def test_a_module_that_underfits_is_made_larger_by_its_own_key():
    module = {"model.arch": "module", "model.name": "spectrogram", "model.widths": [], "model.dropout": 0.0}
    own = module | {"model.keys": {"width": 16}, "augment.strength": 0.0}
    high = [0.99 * GUESS] * 12
    given = records(high, high, settings=own, effects=[Effect("model.keys.width", 1, True)])
    assert given.project.value("model.keys.width") == 16
    said = finding(given, "Underfitting")
    assert said.headline == "Underfits"
    assert said.steps[0].changes == {"model.keys.width": 32}
    assert remedies.ways(given, said.steps[0]) == {"model.keys.width": 1}
    hurts = records(high, high, settings=own, effects=[Effect("model.keys.width", 1, False)])
    assert all("model.keys.width" not in step.changes for step in finding(hurts, "Underfitting").steps)


def test_only_a_monitor_that_hardly_sees_a_rare_class_is_advised_against():
    for monitor, said in [
        ("val_accuracy", True),
        ("val_macro_f1", False),
        ("val_balanced_accuracy", False),
        ("val_loss", False),
    ]:
        given = records(FLAT, task=rare(), settings={"train.monitor": monitor})
        assert ("Keep the epoch by its loss" in str(for_rare(given))) == said, monitor


TAKEN = {"model.init_from": "20261126-101500-3fa4c0de"}


@pytest.mark.parametrize(
    ("keys", "command"),
    [
        ({"model.freeze": 2}, "train.unfreeze_epoch=5"),
        ({"model.freeze": 2, "train.unfreeze_epoch": 5}, "train.unfreeze_epoch=2"),
        ({"model.freeze": 2, "train.unfreeze_epoch": 2}, "model.freeze=1"),
        ({"model.freeze": 1, "train.unfreeze_epoch": 1}, "model.freeze=0 train.unfreeze_epoch=null"),
    ],
)
def test_against_underfitting_what_is_frozen_is_trained_before_all_else(keys, command):
    given = records([0.95 * GUESS] * 10, [0.9 * GUESS] * 10, settings={"train.epochs": 10, **TAKEN, **keys})
    steps = finding(given, "Underfitting").steps
    assert steps[0].command == f"regatta run {command}"


def test_a_network_with_weights_of_another_run_keeps_its_size():
    frozen = {"model.dropout": 0.0, **TAKEN, "model.freeze": 1}
    given = records([0.95 * GUESS] * 10, [0.9 * GUESS] * 10, settings={"train.epochs": 10, **frozen})
    assert remedies.larger(given) == []
    assert remedies.larger(records(FLAT, settings={"model.dropout": 0.0})) != []
    words = [step.text for step in remedies.flowing(given)]
    assert words == ["Train the frozen blocks, too, in the second half", "Take smaller steps"]
    changes = [step.changes for step in remedies.regularised(given)]
    assert {"train.transferred_rate": 0.3} in changes
    assert not any("model.widths" in each for each in changes)
