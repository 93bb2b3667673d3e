"""One study of several projects in one matrix: what is told, what is written, what is refused."""

from pathlib import Path

import pytest
import report_builder as rb


@pytest.fixture
def projects(tmp_path, monkeypatch):
    """Folders of three projects, of which the last has no results; the first is entered."""
    monkeypatch.delenv("REGATTA_RUNS", raising=False)
    for name in ("shoes", "hats", "bags"):
        (tmp_path / name / "conf").mkdir(parents=True)
        for file in ("dvc.yaml", "conf/config.yaml"):
            (tmp_path / name / file).touch()
    for name in ("shoes", "hats"):
        rb.write_transfer(tmp_path / name / "artifacts" / "study")
    monkeypatch.chdir(tmp_path / "shoes")
    return tmp_path


def test_what_a_study_found_in_several_projects_is_one_page(projects, command):
    said = command("study", "transfer", "--beside", "../hats").splitlines()
    assert [line.partition(",")[0] for line in said[:-1]] == [
        "shoes: photos", "shoes: photos", "shoes: sketches", "shoes: sketches",
        "hats: photos", "hats: photos", "hats: sketches", "hats: sketches",
    ]  # fmt: skip
    assert said[3].startswith("shoes: sketches, 5: hurts: validation loss +0.0")
    assert said[-1] == "The page is runs/beside/transfer.html"
    page = Path("runs/beside/transfer.html").read_text()
    assert "transfer in 2 projects" in page
    assert page.count("\u25b2 helps") == page.count("\u25bc hurts") == 2
    assert not list(Path("artifacts").glob("*.lock")), "nothing is run"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["transfer", "--beside", "../bags"], "bags: study transfer has no results there; run it first: cd "),
        (["--beside", "../hats"], "--beside: of which study? `regatta study NAME --beside PROJECT`"),
        (["dropout", "--beside", "../hats"], "study dropout of hats: no full grid of two factors, so it is no matrix"),
        (
            ["sizes", "--beside", "../hats"],
            "study sizes: judged by different metrics, or against different levels",
        ),
    ],
)
def test_what_can_not_be_put_side_by_side_is_refused_by_name(projects, command, words, said):
    rb.write_transfer(projects / "shoes" / "artifacts" / "study", "dropout")
    rb.write_study(projects / "hats" / "artifacts" / "study", "dropout")
    rb.write_transfer(projects / "shoes" / "artifacts" / "study", "sizes")
    rb.write_transfer(projects / "hats" / "artifacts" / "study", "sizes", metric="val_accuracy")
    assert said in command("study", *words, code=2)
    assert not Path("runs").exists()
