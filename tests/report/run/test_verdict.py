import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import FLAT, GUESS, finding, manifest, records, sized

from pipeline.report.run import rules
from pipeline.report.run.records import ClassCounts
from pipeline.report.run.rules.finding import TOPICS
from pipeline.report.run.rules.guessing import guessing_accuracy, guessing_loss
from pipeline.report.run.verdict import HEADLINES, verdict


def test_a_good_training_has_nothing_to_complain_about():
    said = verdict(records(FLAT))
    assert said.level == "good"
    assert said.headline == "The network learned well, with no sign of overfitting."
    assert (
        verdict(records([3 * x for x in FLAT], [2.97 * x for x in FLAT])).headline
        == "The network learned, with no sign of overfitting."
    )
    assert "93.0% of 400 samples" in said.result
    assert [f.level for f in said.findings] == ["good"] * len(said.findings)


def test_guessing_loss_is_that_of_the_training_frequencies_on_validation_samples():
    assert guessing_loss(manifest()) == pytest.approx(GUESS)
    two = manifest(
        class_counts={"train": [900, 100], "val": [1, 1], "test": [30, 10]}, counts={"train": 1000, "val": 2, "test": 40}
    )
    assert guessing_loss(two) == pytest.approx(-(0.5 * np.log(0.9) + 0.5 * np.log(0.1)))
    assert guessing_accuracy(two) == pytest.approx(0.75)


def test_the_only_rare_sample_of_validation_does_not_make_its_loss_worse_than_guessing():
    counts = {"train": [483, 1], "val": [63, 1], "test": [54, 1]}
    rare = manifest(class_counts=counts, counts={s: sum(c) for s, c in counts.items()})
    assert guessing_loss(rare) == pytest.approx(np.log(484) / 64 + 63 / 64 * np.log(484 / 483))
    missing = manifest(class_counts=counts | {"train": [484, 0]}, counts=rare.counts)
    assert guessing_loss(missing) == pytest.approx(np.log(2 * 484) / 64)


def test_where_nothing_is_left_to_gain_there_are_enough_epochs():
    said = finding(records([2e-3, 2e-5], [1e-3, 1e-5]), "Epochs")
    assert (said.level, said.headline) == ("good", "Enough epochs")
    assert finding(records([2.0, 1.0]), "Epochs").headline == "Too few epochs to tell"


def test_two_epochs_by_heart_are_not_told_to_be_more():
    said = verdict(records([1.0, 1.5], [0.5, 0.2]))
    assert "Epochs" not in [one.topic for one in said.findings]
    assert not any("train.epochs" in step.changes for one in said.findings for step in one.steps)


def test_a_class_that_is_frequent_in_training_and_rare_in_the_test_split_is_not_easy_to_beat():
    counts = {"train": [600, 400], "val": [50, 50], "test": [15, 85]}
    assert guessing_accuracy(manifest(class_counts=counts, counts={s: sum(c) for s, c in counts.items()})) == 0.85


def test_guessing_with_several_labels_is_judged_label_by_label():
    counts = {"train": [80, 10], "val": [8, 1], "test": [30, 6]}
    task = manifest(task="multi", class_counts=counts, counts={"train": 100, "val": 10, "test": 40})
    binary = [-(p * np.log(p) + (1 - p) * np.log(1 - p)) for p in (0.8, 0.1)]
    assert guessing_loss(task) == pytest.approx(np.mean(binary))
    assert guessing_accuracy(task) == pytest.approx((30 / 40 + 34 / 40) / 2)
    assert "of the labels of 40 samples" in verdict(records(FLAT, task=task)).result


@pytest.mark.parametrize(("accuracy", "level"), [(0.10, "warn"), (0.12, "warn"), (0.14, "good")])
def test_better_than_guessing_means_the_lower_end_of_the_interval(accuracy, level):
    given = records(FLAT, test={"accuracy": accuracy, "mean_confidence": accuracy}, best_val_measure=accuracy)
    assert finding(given, "Learning").level == level
    if level == "warn":
        assert verdict(given).headline == "The network has learned nothing that guessing does not know."


