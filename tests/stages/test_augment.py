import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pipeline.artifacts import write_json
from pipeline.data.dataset import FORMAT, Manifest, manifest_dict
from pipeline.errors import ConfigError, StorageError
from pipeline.kinds.image.keys import ImagePolicy
from pipeline.kinds.image.views import batch_views, policy_digest
from pipeline.stages import augment

ROOT = Path(__file__).resolve().parents[2]
NONE = yaml.safe_load((ROOT / "conf" / "augment" / "none.yaml").read_text())
LIGHT = NONE | {"rotate": 8.0, "translate": 0.05, "views": 2}
NUM, SHAPE = 40, (1, 8, 8)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a prepared dataset; call it to choose the policy."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    folder = Path("artifacts/prepare")
    (folder / "train").mkdir(parents=True)
    np.save(folder / "train" / "inputs.npy", rng.integers(0, 256, (NUM, *SHAPE), dtype=np.uint8))
    np.save(folder / "train" / "labels.npy", rng.integers(0, 3, NUM))
    np.save(folder / "train" / "ids.npy", rng.integers(0, 2**64, NUM, dtype=np.uint64))
    about = {
        "format": FORMAT,
        "kind": "image",
        "task": "single",
        "classes": ["one", "two", "<b>three</b>"],
        "shape": list(SHAPE),
    }
    about |= {
        "dtype": "uint8",
        "fit": {"mean": [0.5], "std": [0.3]},
        "counts": {"train": NUM},
        "class_counts": {},
        "source": "test",
    }
    about |= {
        "classes": ["one", "two", "<b>three</b>"],
        "source_digest": "s",
        "digest": "d",
        "num_read": NUM,
        "num_rejected": 0,
        "notes": [],
    }
    write_json(folder / "dataset.json", manifest_dict(Manifest(**about)))

    def configured(policy: dict) -> ImagePolicy:
        Path("params.yaml").write_text(yaml.safe_dump({"augment": policy}))
        return ImagePolicy(**policy)

    return configured


def digests() -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(Path("artifacts/augment").iterdir())}


def test_one_copy_is_one_copy(project, capsys):
    project({**LIGHT, "views": 1})
    augment.run()
    assert capsys.readouterr().out.startswith("augment: 1 augmented copy of 40 training images, 0.0 MB\n")


def test_stored_views_equal_drawn_ones(project, capsys):
    policy = project(LIGHT)
    augment.run()
    assert capsys.readouterr().out.startswith("augment: 2 augmented copies of 40 training images, 0.0 MB\n")
    train = Path("artifacts/prepare/train")
    inputs, ids = np.load(train / "inputs.npy"), np.load(train / "ids.npy")
    for view in (0, 1):
        stored = np.load(f"artifacts/augment/views-{view:03d}.npy", mmap_mode="r")
        drawn = batch_views(torch.from_numpy(inputs[::3]), ids[::3], np.full(len(ids[::3]), view), policy, {})
        np.testing.assert_array_equal(stored[::3], drawn.numpy())


def test_twice_the_same_bytes(project):
    project(LIGHT)
    augment.run()
    first = digests()
    augment.run()
    assert digests() == first
    assert list(first) == ["augment.json", "preview.png", "views-000.npy", "views-001.npy"]


def test_the_record(project):
    policy = project(LIGHT)
    augment.run()
    record = json.loads(Path("artifacts/augment/augment.json").read_text())
    assert record["digest"] == policy_digest(policy)
    assert record["engine"] == "kornia"
    assert set(record["versions"]) == {"engine", "kornia", "torch"}
    assert record["policy"] == LIGHT
    assert record["dataset"] == "d"
    assert record["views"] == 2
    assert record["stored_bytes"] == sum(path.stat().st_size for path in Path("artifacts/augment").glob("views-*"))


@pytest.mark.parametrize(
    ("policy", "line"), [(NONE | {"views": 4}, "every operation is off"), (LIGHT | {"views": 0}, "draws its own")]
)
def test_without_stored_views_there_is_a_record_and_a_picture(project, capsys, policy, line):
    project(policy)
    augment.run()
    assert line in capsys.readouterr().out
    assert list(digests()) == ["augment.json", "preview.png"]
    record = json.loads(Path("artifacts/augment/augment.json").read_text())
    assert (record["views"], record["stored_bytes"], record["device"]) == (0, 0, None)


def test_fewer_views_leave_no_old_ones(project):
    project(LIGHT)
    augment.run()
    project(LIGHT | {"views": 1})
    augment.run()
    assert "views-001.npy" not in digests()


def test_colour_on_grey_images_is_refused_before_anything_is_written(project):
    project(LIGHT | {"hue": 0.1})
    with pytest.raises(ConfigError, match=r"augment\.hue = 0\.1: needs images of 3 channels, these are grey \(1 channel\)"):
        augment.run()
    assert not Path("artifacts/augment").exists()


def test_a_dataset_that_was_not_prepared(project):
    project(LIGHT)
    Path("artifacts/prepare/train/ids.npy").write_bytes(b"torn")
    with pytest.raises(StorageError, match="not a whole array"):
        augment.run()
    Path("artifacts/prepare/dataset.json").unlink()
    with pytest.raises(StorageError, match="missing; run the stage"):
        augment.run()


def test_a_failure_keeps_the_old_artifact(project, monkeypatch):
    project(LIGHT)
    augment.run()
    before = digests()
    monkeypatch.setattr("pipeline.kinds.image.picture.policy_picture", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        augment.run()
    assert digests() == before
    assert not list(Path("artifacts").glob("augment.partial-*"))


def test_as_a_program_with_other_threads_the_same_bytes(project):
    project(LIGHT)
    augment.run()
    before = digests()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.stages.augment"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert digests() == before


def test_a_wrong_key_exits_with_2(project):
    Path("params.yaml").write_text(yaml.safe_dump({"augment": LIGHT | {"rotatee": 3.0}}))
    done = subprocess.run([sys.executable, "-m", "pipeline.stages.augment"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "regatta augment: augment.rotatee: unknown key" in done.stderr


def test_chosen_shows_each_class_before_a_second_of_any():
    assert augment.chosen(np.array([2, 2, 0, 2, 1, 0]), 4).tolist() == [2, 5, 4, 0]
    assert augment.chosen(np.array([1, 1]), 6).tolist() == [0, 1]
    assert augment.chosen(np.zeros((9, 3), dtype=np.uint8), 6).tolist() == [0, 1, 2, 3, 4, 5]


def test_chosen_numbers_go_from_the_smallest_to_the_largest():
    assert augment.chosen(np.array([5.0, 1.0, 9.0, 3.0, 7.0]), 3).tolist() == [1, 0, 2]
