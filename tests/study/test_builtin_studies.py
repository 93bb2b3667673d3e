"""The studies that come along: they fit the digits, and their findings are those that are recorded and shown."""

from pathlib import Path

import pytest

from pipeline.config import composed
from pipeline.study.effects import UNDECIDED
from pipeline.study.plan import problems, variants
from pipeline.study.statistics import FEWEST_SEEDS

ROOT = Path(__file__).resolve().parents[2]
STUDIES = ["activations", "batch-size", "epochs", "learning-rate", "regularisation"]
EXPECTING = ["findings_digits", "findings_fashion"]
ASKING = {"findings_sms": "text-augmentation", "findings_spoken_digits": "audio-augmentation"}
"""Rows of the studies that ask without expecting."""


@pytest.fixture(scope="module")
def findings():
    """benchmarks/ is no package of the tests' path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        from benchmarks import findings

        yield findings


@pytest.fixture(scope="module")
def recorded(findings):
    from benchmarks.table import measured

    return {name: row for name, row in measured().items() if name.startswith("findings_")}


@pytest.fixture(scope="module")
def rows(recorded):
    return {name: recorded[name] for name in EXPECTING}


def test_which_studies_say_what_they_expect(findings):
    assert list(findings.expecting()) == STUDIES


@pytest.mark.parametrize("name", STUDIES)
def test_an_expecting_study_fits_the_digits_and_can_be_decided(name, findings, digits):
    definition = findings.expecting()[name]
    assert problems(definition, composed(ROOT / "conf"), digits.manifest) == []
    assert definition.expected.keys() <= {variant.name for variant in variants(definition) if variant.against}
    assert definition.finding
    assert definition.seeds >= FEWEST_SEEDS
    assert not set(definition.expected.values()) & set(UNDECIDED), "no number of runs shows that there is nothing"


@pytest.mark.parametrize("name", STUDIES)
def test_what_is_recorded_is_of_the_study_as_it_is(name, findings, rows):
    definition = findings.expecting()[name]
    for row in rows.values():
        _is_of(row["ours"][name], definition)


def test_what_is_recorded_of_those_that_only_ask_is_of_the_study_as_it_is(findings, recorded):
    asking = recorded.keys() - set(EXPECTING)
    assert asking <= ASKING.keys(), "a row that no test looks at"
    assert "findings_sms" in asking
    for row in asking:
        [(name, found)] = recorded[row]["ours"].items()
        assert name == ASKING[row]
        _is_of(found, findings.built_in()[name])


def _is_of(found, definition):
    assert (found["question"], found["finding"] or "") == (definition.question, definition.finding or "")
    assert list(found["variants"]) == [variant.name for variant in variants(definition) if variant.against]
    expected = {variant: own["expected"] for variant, own in found["variants"].items() if own["expected"]}
    assert expected == definition.expected
    assert found["num_runs"] == definition.seeds * len(variants(definition))


@pytest.mark.parametrize("name", STUDIES)
def test_the_table_shows_what_was_expected_and_what_came_out(name, findings, rows):
    [shown] = [part for part in (ROOT / "RESULTS.md").read_text().split("\n### ") if part.startswith(f"{name}\n")]
    for row in rows.values():
        found = row["ours"][name]
        assert found["agreement"] in shown
        assert found["finding"] in shown
        told = dict(zip(found["variants"], found["sentences"], strict=False))
        for variant, own in found["variants"].items():
            assert (told[variant] in shown) == bool(own["expected"] and not own["as_expected"])


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_the_digits_say_what_is_recorded(name, findings, rows, monkeypatch):
    from benchmarks.harness import _processor, _versions

    monkeypatch.delenv("REGATTA_RUNS", raising=False)
    row = rows["findings_digits"]
    recorded = row["ours"][name]
    with findings.project(findings.DIGITS) as values:
        found = findings.finding(name, findings.expecting()[name], values)
    assert found["agreement"] == recorded["agreement"]
    if (row["machine"]["processor"], row["versions"]["torch"]) != (_processor(), _versions()["torch"]):
        pytest.skip("the numbers are recorded on another processor or with another torch, whose last bits differ")
    for variant, own in recorded["variants"].items():
        again = found["variants"][variant]
        assert again["verdict"] == own["verdict"], variant
        assert again["difference"] == pytest.approx(own["difference"], rel=1e-4), variant