@pytest.mark.parametrize(
    ("val", "right_val", "test", "right_test", "rule", "level"),
    [(400, 0.66, 30, 0.57, "unconfirmed", "note"), (400, 0.66, 400, 0.57, "unconfirmed", "warn"),
     (30, 0.60, 30, 0.57, "unclear", "warn"), (400, 0.55, 30, 0.57, "unclear", "warn"),
     (30, 0.60, 400, 0.55, "unclear", "warn"), (400, 0.55, 400, 0.55, "learned", "warn"),
     (30, 0.55, 400, 0.70, "learned", "good"), (400, 0.66, 40, 0.90, "learned", "good")],
)  # fmt: skip
def test_learning_is_judged_by_test_and_validation(val, right_val, test, right_test, rule, level):
    measured = {"accuracy": right_test, "mean_confidence": right_test, "num_samples": test}
    said = verdict(records([0.3 * x for x in FLAT], task=sized(val, test), test=measured, best_val_measure=right_val))
    (found,) = [f for f in said.findings if f.topic == "Learning"]
    assert (found.rule, found.level) == (rule, level)
    assert ("learned nothing" in said.headline) == ((rule, level) == ("learned", "warn"))
    assert ("Few test samples" in [f.headline for f in said.findings]) == (test < 100)
    if rule == "unconfirmed" and level == "note":
        assert "(30) to confirm" in found.headline
        assert "prepare.test_fraction=" in found.steps[0].command


def test_a_best_epoch_that_is_the_first_is_not_fine():
    given = records([0.3, 0.31, 0.305, 0.31, 0.31])
    found = finding(given, "Best epoch")
    assert (found.level, found.headline) == ("note", "The first of 5 epochs was the best")
    assert found.steps[0].command == "regatta run train.learning_rate=0.0007"
    assert verdict(given).headline == "The network learned, but no epoch was better than the first."
    assert finding(records([0.3, 0.31]), "Best epoch").level == "good"


def test_a_best_epoch_that_is_no_better_than_guessing_asks_to_act():
    given = records([1.1 * GUESS, 1.2 * GUESS, 1.3 * GUESS], [GUESS] * 3)
    found = finding(given, "Best epoch")
    assert (found.rule, found.level) == ("best_epoch", "warn")
    assert verdict(given).headline == "The network's validation loss is no better than that of guessing."
    assert "Enough epochs" not in [f.headline for f in verdict(given).findings]


def test_a_failed_training_has_nothing_fine_about_learning():
    said = verdict(records(FLAT, state="failed", stop_reason="not_finite"))
    assert not [f.rule for f in said.findings if f.level == "good"]
    failed = finding(records(FLAT, state="failed", stop_reason="not_finite"), "Training")
    assert failed.level == "warn"
    assert failed.steps[0].command == "regatta run train.learning_rate=0.0007 train.clip_norm=1"
    stopped = finding(records(FLAT, state="stopped", stop_reason="signal"), "Training")
    assert [step.command for step in stopped.steps] == ["regatta run"]


@pytest.mark.parametrize(
    "val", [[0.97 * GUESS], [0.97 * GUESS, 0.95 * GUESS], [x * GUESS for x in (1.0, 0.97, 0.94, 0.91, 0.88, 0.85)]]
)
def test_a_loss_that_still_falls_is_too_few_epochs_and_no_underfitting(val):
    said = verdict(records(val, val))
    assert "Underfits" not in [f.headline for f in said.findings]
    assert [f.rule for f in said.findings if f.rule in ("improving", "epochs") and f.level == "note"]


@pytest.mark.parametrize(
    "given",
    [records([0.95 * GUESS] * 10, [0.9 * GUESS] * 10), records([1.0, 0.3, 0.5, 0.8, 0.9], [1.0, 0.29, 0.48, 0.8, 0.9])],
    ids=["underfits", "unstable"],
)  # fmt: skip
def test_enough_epochs_is_not_said_beside_what_makes_it_useless(given):
    assert "Epochs" not in [f.topic for f in verdict(given).findings]


@pytest.mark.parametrize(
    ("gap", "level", "headline"),
    [(0.019, "good", "No sign of overfitting"), (0.021, "note", "Overfits mildly"), (0.099, "note", "Overfits mildly"),
     (0.101, "warn", "Overfits clearly")],
)  # fmt: skip
def test_overfitting_is_graded_by_the_gap_at_the_best_epoch(gap, level, headline):
    clean = [x - gap * GUESS for x in FLAT]
    found = finding(records(FLAT, clean), "Overfitting")
    assert (found.level, found.headline) == (level, headline)
    assert f"{100 * gap:.1f}% of the loss of guessing" in found.detail


