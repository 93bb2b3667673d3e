"""What a study says of its variants: every verdict, in words, and what was expected."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
import pytest

from pipeline.metrics import METRICS, Judged
from pipeline.schema.study import StudyDefinition
from pipeline.study.effects import VERDICTS, Outcome, as_expected, effects
from pipeline.study.result import Result
from pipeline.study.statistics import holm, overlap_of, paired_difference


@dataclass(frozen=True)
class Variant:
    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    against: str = "baseline"
    start: str | None = None


def Definition(**keys):
    return StudyDefinition(question="Does it help?", seeds=1, **keys)


BASELINE = Variant("baseline", {"train.epochs": 5}, "")
NOISE = np.random.default_rng(0).normal(0, 0.002, size=(4, 8))
NOISE += 0.0003 - NOISE.mean(axis=1, keepdims=True)
FAILED = None


def outcome(variant, seed, value, accepted=False, metric="val_loss", **more):
    failure = "the loss was not finite in epoch 2" if value is None else None
    metrics = {"val_loss": 0.5, "val_accuracy": 0.9, "best_epoch": 3.0, metric: value, "seconds": 2.0 + seed}
    result = {"hash": f"{variant}{seed}", "failure": failure, "device": "cpu", "metrics": metrics} | more
    return Outcome(variant, seed, Result.from_json(result), accepted)


def study(values, definition=None, variants=None, **more):
    """The effects of {variant: its value per seed}."""
    variants = variants or [BASELINE, *(Variant(name, {"model.dropout": 0.0}) for name in values if name != "baseline")]
    metric = (definition or Definition()).metric
    outcomes = [outcome(n, s, v, metric=metric, **more) for n, row in values.items() for s, v in enumerate(row)]
    return effects("s", definition or Definition(), variants, outcomes)


def around(shift, row=1, num=8, base=0.5):
    """`num` seeds, each like the baseline's but for a shift and some noise."""
    return [base + 0.01 * seed + shift + (NOISE[row][seed] if row else 0.0) for seed in range(num)]


def one(shift, num=8, **definition):
    found = study({"baseline": around(0, 0, num), "v": around(shift, num=num)}, Definition(**definition))
    json.dumps(found, allow_nan=False)
    return found["variants"][0], found["sentences"][0]


@pytest.mark.parametrize(
    ("shift", "definition", "verdict", "text"),
    [(0.02, {}, "hurts", r"v hurts: validation loss \+0\.0203 \[0\.01\d+, 0\.02\d+\], 8 seeds, p < 0\.0001 \(Holm\)"),
     (-0.02, {}, "helps", r"v helps: validation loss -0\.0197 \[-0\.02\d+, -0\.01\d+\], 8 seeds, p < 0\.0001 \(Holm\)"),
     (0.02, {"metric": "val_accuracy"}, "helps", r"v helps: validation accuracy \+0\.0"),
     (0.02, {"metric": "last_gap"}, "hurts", r"v hurts: generalisation gap of the last epoch \+0\.0"),
     (0.0, {}, "no evidence",
      r"v: no evidence, validation loss \+0\.00030 \[-0\.00\d+, 0\.00\d+\], 8 seeds, p = 0\.\d+ \(Holm\)"),
     (0.02, {"metric": "best_epoch"}, "more", r"v: more, best epoch \+0\.0"),
     (-0.02, {"metric": "best_epoch"}, "less", r"v: less, best epoch -0\.0"),
     (0.0, {"margin": 0.01}, "equivalent",
      r"v is equivalent within 0\.01: validation loss \S+ \[\S+ \S+\], 8 seeds, p [=<] \S+ \(two one-sided tests, Holm\)"),
     (0.004, {"margin": 0.01}, "equivalent", r"v is equivalent within 0\.01: validation loss \+0\.00")],
)  # fmt: skip
def test_every_verdict_of_differences(shift, definition, verdict, text):
    variant, sentence = one(shift, **definition)
    assert variant["verdict"] == verdict
    assert verdict in VERDICTS
    assert re.match(text, sentence), sentence


def test_a_significant_difference_below_the_margin_is_equivalent():
    variant, _ = one(0.004, margin=0.01)
    assert variant["p_holm"] < 0.05
    assert variant["p_equivalent_holm"] < 0.05
    assert one(0.004)[0]["verdict"] == "hurts"


