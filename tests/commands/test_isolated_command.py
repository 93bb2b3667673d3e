"""A run in a worktree of its own: the clone stays as it is, runs and cache are shared."""

import subprocess
from pathlib import Path

import pytest

from pipeline.artifacts import read_json
from pipeline.commands.isolated import own_gpu
from pipeline.errors import BusyError


def status():
    return subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_an_isolated_run_disturbs_nothing_and_is_in_the_runs(trained, regatta):
    Path("conf/model/dnn.yaml").write_text(Path("conf/model/dnn.yaml").read_text().replace("dropout: 0.2", "dropout: 0.3"))
    before, report = status(), Path("artifacts/train/run.json").read_bytes()
    said = regatta("run", "--isolated", "train.learning_rate=0.01", "~study.definitions.tiny")
    [place] = Path("runs/worktrees").glob("2*")
    assert f"isolated: done; its report is {place.absolute()}/artifacts/report/index.html" in said
    assert "Stage 'prepare' is cached" in said or "'prepare' didn't change" in said, "what it shares is not computed again"
    assert status() == before
    assert Path("artifacts/train/run.json").read_bytes() == report
    own = read_json(place / "artifacts/train/run.json")
    assert own["id"][:15] in regatta("runs")
    assert "dropout: 0.3" in (place / "params.yaml").read_text(), "uncommitted changes come along"


def test_isolated_runs_take_gpus_in_turn(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with own_gpu(tmp_path, 1) as alone:
        assert alone == {}
    with own_gpu(tmp_path, 2) as first, own_gpu(tmp_path, 2) as second:
        assert [first, second] == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
        with pytest.raises(BusyError, match="each of the 2 GPUs"), own_gpu(tmp_path, 2):
            pass
    with own_gpu(tmp_path, 2) as again:
        assert again == {"CUDA_VISIBLE_DEVICES": "0"}