def test_validation_samples_that_cost_less_than_training_samples_are_told_as_such():
    detail = finding(records(FLAT, [x + 0.05 * GUESS for x in FLAT]), "Overfitting").detail
    assert "validation samples cost less, by 5.0% of the loss of guessing" in detail
    assert "a gap of" not in detail


def test_of_several_networks_it_is_told_which_numbers_are_of_which():
    one, mean = records(FLAT), replace(records(FLAT), num_networks=2)
    assert verdict(one).mean_of is None
    assert "(of the" not in finding(one, "Splits").detail
    assert verdict(mean).mean_of.startswith("This is a mean of 2 networks: test results")
    detail = finding(mean, "Splits").detail
    assert "validation split (of the first network) and" in detail
    assert detail.endswith("test split (of the mean answer).")


def test_a_rise_after_the_best_epoch_is_overfitting_that_was_not_kept():
    given = records([1.0, 0.4, 0.3, 0.34, 0.35, 0.36], [1.0, 0.4, 0.29, 0.25, 0.22, 0.2])
    found = finding(given, "Overfitting")
    assert (found.level, found.headline) == ("note", "Overfits after epoch 3")
    assert "rose by 17%" in found.detail
    assert verdict(given).headline == "The network learned well; later epochs overfit, and were not kept."


def test_a_tiny_rise_is_noise():
    given = records([0.1, 0.01, 0.012, 0.012, 0.012], [0.1, 0.009, 0.008, 0.007, 0.006])
    assert finding(given, "Overfitting").level == "good"


def test_a_rise_of_both_losses_is_instability_not_overfitting():
    given = records([1.0, 0.3, 0.5, 0.8, 0.9], [1.0, 0.29, 0.48, 0.8, 0.9])
    assert finding(given, "Overfitting").headline == "Training became unstable after epoch 2"
    assert verdict(given).headline == "The network learned, then training became unstable."


@pytest.mark.parametrize(("left", "level"), [(0.49, "good"), (0.51, "note"), (0.79, "note"), (0.81, "warn")])
def test_underfitting_is_what_is_left_of_the_loss_of_guessing(left, level):
    val = [left * GUESS * 1.01] * 10
    assert finding(records(val, [left * GUESS] * 10), "Underfitting").level == level


def test_a_network_that_overfits_is_not_told_to_grow():
    given = records([0.95 * GUESS] * 10, [0.82 * GUESS] * 10)
    found = finding(given, "Underfitting")
    assert found.level == "note"
    assert "larger network would not help" in found.detail
    assert verdict(given).headline == "The network learned, and overfits clearly."


def test_a_gap_while_validation_still_improves_comes_after_the_advice_to_train_longer():
    given = records([1.1, 0.8, 0.7], [0.6, 0.3, 0.1])
    found = finding(given, "Overfitting")
    assert (found.level, found.headline) == ("note", "Overfits, and still gets better")
    assert verdict(given).headline == "The network learned, and was still improving when training ended."
    stopped = records([1.1, 0.8, 0.7], [0.6, 0.3, 0.1], stop_reason="early_stop")
    assert finding(stopped, "Overfitting").headline == "Overfits clearly"


def test_still_falling_at_the_end_means_too_few_epochs():
    falling = list(np.geomspace(2.0, 0.5, 20))
    given = records(falling)
    assert finding(given, "Epochs").headline == "Was still improving"
    assert finding(given, "Epochs").steps[0].command == "regatta run train.epochs=80"
    assert "fell from 1.04 to 0.500" in finding(given, "Epochs").detail
    assert verdict(given).headline == "The network learned, and was still improving when training ended."
    assert finding(records(falling, stop_reason="early_stop"), "Epochs").level == "good"


@pytest.mark.parametrize(
    "val",
    [[*np.geomspace(2.0, 0.5, 20), *[0.5] * 20], [2.0, 1.0, 0.5, 0.5, 0.47, 0.46], [0.02, 0.01, 0.005, 0.004, 0.003, 0.002],
     [*np.geomspace(2.0, 0.5, 20), *[0.6] * 5]],
    ids=["long flat", "hardly falling", "small already", "best before the last fifth"],
)  # fmt: skip
def test_enough_epochs(val):
    assert finding(records(val), "Epochs").level == "good"