@pytest.mark.parametrize("num", [1, 2])
def test_too_few_seeds_show_the_difference_alone(num):
    variant, sentence = one(0.0136, num=num)
    assert (variant["verdict"], variant["p"], variant["interval"], variant["bootstrap"]) == ("too few seeds", None, None, None)
    assert re.fullmatch(rf"v: too few seeds for a verdict \({num}; 3 are needed\), validation loss \+0\.01\d\d", sentence)


def folded(values, **more):
    """The effects of {variant: rows of a fold's seeds}, judged on the folds' test parts."""
    outcomes = [
        replace(outcome(name, seed, value, metric="test_loss", hash=f"{name}{fold}{seed}"), fold=fold)
        for name, folds in values.items()
        for fold, row in enumerate(folds, start=1)
        for seed, value in enumerate(row)
    ]
    variants = [BASELINE, *(Variant(name, {"model.dropout": 0.0}) for name in values if name != "baseline")]
    return effects("s", Definition(folds=len(values["baseline"]), **more), variants, outcomes)


def test_where_folds_leave_it_open_more_folds_are_advised():
    noise = np.random.default_rng(1).normal(0.5, 0.1, (2, 3, 1))
    found = folded({"baseline": noise[0].tolist(), "v": noise[1].tolist()})
    assert found["advice"] == [
        {"text": "3 folds leave open v; more folds may tell", "command": "regatta study s study.folds=6"}
    ]


def test_folds_are_compared_fold_by_fold_on_their_test_parts():
    rng = np.random.default_rng(0)
    base = rng.normal(0.5, 0.1, (5, 2))
    own = base + 0.05 + rng.normal(0, 0.01, (5, 2))
    found = folded({"baseline": base.tolist(), "v": own.tolist()}, margin=0.2)
    [variant] = found["variants"]
    expected = paired_difference(own.mean(1), base.mean(1), 0.2, overlap_of(5))
    assert (found["metric"], found["folds"], found["seeds"]) == ("test_loss", 5, [0, 1])
    assert found["correction"] == "overlapping training sets of the folds (Nadeau and Bengio 2003)"
    assert variant["differences"] == pytest.approx((own - base).mean(1))
    assert variant["interval"] == pytest.approx(expected.interval)
    assert (variant["p"], variant["p_equivalent"]) == pytest.approx((expected.p, expected.p_equivalent))
    assert (variant["num_folds"], variant["num_seeds"], variant["bootstrap"]) == (5, 2, None)
    assert variant["verdict"] == "equivalent"
    assert "5 folds x 2 seeds, p" in found["sentences"][0]
    assert any("Nadeau and Bengio 2003" in note for note in found["notes"])


def test_a_run_that_failed_is_told_with_its_fold():
    rows = {"baseline": [[0.5, 0.6]] * 4, "v": [[0.5, 0.61], [None, 0.6], [0.52, 0.6], [None, None]]}
    found = folded(rows)
    [variant] = found["variants"]
    assert (variant["verdict"], variant["num_failed"], variant["num_folds"]) == ("failed", 3, 3)
    assert variant["differences"] == pytest.approx([0.005, 0.0, 0.01]), "of a fold the seeds that both have finished"
    assert "failed: v (seed 0 of fold 2, seed 0 of fold 4, seed 1 of fold 4): the loss" in found["sentences"][1]
    two = folded({"baseline": [[0.5]] * 3, "v": [[0.5], [0.6], [None]]})["variants"][0]
    assert two["verdict"] == "failed"


def test_the_numbers_are_those_of_the_statistics():
    rows = {"baseline": around(0, 0), "a": around(0.01, 1), "b": around(0.001, 2), "c": around(-0.02, 3)}
    found = study(rows, Definition(margin=0.01))
    expected = [paired_difference(rows[name], rows["baseline"], 0.01) for name in "abc"]
    for variant, own, p, inside in zip(
        found["variants"], expected, holm([e.p for e in expected]), holm([e.p_equivalent for e in expected]), strict=True
    ):
        assert (variant["difference"], variant["interval"]) == (own.mean, list(own.interval))
        assert (variant["p"], variant["p_holm"]) == (own.p, p)
        assert (variant["p_equivalent"], variant["p_equivalent_holm"]) == (own.p_equivalent, inside)
        assert variant["bootstrap"][0] < own.mean < variant["bootstrap"][1]
        assert variant["differences"] == list(own.differences)
    assert found["baseline"]["mean"] == pytest.approx(np.mean(rows["baseline"]))
    assert found["variants"][0]["mean"] == pytest.approx(np.mean(rows["a"]))
    assert (found["seeds"], found["num_cells"], found["num_failed"], found["num_accepted"]) == ([*range(8)], 32, 0, 0)
    assert found["baseline"]["changes"] == {"train.epochs": 5}


