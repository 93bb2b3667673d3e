"""Another start is proposed where training samples are few and there is room above, and nowhere else."""

import pytest
from made_up import PARAMS, manifest, records

from pipeline.report.run.records import starts_compared
from pipeline.report.run.rules.start import another_start
from pipeline.report.run.verdict import verdict

FOLDER = {"data.source": "folder", "data.path": "data/x"}
VAL = [1.5, 1.0, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6]


def said(val=VAL, num=150, kind=None, settings=FOLDER, accuracy=0.8, started=False, **run):
    """The findings about the start; num: training samples of each of ten classes. kind: of the dataset, by the rule alone."""
    counts = {"train": [num] * 10, "val": [20] * 10, "test": [40] * 10}
    task = manifest(class_counts=counts, counts={name: sum(own) for name, own in counts.items()}, **(kind or {}))
    test = {"accuracy": accuracy, "mean_confidence": accuracy}
    found = records(val, task=task, settings=settings, test=test, **run)
    found = found.__class__(**{**vars(found), "started_elsewhere": started})
    every = another_start(found) if kind else verdict(found).findings
    return [finding for finding in every if finding.rule == "start"]


def test_of_few_samples_the_study_is_proposed_with_its_command():
    [finding] = said()
    assert (finding.level, finding.topic) == ("note", "Training samples")
    assert finding.headline == "Few training samples: another start may help"
    assert finding.detail.startswith("1,500 training samples are few to start from nothing with.")
    assert [step.command for step in finding.steps] == ["regatta study transfer"]
    assert "or says how one is made" in finding.steps[0].text


@pytest.mark.parametrize(
    "given",
    [
        {"num": 500},
        {"started": True},
        {"accuracy": 0.985},
        {"val": [1.0, 0.1, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02]},
        {"settings": {"data.source": "digits"}},
        {"kind": {"kind": "table", "shape": [8]}},
        {"kind": {"task": "multi"}},
        {"state": "stopped", "stop_reason": "signal"},
        {"val": [2.2, 1.9, 1.7, 1.5, 1.3, 1.1, 0.9, 0.7]},
    ],
    ids=["many", "started", "ceiling", "nothing left", "embedded", "table", "several labels", "stopped", "improving"],
)
def test_where_it_can_not_help_or_something_else_comes_first_nothing_is_said(given):
    assert said(**given) == []


def test_texts_mean_the_same_elsewhere():
    assert PARAMS["data"]["kind"] == "image"
    assert said(kind={"kind": "audio"})
    assert said(kind={"kind": "text"})


def test_a_study_of_this_dataset_that_compared_starts_has_asked():
    asked = {"basis": {"dataset": "b"}, "variants": [{"changes": {"model.init_from": "run-1"}}]}
    other = {"basis": {"dataset": "b"}, "variants": [{"changes": {"model.dropout": 0.1}}]}
    assert starts_compared([other, asked], "b")
    assert not starts_compared([other, asked], "c")
    assert not starts_compared([other], "b")
