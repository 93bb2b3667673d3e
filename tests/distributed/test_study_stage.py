"""The stage of a study on a Ray cluster: it is cut for the cluster, and connects only for runs that have no result."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ray_study_project import Cluster, cluster_config
from study.study_project import definition

from pipeline import artifacts
from pipeline.wording import counted

ROOT = Path(__file__).resolve().parents[2]
NOBODY = "127.0.0.1:9"
"""An address at which no cluster answers."""
CORES = 1 if len(os.sched_getaffinity(0)) > 1 else 2
"""Of the cluster: others than this process may use."""


@pytest.fixture(scope="module")
def cluster():
    own = Cluster()
    own.address = own.head(cpus=CORES)
    yield own
    own.end()


def stage(folder, runs, cluster, address):
    """Run the stage with a study of many short runs; its exit code and what it said."""
    values = yaml.safe_load((folder / "values.yaml").read_text())
    many = definition({"none": {"model.dropout": 0.0}}, seeds=4)
    values["study"] = {"definitions": {"s": many.model_dump(mode="json")}, "on_run": None}
    values["cluster"] = cluster_config(address, str(cluster.token)).model_dump(mode="json")
    values["tracking"]["mode"] = "disabled"
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "REGATTA_RUNS": str(runs), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "pipeline.stages.study", "s"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_a_study_is_cut_for_the_cluster_and_connects_only_where_runs_are_missing(cluster, ray_folder, tmp_path):
    folder, runs = tmp_path / "project", tmp_path / "runs"
    shutil.copytree(ray_folder, folder)
    code, said = stage(folder, runs, cluster, NOBODY)
    assert code == 2
    assert f"cluster.address = '{NOBODY}': no Ray cluster answers there" in said
    code, said = stage(folder, runs, cluster, cluster.address)
    assert code == 0, said
    assert f"study s: 8 runs, 0 of them known already, {counted(CORES, 'group')} side by side" in said
    effects = artifacts.read_json(folder / "artifacts" / "study" / "s" / "effects.json")
    code, said = stage(folder, runs, cluster, NOBODY)
    assert code == 0, said
    assert "study s: 8 runs, 8 of them known already, 0 groups side by side" in said
    assert artifacts.read_json(folder / "artifacts" / "study" / "s" / "effects.json") == effects