def test_other_metrics_have_differences_and_no_verdict():
    variant = one(0.02)[0]
    assert set(variant["others"]) == {"val_accuracy", "best_epoch", "seconds"}
    assert variant["others"]["seconds"] == {"mean": 5.5, "difference": 0.0, "interval": None}
    found = study({"baseline": around(0, 0), "v": around(0.02)}, metrics={"val_loss": 0.5, "test_loss": 0.25, "gap": None})
    assert found["variants"][0]["others"] == {"test_loss": {"mean": 0.25, "difference": 0.0, "interval": None}}
    assert found["baseline"]["others"] == {"test_loss": {"mean": 0.25}}


def test_a_variant_is_compared_with_the_one_it_names():
    rows = {"baseline": around(0, 0), "wide": around(-0.1, 1), "wide+no-dropout": around(-0.08, 2)}
    variants = [BASELINE, Variant("wide"), Variant("wide+no-dropout", {}, "wide")]
    found = study(rows, variants=variants)
    assert [v["verdict"] for v in found["variants"]] == ["helps", "hurts"]
    assert found["variants"][1]["difference"] == pytest.approx(0.02, abs=0.003)
    assert found["sentences"][1].startswith("wide+no-dropout hurts (against wide): validation loss +0.0")


def without(row, *seeds):
    return [FAILED if seed in seeds else value for seed, value in enumerate(row)]


def test_a_variant_that_fails_never_helps():
    found = study({"baseline": around(0, 0), "v": without(around(-0.05), 1, 6)})
    variant = found["variants"][0]
    assert (variant["verdict"], variant["num_failed"], variant["num_seeds"]) == ("failed", 2, 6)
    assert found["sentences"][0].startswith("v failed on 2 of 8 seeds; on the others: validation loss -0.0")
    assert found["sentences"][1] == "failed: v (seeds 1, 6): the loss was not finite in epoch 2"
    equal = study({"baseline": around(0, 0), "v": without(around(0), 1)}, Definition(margin=0.1))
    assert equal["variants"][0]["verdict"] == "failed"


def test_a_variant_that_hurts_and_fails_does_both():
    found = study({"baseline": around(0, 0), "v": without(around(0.05), 2)})
    assert found["variants"][0]["verdict"] == "hurts"
    assert found["sentences"][0].endswith("(Holm); failed on 1 of 8 seeds")


def test_a_variant_that_fails_everywhere():
    found = study({"baseline": around(0, 0), "v": [FAILED] * 8})
    variant = found["variants"][0]
    assert (variant["verdict"], variant["difference"], variant["mean"], variant["num_seeds"]) == ("failed", None, None, 0)
    assert found["sentences"][0] == "v failed on 8 of 8 seeds"
    json.dumps(found, allow_nan=False)


def test_a_baseline_that_fails_is_no_fault_of_its_variants():
    found = study({"baseline": without(around(0, 0), 3), "v": around(-0.05)})
    assert (found["variants"][0]["verdict"], found["variants"][0]["num_seeds"]) == ("helps", 7)
    assert found["baseline"]["num_failed"] == 1
    nothing = study({"baseline": [FAILED] * 8, "v": around(-0.05), "w": [FAILED] * 8})
    assert [v["verdict"] for v in nothing["variants"]] == ["too few seeds", "failed"]
    assert nothing["sentences"][0] == "v: too few seeds for a verdict (0; 3 are needed)"
    assert nothing["baseline"]["mean"] is None


def test_each_failure_is_told_once_with_its_runs():
    rows = {"baseline": around(0, 0), "v": without(around(0), 1), "w": without(around(0), 1, 2)}
    found = study(rows)
    told = [line for line in found["sentences"] if line.startswith("failed")]
    assert told == ["failed: v (seed 1), w (seeds 1, 2): the loss was not finite in epoch 2"]
    assert found["failures"][0] == {"variant": "v", "seed": 1, "fold": None, "failure": "the loss was not finite in epoch 2"}


