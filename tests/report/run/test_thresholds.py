"""What the page says of thresholds that a rule chose."""

import pytest
from made_up import FLAT, finding, manifest, records

from pipeline.report.run.rules.finding import Finding
from pipeline.report.run.verdict import result, verdict


def two(val: tuple[int, int]):
    """Two classes, of which the second is rare."""
    counts = {"train": [900, 9 * val[1]], "val": list(val), "test": [300, max(1, 3 * val[1])]}
    return manifest(classes=["ham", "spam"], class_counts=counts, counts={name: sum(c) for name, c in counts.items()})


def said(given) -> list[Finding]:
    return [f for f in verdict(given).findings if f.topic == "Threshold"]


@pytest.mark.parametrize(("num", "level"), [(1, "warn"), (4, "warn"), (5, "note"), (19, "note"), (20, None)])
def test_a_threshold_of_few_samples_is_said_with_their_number(num, level):
    found = said(records(FLAT, task=two((300, num)), test={"threshold": "f1"}))
    assert [f.level for f in found] == ([level] if level else [])
    if found:
        plural = "1 sample" if num == 1 else f"{num} samples"
        assert found[0].headline == f"A threshold rests on {plural}"
        of = "1 validation sample" if num == 1 else f"{num} validation samples"
        assert f"the threshold was chosen on {of} of spam:" in found[0].detail


@pytest.mark.parametrize("threshold", [None, "balanced"])
def test_what_is_not_chosen_on_samples_needs_none(threshold):
    assert said(records(FLAT, task=two((300, 1)), test={"threshold": threshold})) == []


def test_of_two_classes_the_rarer_one_decides():
    task = manifest(classes=["bad", "good"], class_counts={"train": [20, 900], "val": [2, 300], "test": [5, 300]},
                    counts={"train": 920, "val": 302, "test": 305})  # fmt: skip
    (found,) = said(records(FLAT, task=task, test={"threshold": "costs"}))
    assert (found.level, found.headline) == ("warn", "A threshold rests on 2 samples")
    assert "on 2 validation samples of bad:" in found.detail


def test_rare_labels_that_share_a_threshold_count_together():
    def several(rare: list[int]):
        counts = {split: [200, *rare] for split in ("train", "val", "test")}
        names = {"classes": ["often", *(f"rare {i}" for i in range(len(rare)))], "task": "multi"}
        return manifest(**names, class_counts=counts, counts=dict.fromkeys(counts, 400))

    (found,) = said(records(FLAT, task=several([3, 4]), test={"threshold": "f1"}))
    assert "the threshold was chosen on 7 validation samples of rare 0, rare 1 together:" in found.detail
    assert said(records(FLAT, task=several([12, 8]), test={"threshold": "f1"})) == []


def test_what_mends_it_is_a_larger_validation_split_where_the_class_has_so_many():
    task = two((300, 10))  # 90 in training, 30 in test: 130 in all
    own = {"prepare.val_fraction": 0.1, "prepare.test_fraction": 0.1, "data.source": "folder", "data.path": "data/x"}
    counts = {"train": [2400, 90], "val": [300, 10], "test": [300, 10]}
    task = manifest(classes=task.classes, class_counts=counts, counts={name: sum(c) for name, c in counts.items()})
    (found,) = said(records(FLAT, task=task, test={"threshold": "f1"}, settings=own))
    assert found.steps[0].changes == {"prepare.val_fraction": 0.2}
    given = said(records(FLAT, task=task, test={"threshold": "f1"}, settings=own | {"data.val_path": "data/y"}))
    assert "prepare.val_fraction" not in str(given[0].steps)


COST = {"threshold": "costs", "cost": 0.1, "cost_low": 0.08, "cost_high": 0.12, "likelier_cost": 0.3, "constant_cost": 0.5}


def test_costs_are_told_beside_those_of_simpler_answers():
    found = finding(records(FLAT, test=COST | {"abstained": 0.25, "risk": 0.02}), "Costs")
    assert (found.level, found.headline) == ("good", "Its answers are worth their costs")
    assert "A sample costs 0.100 on average (95% interval 0.0800 to 0.120)" in found.detail
    assert "by what is likelier it would cost 0.300, with one answer for all samples 0.500" in found.detail
    assert "25.0% of the answers are left open; of the others 2.0% are wrong." in found.detail
    worse = finding(records(FLAT, test=COST | {"constant_cost": 0.1}), "Costs")
    assert (worse.level, worse.headline) == ("note", "One answer for all samples costs no more")
    assert worse.steps
    assert not [f for f in verdict(records(FLAT)).findings if f.topic == "Costs"]


def test_the_result_says_what_is_left_open():
    given = records(FLAT, test=COST | {"abstained": 1.0, "risk": None})
    assert result(given.manifest, given.test).endswith("It would leave 100.0% of these answers open.")
    assert "none is given" in finding(given, "Costs").detail
    none = records(FLAT, test=COST | {"abstained": 0.0, "risk": 0.1})
    assert result(none.manifest, none.test).endswith("It would leave none of these answers open.")


def test_costs_are_told_though_nothing_was_learned():
    nothing = {"accuracy": 0.1, "mean_confidence": 0.1, "cost": 0.0714, "constant_cost": 0.0714, "likelier_cost": 0.0714}
    given = records([2.31] * 6, test=COST | nothing, best_val_measure=0.1)
    assert finding(given, "Learning").level == "warn"
    found = finding(given, "Costs")
    assert found.headline == "One answer for all samples costs no more"
    assert "A sample costs 0.0714 on average" in found.detail


def test_of_two_classes_each_sort_of_mistake_is_said_with_its_price():
    task = manifest(classes=["alarm", "ok"], class_counts={s: [200, 200] for s in ("train", "val", "test")},
                    counts=dict.fromkeys(("train", "val", "test"), 400))  # fmt: skip
    prices = {"evaluate.threshold": "costs", "evaluate.costs": {"false_negative": 9.0}}
    found = finding(records([0.3, 0.2, 0.1], task=task, test=COST, settings=prices), "Costs")
    assert (
        "A false positive, 'alarm' taken for 'ok', costs 1.00; a false negative, 'ok' taken for 'alarm', 9.00." in found.detail
    )
    assert "taken for" not in finding(records(FLAT, test=COST), "Costs").detail