def test_a_flat_end_of_an_annealed_run_does_not_hide_that_it_was_too_short():
    val = [1.13, 0.41, 0.25, 0.207, 0.174, 0.170, 0.163, 0.151, 0.149, 0.150, 0.1464, 0.1463]
    assert finding(records(val), "Epochs").headline == "Was still improving"


def test_two_epochs_show_no_trend():
    assert finding(records([1.0, 0.5]), "Epochs").headline == "Too few epochs to tell"


@pytest.mark.parametrize(
    ("first", "level", "headline"),
    [(0.029, "warn", "Gradients vanish"), (0.05, "note", "Gradients fade"), (0.5, "good", "Gradients reach every layer"),
     (200.0, "warn", "Gradients explode"), (0.0, "warn", "Gradients vanish")],
)  # fmt: skip
def test_gradients_are_compared_between_the_first_and_the_last_layer(first, level, headline):
    found = finding(records(FLAT, layers={"dense1": first, "dense2": 3.0, "output": 1.0}), "Gradients")
    assert (found.level, found.headline) == (level, headline)


def test_one_layer_has_no_gradient_finding():
    assert "Gradients" not in [f.topic for f in verdict(records(FLAT, layers={"output": 1.0})).findings]


@pytest.mark.parametrize(
    ("confidence", "error", "level", "headline"),
    [(0.94, 0.02, "good", "Confidence matches accuracy"), (0.97, 0.04, "note", "Over-confident"),
     (1.0, 0.07, "note", "Over-confident"), (0.88, 0.05, "note", "Under-confident"),
     (0.93, 0.12, "note", "Calibrated on average only")],
)  # fmt: skip
def test_calibration(confidence, error, level, headline):
    found = finding(records(FLAT, test={"mean_confidence": confidence, "calibration_error": error}), "Calibration")
    assert (found.level, found.headline) == (level, headline)


def test_large_over_confidence_asks_to_act():
    test = {"accuracy": 0.8, "mean_confidence": 0.95, "calibration_error": 0.15}
    assert finding(records(FLAT, test=test, best_val_measure=0.8), "Calibration").level == "warn"


def test_a_harder_test_split_is_named_only_beyond_chance():
    assert finding(records(FLAT, best_val_measure=0.94), "Splits").level == "good"
    assert finding(records(FLAT, best_val_measure=0.99), "Splits").level == "note"
    assert finding(records(FLAT, best_val_measure=0.80), "Splits").level == "good"


BASELINE = {"name": "pixels", "words": "logistic regression on pixels", "num_rows": 900, "whole": False, "measure": "accuracy",
            "tried": {"logistic regression on pixels": 0.9, "logistic regression on edges": 0.8}, "trivial": "always 'a'",
            "trivial_score": 0.1, "score": 0.9, "network_score": 0.93, "difference": 0.03, "difference_low": 0.01,
            "difference_high": 0.05, "p": 0.012, "better": "network"}  # fmt: skip


def test_each_split_has_its_own_loss_of_guessing():
    rare = sized(300, 400)
    rare = replace(rare, counts={"train": 100, "val": 10, "test": 20},
                   class_counts={"train": [90, 10], "val": [10, 0], "test": [10, 10]})  # fmt: skip
    common, other = -np.log(0.9), -np.log(0.1)
    expected = {"train": 0.9 * common + 0.1 * other, "val": common, "test": (common + other) / 2}
    assert {split: guessing_loss(rare, split) for split in expected} == pytest.approx(expected)


def test_answers_by_a_threshold_are_compared_with_those_by_what_is_likelier_in_words_alone():
    test = {"accuracy": 0.8, "threshold": "recall>=0.9", "baseline": {**BASELINE, "better": "baseline"}}
    given = records(FLAT, test=test)
    assert [f for f in verdict(given).findings if f.rule == "splits"] == [], "validation was answered otherwise"
    found = finding(given, "Baseline")
    assert found.level == "note"
    assert "answers as evaluate.threshold = recall>=0.9 asks" in found.detail
    plain = records(FLAT, test=test | {"threshold": None})
    assert {f.rule: f.level for f in verdict(plain).findings if f.rule in ("splits", "baseline")} == {
        "splits": "note", "baseline": "warn",
    }  # fmt: skip


