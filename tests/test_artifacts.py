"""Files are written whole or not at all, verified when read, and held by one process."""

import csv
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline import artifacts
from pipeline.errors import BusyError, StorageError


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    place = tmp_path / "prepare"
    with artifacts.published_dir(place) as folder:
        (folder / "a").write_text("old")

    def broken():
        with artifacts.published_dir(place) as folder:
            (folder / "a").write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()
    assert (place / "a").read_text() == "old"
    with artifacts.published_dir(place) as folder:
        (folder / "b").write_text("new")
        assert (place / "a").read_text() == "old", "a reader sees the old one until the new one is whole"
    assert [path.name for path in place.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["prepare"]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / "prepare.partial-12345").mkdir()
    (tmp_path / "prepare-of-another.partial-1").mkdir()
    with artifacts.published_dir(tmp_path / "prepare"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prepare", "prepare-of-another.partial-1"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    artifacts.write_json(path, {"old": 1})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageError, match=r"run\.json: can't be written or read \(No space left on device\)"):
        artifacts.write_json(path, {"new": 2})
    assert artifacts.read_json(path) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_full_disk_under_a_table_is_named(tmp_path):
    table = pa.table({"a": [1, 2]})
    artifacts.write_parquet(tmp_path / "a.parquet", table)
    assert artifacts.read_parquet(tmp_path / "a.parquet", ["a"]).equals(table)
    (tmp_path / "full.parquet").symlink_to("/dev/full")
    with pytest.raises(
        StorageError, match=r"full\.parquet: can't be written or read \(.*No space left on device\); free space"
    ):
        artifacts.write_parquet(tmp_path / "full.parquet", table)


def test_a_folder_that_has_gone_is_not_made_again(tmp_path):
    """It may have been the place of a file system that is no longer mounted."""
    for write in (artifacts.write_json, artifacts.append_jsonl):
        with pytest.raises(StorageError, match=r"gone/run\.json: can't be written or read \(No such file or directory\)"):
            write(tmp_path / "gone" / "run.json", [{}])
    with pytest.raises(StorageError, match="No such file"):
        artifacts.create_new(tmp_path / "gone" / "claim", b"")
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_are_not_finite_are_no_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifacts.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}}'])
def test_torn_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(StorageError, match=r"a\.json: not whole JSON"):
        artifacts.read_json(tmp_path / "a.json")
    with pytest.raises(StorageError, match=r"b\.json: missing"):
        artifacts.read_json(tmp_path / "b.json")


def test_a_torn_last_record_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    artifacts.append_jsonl(path, [{"epoch": 1}, {"epoch": 2}])
    with path.open("a") as file:
        file.write('{"epoch": 3')
    assert artifacts.read_jsonl(path) == [{"epoch": 1}, {"epoch": 2}]
    assert artifacts.read_jsonl(tmp_path / "none.jsonl") == []


def test_tables_come_back(tmp_path):
    rows = [["a,b", 'say "x"', "line\nbreak"], ["", "\u00e9", "3"]]
    artifacts.write_csv(tmp_path / "t.csv", ["one", "two", "three"], rows)
    assert [list(row.values()) for row in artifacts.read_csv(tmp_path / "t.csv")] == rows


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|'x'!A", "-x", "@SUM(A1)", "\tx", "\rx", "\n=x", "\uff1dx", "'=x", "''-y"])
def test_no_cell_is_a_formula_and_each_comes_back_as_it_was(tmp_path, cell):
    artifacts.write_csv(tmp_path / "t.csv", ["one", "two"], [[cell, "x"]])
    with (tmp_path / "t.csv").open(newline="") as file:
        assert list(csv.reader(file))[1] == [f"'{cell}", "x"]
    assert artifacts.read_csv(tmp_path / "t.csv") == [{"one": cell, "two": "x"}]


def test_numbers_and_quotes_stay_as_they_are(tmp_path):
    artifacts.write_csv(tmp_path / "t.csv", list("abcde"), [[-3, "-1.5e-3", "+7", "'tis", "a=b"]])
    assert (tmp_path / "t.csv").read_text() == "a,b,c,d,e\n-3,-1.5e-3,+7,'tis,a=b\n"


TENSORS = {
    "w": np.arange(12, dtype=np.float32).reshape(3, 4),
    "none": np.zeros(0, dtype=np.float32),
    "ids": np.array([2**64 - 1], dtype=np.uint64),
}


def test_tensors_come_back_with_their_facts(tmp_path):
    path = tmp_path / "w.safetensors"
    artifacts.save_tensors(path, TENSORS, {"epoch": 3, "name": "caf\u00e9"})
    tensors, meta = artifacts.load_tensors(path)
    assert meta == {"epoch": 3, "name": "caf\u00e9"}
    assert tensors.keys() == TENSORS.keys()
    assert all(np.array_equal(tensors[name], array) and tensors[name].dtype == array.dtype for name, array in TENSORS.items())


