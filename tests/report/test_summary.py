import subprocess
import sys

import pytest
import report_builder as rb

from pipeline.errors import StorageError
from pipeline.report.summary import summary_lines


def test_four_lines_for_a_terminal(tmp_path):
    lines = summary_lines(rb.build(tmp_path))
    assert lines[0] == "The network learned well, with mild overfitting."
    assert lines[1].startswith("It is right on 9")
    assert "95% interval" in lines[1]
    assert lines[2].startswith("Best epoch 27 of 30: validation loss 0.0")
    assert lines[3:] == ["Erase a patch of some training samples: regatta run augment.erase=0.25"]
    assert all(line.isascii() for line in lines)


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"dataset\.json"):
        summary_lines(tmp_path)


def test_it_imports_nothing_heavy():
    heavy = {"torch", "matplotlib", "jinja2", "pyarrow", "scipy"}
    code = f"import sys, pipeline.report.summary; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