@pytest.mark.parametrize(("better", "level"), [("network", "good"), ("neither", "note"), ("baseline", "warn")])
def test_a_simple_method_that_does_as_well_is_not_hidden(better, level):
    given = records(FLAT, test={"baseline": {**BASELINE, "better": better}})
    found = finding(given, "Baseline")
    assert found.level == level
    assert bool(found.steps) == (level != "good")
    assert found.detail.startswith(
        "Logistic regression on pixels, fitted on 900 training samples, has accuracy 90.0% on the test samples, the network "
        "93.0%: a difference of +3.0 points (95% interval over the same samples +1.0 points to +5.0 points, p = 0.012"
    )
    assert "logistic regression on pixels 90.0%, logistic regression on edges 80.0%. Always 'a', has 10.0%." in found.detail
    assert (verdict(given).headline == "The network learned, but a simple method does better.") == (better == "baseline")


def test_a_baseline_of_numbers_is_told_in_their_own_words():
    given = {**BASELINE, "measure": "mae", "p": None, "whole": True, "score": 41.0, "network_score": 40.0, "difference": -1.0}
    detail = finding(records(FLAT, test={"baseline": given}), "Baseline").detail
    assert detail.startswith("Logistic regression on pixels has mean error 41.0 on the test samples, the network 40.0")


@pytest.mark.parametrize("found", [None, {"name": None}])
def test_without_a_baseline_nothing_is_said_of_one(found):
    assert "Baseline" not in [f.topic for f in verdict(records(FLAT, test={"baseline": found})).findings]


def test_many_looks_at_the_test_split_are_said():
    assert "Test split" not in [f.topic for f in verdict(records(FLAT, test={"test_reads": 10})).findings]
    assert "11 times" in finding(records(FLAT, test={"test_reads": 11}), "Test split").detail


def test_an_unfinished_run_is_said_first():
    said = verdict(records(FLAT, state="failed", stop_reason="not_finite"))
    assert said.headline.startswith("The run did not finish (failed: not_finite)")


def test_every_headline_belongs_to_a_rule_that_exists():
    rooms = Path(rules.__file__).parent.glob("*.py")
    made = {rule for room in rooms for rule in re.findall(r'Finding\(\s*"(\w+)"', room.read_text())}
    assert {rule for rule, _, _ in HEADLINES} <= made
    assert made == set(TOPICS)


def test_a_perfect_training_loss_divides_by_nothing():
    given = records([0.5, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0])
    assert verdict(replace(given)).level in ("good", "note")


def test_what_to_do_first_belongs_to_the_first_sentence():
    assert verdict(records(FLAT)).next is None
    split = {"train": [100] * 10, "val": [20] * 10, "test": [4] * 10}
    counts = {name: sum(own) for name, own in split.items()}
    few = verdict(records(FLAT, task=manifest(class_counts=split, counts=counts)))
    assert "no sign of overfitting" in few.headline
    assert "test_fraction" in few.next.command
    failed = verdict(records([0.95 * GUESS] * 10, [0.9 * GUESS] * 10, state="failed", stop_reason="not_finite"))
    assert failed.next.command == "regatta run train.learning_rate=0.0007 train.clip_norm=1"
    underfits = verdict(records([0.95 * GUESS] * 10, [0.9 * GUESS] * 10))
    assert underfits.next.command == "regatta run model.dropout=0"


def test_the_page_says_what_the_best_epoch_was_chosen_by():
    chosen = {"monitor": "val_macro_f1", "best_monitored": 0.812, "best_epoch": 4}
    detail = finding(records(FLAT, **chosen), "Best epoch").detail
    assert detail.startswith("Epoch 4 of 10 had the highest validation macro-F1 (0.812) and its weights were kept: loss ")
    by_loss = finding(records(FLAT, best_monitored=0.24), "Best epoch").detail
    assert "had the smallest validation loss and its weights were kept" in by_loss


def by_macro_f1(values, val, best):
    given = records(val, best_epoch=best, monitor="val_macro_f1", best_monitored=values[best - 1])
    return replace(given, curves=replace(given.curves, val_others={"macro_f1": np.array(values)}))