def test_the_same_tensors_are_the_same_bytes_in_every_process(tmp_path):
    """The header's order must not follow a hash seed."""
    program = (
        "import numpy as np; from pipeline.artifacts import *; "
        "save_tensors(Path('w'), {'a': np.ones(3), 'b': np.zeros(2)}, {'x': 1, 'y': 2})"
    )
    found = set()
    for seed in range(6):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(Path(__file__).parents[1])}
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)
        found.add((tmp_path / "w").read_bytes())
    assert len(found) == 1


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path):
    path = tmp_path / "w.safetensors"
    artifacts.save_tensors(path, TENSORS, {"epoch": 3})
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        try:
            tensors, meta = artifacts.load_tensors(path)
        except StorageError:
            continue
        assert meta == {"epoch": 3}, place
        assert all(np.array_equal(tensors[name], array) for name, array in TENSORS.items()), (
            "only padding may be damaged unseen"
        )
    for length in range(0, len(whole), 13):
        path.write_bytes(whole[:length])
        with pytest.raises(StorageError, match=r"w\.safetensors"):
            artifacts.load_tensors(path)


def _hold(path, ready, release):
    with artifacts.held(path):
        ready.set()
        release.wait(30)


def test_a_lock_is_held_by_one_process_and_ends_with_it(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "lock", ready, release))
    process.start()
    assert ready.wait(60)
    with pytest.raises(BusyError, match=f"held by process {process.pid} on "), artifacts.held(tmp_path / "lock"):
        pass
    process.kill()
    process.join()
    with artifacts.held(tmp_path / "lock"):
        pass


def test_a_lock_is_abandoned_when_its_process_has_ended(tmp_path):
    lock, here = tmp_path / "lock", os.uname().nodename
    assert artifacts.abandoned(lock)
    with artifacts.held(lock):
        assert not artifacts.abandoned(lock)
    for words, ended in ((f"process {2**22 + 1} on {here}\n", True), (f"process {2**22 + 1} on another-host\n", False)):
        lock.write_text(words)
        assert artifacts.abandoned(lock) == ended


def test_digests_do_not_depend_on_the_order_of_keys():
    assert artifacts.digest({"a": 1, "b": [1.5, None]}) == artifacts.digest({"b": [1.5, None], "a": 1})
    assert artifacts.digest({"a": 1}) != artifacts.digest({"a": 1.5})


def test_a_temporary_copy_of_dvcs_shares_the_records_of_its_clone(tmp_path, monkeypatch):
    monkeypatch.delenv("REGATTA_RUNS", raising=False)
    for place in ("standalone/tmp1", "tmp2"):
        copy = tmp_path / ".dvc" / "tmp" / "exps" / place
        copy.mkdir(parents=True)
        monkeypatch.chdir(copy)
        assert artifacts.copied_clone() == tmp_path
        assert artifacts.runs_root() == tmp_path / "runs"
    monkeypatch.setenv("REGATTA_RUNS", str(tmp_path / "moved"))
    assert artifacts.runs_root() == tmp_path / "moved"
    monkeypatch.delenv("REGATTA_RUNS")
    monkeypatch.chdir(tmp_path)
    assert artifacts.copied_clone() is None
    assert artifacts.runs_root() == Path("runs")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff{}", b"null", b"[" * 100_000])
def test_a_record_that_is_none_names_its_file_and_the_way_out(tmp_path, content):
    path = tmp_path / "artifacts" / "evaluate" / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"metrics.json: .*rm -r .*artifacts/evaluate`, then `regatta run`"):
        artifacts.read_json(path)


@pytest.mark.parametrize("line", [b"{", b"null", b"\xff\xfe"])
def test_a_broken_line_is_named_by_its_number(tmp_path, line):
    path = tmp_path / "reads.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line + b'\n{"a": 2}\n')
    with pytest.raises(StorageError, match=r"reads.jsonl: line 2 is no whole record.*sed -i 2d"):
        artifacts.read_jsonl(path)


def test_what_follows_a_torn_line_is_not_part_of_it(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"whole\nto")
    artifacts.append_lines(path, ["next"])
    assert path.read_text() == "whole\nto\nnext\n"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.9, 0.99])
def test_a_torn_table_is_named(tmp_path, share):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "artifacts" / "study" / "depth" / "curves.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    assert artifacts.read_parquet(path, ["a"]).num_rows == 1000
    with pytest.raises(StorageError, match=r"curves.parquet: lacks the columns b"):
        artifacts.read_parquet(path, ["a", "b"])
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(StorageError, match=r"curves.parquet: .*artifacts/study/depth`, then `regatta study depth`"):
        artifacts.read_parquet(path, ["a"])


@pytest.mark.parametrize("content", [b"", b"a,b\n1\n", b"a,b\n\xff,1\n", b"a,c\n1,2\n"])
def test_a_torn_csv_is_named(tmp_path, content):
    path = tmp_path / "confusion.csv"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"confusion.csv: not a whole table"):
        artifacts.read_csv(path, ["a", "b"])


def test_a_lock_that_somebody_holds_is_seen_before_anything_else(tmp_path):
    lock = tmp_path / ".lock"
    artifacts.check_free(lock)
    assert not lock.exists()
    with artifacts.held(lock), pytest.raises(BusyError, match=f"process {os.getpid()}"):
        artifacts.check_free(lock)
    artifacts.check_free(lock)


def test_a_copy_that_was_changed_is_named(tmp_path):
    (tmp_path / "params.yaml").write_text("a: 1\n")
    place = tmp_path / "kept" / "params.yaml"
    digest = artifacts.copy_whole(tmp_path / "params.yaml", place)
    artifacts.check_copy(place, digest)
    artifacts.check_copy(place, None)
    place.write_text("a: ")
    with pytest.raises(StorageError, match=r"kept/params.yaml: torn or changed"):
        artifacts.check_copy(place, digest)
