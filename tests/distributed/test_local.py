"""A cluster of this machine alone: who reaches it, who reads and writes its files, what is left of it when all is killed."""

import contextlib
import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from ray_study_project import HERE, alive, below, wait_for

from pipeline.distributed import guard
from pipeline.distributed.local import MOST_BYTES, PREFIX, guarded_folder

CONNECTED = """
import sys, time
from ray_study_project import cluster_config
from pipeline.distributed.connection import connected
import ray
with connected(cluster_config(), 2):
    print(ray.get_runtime_context().gcs_address, flush=True)
    worker = ray.remote(type("Worker", (), {"here": lambda self: 1})).remote()
    ray.get(worker.here.remote())
    print("up", flush=True)
    sys.stdin.read()
"""
STRANGER = {"RAY_AUTH_MODE": "token", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Of a program that looks for a cluster on loopback, where Ray would take it for one of the network."""
GONE_S = 20.0
"""What is killed takes all of its cluster along, on a quiet machine in 1 to 3 s; Ray's agents alone would stay for a minute."""
RUN = ("run", "study=none", "augment=none", "cluster=ray", "cluster.workers=2", "prepare.limit=300")
LONG = ("train.epochs=20000", "train.save_every_s=1")


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Starts a program with a cluster, or another one, its temporary files in a folder of its own; none outlives the test."""
    base = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))  # paths of sockets must be short
    monkeypatch.setenv("RAY_TMPDIR", str(base))
    started = []

    def start(words=CONNECTED, **environment):
        paths = os.pathsep.join(map(str, (HERE.parents[1], HERE.parent, HERE)))
        own = os.environ | {"PYTHONPATH": paths, "PYTHONWARNINGS": "ignore"} | environment
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen([sys.executable, "-c", words], env=own, text=True, **pipes))
        return started[-1]

    start.base = base
    yield start
    for process in started:
        process.kill()
        process.communicate()
    wait_for(lambda: folders(base) == [])
    base.rmdir()


def folders(base):
    return sorted(base.glob(f"{PREFIX}*"))


def listening(processes):
    """The address of each socket on which one of them listens."""
    inodes = {inode for one in processes for inode in inodes_of(one)}
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            (
                _,
                local,
                _,
                state,
                *_,
            ) = line.split()[:5]
            if state == "0A" and line.split()[9] in inodes:
                found.append(local.partition(":")[0])
    return found


def inodes_of(process):
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link)):
                yield match[1]


def test_a_cluster_of_this_machine_is_closed_to_everybody_else_and_leaves_nothing(program):
    process = program()
    address = process.stdout.readline().strip()
    assert process.stdout.readline() == "up\n"
    [folder] = folders(program.base)

    everywhere = listening([psutil.Process(process.pid), *below(process.pid)])
    assert len(everywhere) >= 8, "the driver, gcs, raylet, agents and workers"
    assert set(everywhere) <= {"0100007F", "0000000000000000FFFF00000100007F"}, "loopback, of both families"

    with_another_token = f"import os, ray; ray.init({address!r}, configure_logging=False)"
    refused = program(with_another_token, RAY_AUTH_TOKEN="0" * 64, **STRANGER)
    assert "Authentication" in refused.communicate(timeout=120)[1]
    assert refused.returncode != 0

    shipped = list(folder.rglob("pipeline/distributed/worker.py"))
    assert shipped, "the package that workers import"
    assert_nobody_gets_at(folder, shipped[0])

    process.communicate(timeout=60)
    assert process.returncode == 0
    assert folders(program.base) == []


def assert_nobody_gets_at(folder, file):
    """No other user reads, replaces or connects to anything in it; tried for real where this one may become another."""
    assert folder.stat().st_mode & 0o077 == 0
    if os.getuid() != 0:
        return
    sockets = [path for path in folder.rglob("*") if path.is_socket()]
    assert len(sockets) == 2, "of the raylet and of the object store"
    new, old = str(file.parent / "new.py"), str(file.parents[1])
    attempts = [f"open({str(file)!r})", f"open({new!r}, 'w')", f"os.rename({old!r}, {old + '2'!r})"]
    attempts += [f"os.listdir({str(folder)!r})", f"os.rename({str(folder)!r}, '/tmp/regatta-taken')"]
    attempts += [f"socket.socket(socket.AF_UNIX).connect({str(path)!r})" for path in sockets]
    for attempt in attempts:
        assert as_nobody(attempt) == "PermissionError", attempt
    assert as_nobody("open('/etc/passwd')") == "", "what is allowed"


def as_nobody(attempt):
    """The name of the error that a line of Python ends with for another user, if any."""
    nobody = pwd.getpwnam("nobody").pw_uid
    become = f"os.setgroups([])\nos.setgid({nobody})\nos.setuid({nobody})"
    tried = f"try:\n    {attempt}\nexcept OSError as error:\n    print(type(error).__name__)"
    program = [sys.executable, "-I", "-c", f"import os, socket\n{become}\n{tried}"]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    "reached",
    [
        pytest.param(lambda process, base: folders(base), id="folder", marks=pytest.mark.slow),
        pytest.param(lambda process, base: named(process, "gcs_server"), id="head", marks=pytest.mark.slow),
        pytest.param(lambda process, base: named(process, "raylet"), id="node", marks=pytest.mark.slow),
        pytest.param(lambda process, base: named(process, "ray::"), id="agents", marks=pytest.mark.slow),
        pytest.param(lambda process, base: process.stdout.readline() and process.stdout.readline(), id="at work"),
    ],
)
def test_a_killed_driver_takes_its_cluster_along_at_any_moment(program, reached):
    process = program()
    wait_for(lambda: reached(process, program.base))
    [folder] = folders(program.base)
    processes = [*below(process.pid), *guard.members(str(folder))]
    process.kill()
    process.wait()
    wait_for(lambda: not alive(processes) and not guard.members(str(folder)) and not folder.exists(), GONE_S)


@pytest.mark.slow
def test_a_killed_command_takes_its_stage_and_its_cluster_along_at_any_moment(program, project):
    """What it starts below it, whatever signal of its death each of them gets; the same command goes on."""
    command = [sys.executable, "-m", "pipeline.cli", *RUN, *LONG]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    log, names = project / "log.txt", ["gcs_server", "raylet", "ray::", "ray::Worker"]
    for reached in [
        *(lambda one, name=name: named(one, name) for name in names),
        lambda one: "best epoch" in log.read_text(),
    ]:
        with log.open("w") as said:
            process = subprocess.Popen(command, env=os.environ | {"PATH": path}, stdout=said, stderr=said)
        wait_for(lambda: process.poll() is not None or reached(process), 200)  # noqa: B023 - called at once
        assert process.poll() is None, log.read_text()
        processes = below(process.pid)
        process.kill()
        process.wait()
        wait_for(lambda: not alive(processes) and folders(program.base) == [], GONE_S)  # noqa: B023 - called at once


def named(process, start):
    """Of the processes below one, those whose name begins so."""
    found = []
    for one in below(process.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [one] if one.name().startswith(start) else []
    return found


def test_what_is_killed_together_with_its_guard_is_cleared_up_by_the_next(program):
    process = program()
    assert process.stdout.readline()
    assert process.stdout.readline() == "up\n"
    [folder] = folders(program.base)
    [watching] = [one for one in below(process.pid) if guard.__file__ in one.cmdline()]
    watching.kill()
    process.kill()
    process.wait()
    assert guard.members(str(folder)), "Ray's agents stay for a while"
    with guarded_folder() as own:
        assert folders(program.base) == [own]
        assert guard.members(str(folder)) == []


def test_a_folder_in_use_is_left_alone_and_one_of_a_long_path_is_elsewhere(program, tmp_path, monkeypatch):
    long = tmp_path / ("x" * MOST_BYTES)
    long.mkdir()
    with guarded_folder() as first, guarded_folder() as second:
        assert first.parent == second.parent == program.base
        assert first.is_dir()
        monkeypatch.setenv("RAY_TMPDIR", str(long))
        with guarded_folder() as third:
            assert third.parent == Path(tempfile.gettempdir())
        assert first.is_dir()
    assert not first.exists()


def test_a_program_that_is_stopped_while_its_cluster_starts_says_so(program):
    words = "import signal\nfrom pipeline.errors import Stopped\ntry:\n"
    words += "".join(f"    {line}\n" for line in CONNECTED.strip().splitlines())
    words = f"import signal\nsignal.signal(signal.SIGTERM, lambda *_: None)\n{words}except Stopped as error:\n    print(error)"
    process = program(words)
    wait_for(lambda: named(process, "gcs_server"))
    time.sleep(0.3)  # Ray's own handler is set before
    process.send_signal(signal.SIGTERM)
    assert "stopped by SIGTERM" in process.communicate(timeout=60)[0]
    assert folders(program.base) == []
