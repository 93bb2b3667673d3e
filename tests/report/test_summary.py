import subprocess
import sys

import pytest
import report_builder as rb
import yaml

from pipeline.artifacts import read_json, write_json
from pipeline.errors import StorageError
from pipeline.report.summary import answer_lines, summary_lines


def test_the_lines_for_a_terminal(tmp_path):
    lines = summary_lines(rb.build(tmp_path))
    assert lines[0] == "The network learned well, with mild overfitting."
    assert lines[1].startswith("It is right on 9")
    assert "95% interval" in lines[1]
    assert lines[2].startswith("Best epoch 27 of 30: validation loss 0.0")
    assert lines[3] == "Erase a patch of some training samples: regatta run augment.erase=0.25"
    assert lines[4:] == [
        "Study dropout: Does dropout help, and how much? "
        + read_json(tmp_path / "artifacts/study/dropout/effects.json")["answer"]
    ]
    assert all(line.isascii() for line in lines)


def test_several_networks_are_told(tmp_path):
    file = rb.build(tmp_path, epochs=2) / "train" / "model.json"
    write_json(file, {**read_json(file), "members": [{"id": "a"}, {"id": "b"}]})
    assert summary_lines(tmp_path / "artifacts")[2].startswith("This is a mean of 2 networks: ")


def test_a_simple_method_that_does_as_well_is_told(tmp_path):
    file = rb.build(tmp_path) / "evaluate" / "metrics.json"
    found = {"name": "pixels", "words": "logistic regression on pixels", "num_rows": 900, "whole": True, "measure": "accuracy",
             "tried": {}, "trivial": "always 'a'", "trivial_score": 0.1, "score": 0.96, "network_score": 0.95,
             "difference": -0.01, "difference_low": -0.03, "difference_high": 0.01, "p": 0.4, "better": "neither"}  # fmt: skip
    write_json(file, {**read_json(file), "baseline": found})
    said = "Logistic regression on pixels has accuracy 96.0% on the test samples, the network 95.0%."
    assert f"A simple method does as well: {said}" in summary_lines(tmp_path / "artifacts")


def test_answers_stand_in_the_studies_order_and_say_where_settings_are_others(tmp_path):
    artifacts = rb.build(tmp_path, epochs=1)
    rb.write_study(artifacts / "study", "again", rb.DROPOUT.model_copy(update={"question": "And again?"}))
    rb.write_study(artifacts / "study", "gone")
    path = tmp_path / "params.yaml"
    params = yaml.safe_load(path.read_text())
    one = params["study"]["definitions"]["dropout"]
    params["study"]["definitions"] = {"again": {**one, "question": "And again?"}, "not-run": one, "dropout": one}
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    again, dropout = answer_lines(tmp_path, rb.DATASET)
    assert again.startswith("Study again: And again? By validation loss, 5 seeds: ")
    assert dropout.startswith("Study dropout: Does dropout help, and how much? By validation loss, 5 seeds: ")
    params["train"]["batch_size"] = 96
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    assert answer_lines(tmp_path, rb.DATASET) == [
        f"{again} (made with other settings; `regatta study again` asks again)",
        f"{dropout} (made with other settings; `regatta study dropout` asks again)",
    ]


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"dataset\.json"):
        summary_lines(tmp_path)


def test_it_imports_nothing_heavy():
    heavy = {"torch", "matplotlib", "jinja2", "pyarrow", "scipy"}
    code = f"import sys, pipeline.report.summary; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