def test_a_finished_run_without_the_metric_counts_as_failed():
    found = study({"baseline": around(0, 0), "v": around(0)}, Definition(metric="last_gap"), metrics={"last_gap": None})
    assert found["num_failed"] == 16
    assert found["failures"][0]["failure"] == "no value of the metric"


@pytest.mark.parametrize(
    ("said", "expected", "agrees"),
    [("helps", "helps", True), ("hurts", "helps", False), ("equivalent", "helps", False), ("failed", "helps", False),
     ("failed", "failed", True), ("failed", "hurts", None), ("failed", "equivalent", False),
     ("no evidence", "no evidence", True), ("helps", "no evidence", False),
     ("no evidence", "helps", None), ("too few seeds", "helps", None), ("helps", None, None)],
)  # fmt: skip
def test_no_evidence_contradicts_nothing(said, expected, agrees):
    assert as_expected(said, expected) is agrees


def test_the_expected_finding_is_told():
    rows = {"baseline": around(0, 0), "a": around(0.02), "b": around(0, 2)}
    found = study(rows, Definition(finding="Dropout helps.", expected={"a": "hurts"}))
    assert found["sentences"][0].endswith("; expected: hurts")
    assert found["sentences"][-1] == "expected finding: Dropout helps; the runs agree"
    open_still = study(rows, Definition(expected={"a": "hurts", "b": "helps"}))
    assert open_still["sentences"][1].endswith("; expected: helps, which is still open")
    assert open_still["agreement"] == "still open: b"
    wrong = study(rows, Definition(expected={"a": "helps", "b": "helps"}))
    assert wrong["sentences"][0].endswith("; expected: helps, which these runs contradict")
    assert wrong["sentences"][-1] == "expected verdicts: the runs contradict it: a"
    assert study(rows)["agreement"] is None


def test_accepted_results_and_other_devices_are_noted():
    outcomes = [outcome("baseline", s, v, device="cuda") for s, v in enumerate(around(0, 0))]
    outcomes += [outcome("v", s, v, accepted=s < 3) for s, v in enumerate(around(0))]
    found = effects("s", Definition(), [BASELINE, Variant("v")], outcomes)
    assert found["num_accepted"] == 3
    assert found["notes"] == [
        "3 of 16 runs were computed by older code, which was accepted",
        "the runs were computed on different devices: cpu, cuda",
    ]
    assert found["sentences"][1:] == found["notes"]


def test_neither_side_of_the_best_epoch_is_better():
    assert "best epoch: more is neither better nor worse than less" in study(
        {"baseline": around(0, 0), "v": around(1)}, Definition(metric="best_epoch")
    )["notes"]  # fmt: skip


def test_the_same_difference_on_every_seed_has_no_interval():
    found = study({"baseline": [3.0, 4.0, 5.0], "v": [2.0, 3.0, 4.0]}, Definition(metric="best_epoch"))
    assert found["sentences"][0] == "v: no evidence, best epoch -1.00 on every seed, 3 seeds, p = 0.25 (Holm)"


@pytest.mark.parametrize("scale", [1e-14, 1e-5, 1.0, 1e4, 1e30])
def test_numbers_of_any_size_are_told(scale):
    text = study({"baseline": [scale * v for v in around(0, 0)], "v": [scale * v for v in around(0.1)]})["sentences"][0]
    assert len(text) < 110, text


def test_every_metric_of_a_study_has_words():
    for metric in get_args(Judged):
        found = study({"baseline": around(0, 0), "v": around(0.02)}, Definition(metric=metric))
        assert METRICS[metric].words in found["sentences"][0]


def test_no_words_of_ours_reach_the_user():
    rows = {"baseline": without(around(0, 0), 1), "a": around(0.02), "b": without(around(0), 2), "c": [FAILED] * 8}
    text = " ".join(study(rows, Definition(expected={"a": "helps"}))["sentences"])
    assert not re.search(r"\b(lane|pack|cell|view)s?\b", text)


def test_effects_are_read_without_torch_and_in_no_time():
    code = (
        "import sys, pipeline.study.effects, pipeline.study.tables; assert not {'torch', 'scipy', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