def test_a_monitor_that_did_not_change_is_said_and_smaller_steps_are_not_advised():
    falling = [0.379, 0.36, 0.35, 0.34, 0.33, 0.32]
    for best in (1, 6):  # as it was kept before the loss decided, and now
        found = finding(by_macro_f1([0.466] * 6, falling, best), "Best epoch")
        assert (found.level, found.headline) == ("note", "Validation macro-F1 did not change in any epoch")
        assert "macro-F1 (0.466)" in found.detail
        assert "the validation loss fell" in found.detail
        assert "train.epochs" in str(found.steps)
        assert "Take smaller steps" not in [step.text for step in found.steps]
    perfect = finding(by_macro_f1([1.0] * 6, falling, 6), "Best epoch")
    assert (perfect.level, perfect.headline) == ("good", "Best at epoch 6 of 6")


def test_where_the_loss_fell_after_the_kept_first_epoch_its_loss_decides_rather_than_smaller_steps():
    found = finding(by_macro_f1([0.5, 0.4, 0.4, 0.4], [0.5, 0.4, 0.35, 0.3], 1), "Best epoch")
    assert found.headline == "The first of 4 epochs was the best"
    assert "the validation loss fell on, to 0.300 at epoch 4" in found.detail
    assert found.steps[0].changes == {"train.monitor": "val_loss"}
    rising = finding(by_macro_f1([0.5, 0.4, 0.4, 0.4], [0.5, 0.6, 0.6, 0.7], 1), "Best epoch")
    assert rising.steps[0].text == "Take smaller steps"


def test_what_the_splits_class_shares_explain_is_no_overfitting():
    """Guessing costs 0.303 in training and 0.405 in validation, where more samples are of the rare class."""
    sizes = {"train": [910, 90], "val": [86, 14], "test": [182, 18]}
    task = manifest(classes=["well", "ill"], class_counts=sizes, counts={name: sum(own) for name, own in sizes.items()})
    guess = [guessing_loss(task, split) for split in ("train", "val")]
    assert guess == pytest.approx([0.3025, 0.4182], abs=1e-3)
    given = records([0.41, 0.40, 0.39], [0.29, 0.285, 0.283], task=task)
    found = finding(given, "Overfitting")
    assert found.headline == "No sign of overfitting", "0.107 is 26 % of guessing's loss, though both are at 93 % of their own"
    assert "93.3% of that of guessing there (0.418)" in found.detail
    overfitted = finding(records([0.41, 0.40, 0.39], [0.29, 0.25, 0.2], task=task), "Overfitting")
    assert overfitted.headline == "Overfits clearly"


def hardly_trained():
    """21 sounds of three classes in 20 steps, the validation loss a noise of three samples."""
    sizes = {"train": [8, 5, 8], "val": [1, 1, 1], "test": [1, 1, 1]}
    task = manifest(classes=["a", "b", "c"], class_counts=sizes, counts={name: sum(own) for name, own in sizes.items()})
    clean = list(np.linspace(0.955, 0.936, 20) * guessing_loss(task, "train"))
    val = [0.94 * guessing_loss(task)] + [1.06 * guessing_loss(task)] * 19
    counts = ClassCounts(np.array([1, 1, 1]), np.array([3, 0, 0]), np.array([1, 0, 0]))
    return records(
        val, clean, task=task, counts=counts, test={"accuracy": 1 / 3}, best_val_measure=1 / 3, settings={"model.dropout": 0.0}
    )


def test_a_network_that_hardly_trained_is_to_train_more_and_to_be_augmented_less():
    said = verdict(hardly_trained())
    found = next(f for f in said.findings if f.rule == "underfitting")
    assert "does not carry over" not in found.detail
    assert [list(step.changes) for step in found.steps] == [["train.epochs"], ["augment.strength"]]
    steps = [step for each in said.findings for step in each.steps]
    assert not any({"augment", "augment.noise", "train.weight_decay", "model.dropout"} & step.changes.keys() for step in steps)


def test_classes_that_are_frequent_in_training_are_not_called_rare():
    found = next(f for f in verdict(hardly_trained()).findings if f.rule == "never_predicted")
    assert (found.level, found.headline) == ("note", "2 of 3 classes never predicted")
    assert "rare" not in str(found.steps)
    assert found.steps[0].text == "Train longer"
