"""W&B as a mirror: read back from its local file, and against a server on loopback that speaks its protocol."""

import gzip
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.artifacts import digest, held
from pipeline.mirror import mirror_study, open_tracker
from pipeline.schema.tracking import TrackingConfig
from pipeline.tracking.local_file import _has_end
from pipeline.tracking.process import flattened, settled

ROOT = Path(__file__).resolve().parent.parent
RUN = "20261123-184500-1a2b3c4d"
KEY = "0123456789abcdef" * 2 + "01234567"
PARAMS = {"train": {"seed": 1, "betas": [0.9, 0.99]}, "data": {"path": None}}
STUDY = "does dropout help"
PROGRAM = f"""
from pathlib import Path
from pipeline.artifacts import append_jsonl, make_dir
from pipeline.mirror import mirror_study, open_tracker
from pipeline.schema.tracking import TrackingConfig
folder = Path("runs/{RUN}")
make_dir(folder)
def start(mode):
    return open_tracker(TrackingConfig(mode=mode, project="regatta", entity=None), "{RUN}", folder, {PARAMS!r})
def epochs(tracker, first, last):
    for epoch in range(first, last + 1):
        train = {{"epoch": epoch, "split": "train", "loss": 1 / epoch, "grad_norm": 2.0, "layer_grad_norms": {{"dense1": 0.5}}}}
        append_jsonl(folder / "metrics.jsonl", [train, {{"epoch": epoch, "split": "val", "loss": 2 / epoch}}])
        tracker.log(epoch, [])
def cell(k, failure=None, epochs=2):
    rows = [
        row for epoch in range(1, epochs + 1)
        for row in (
            {{"epoch": epoch, "split": "train", "loss": k / epoch, "grad_norm": 2.0, "layer_grad_norms": {{"dense1": 0.5}}}},
            {{"epoch": epoch, "split": "val", "loss": None if failure else 2 * k / epoch}},
        )
    ]
    metrics = {{"val_loss": None if failure else k, "best_epoch": None if failure else 2}}
    config = {{"model.dropout": k / 10, "train.betas": [0.9, 0.99]}}
    return {{"hash": f"{{k:032x}}", "variant": "no-dropout", "seed": k, "config": config, "metrics": metrics, "rows": rows,
            "failure": failure}}
def mirror(mode, cells, study="{STUDY}", project="regatta"):
    mirror_study(TrackingConfig(mode=mode, project=project, entity=None), study, cells)
"""


@contextmanager
def start_program(body, folder, **env):
    """`body` after PROGRAM in a process of its own, as a training would be; killed where a test ends before it."""
    cleared = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    own = {"HOME": str(folder / "home"), "LOGNAME": "zebrafinch", "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1"}
    (folder / "home").mkdir(exist_ok=True)
    command = [sys.executable, "-c", PROGRAM + body, "an-argument-of-the-command"]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=cleared | own | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def run_program(body, folder, **env):
    """The exit code and standard error of a program that was let run to its end; nothing of it may stay behind."""
    with start_program(body, folder, **env) as program:
        _, told = program.communicate(timeout=120)
        return program.returncode, told


def mirrored(folder):
    """What the one local W&B file of a run tells."""
    (file,) = (folder / "runs" / RUN / "wandb").glob("*/*.wandb")
    return content_of(file)


def content_of(file):
    """History, summary, configuration, names and exit code of a local W&B file, as W&B's own reader shows them."""
    command = [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(file)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    records = {"history": [], "summary": {}, "config": {}, "exit": None}
    for line in lines:
        record = json.loads(line)
        if record["type"] == "history":
            records["history"].append(
                {name: value for name, value in record["history"]["item"].items() if "/" in name or name == "_step"}
            )
        elif record["type"] == "summary":
            records["summary"] |= record["summary"].get("update", {})
        elif record["type"] == "run":
            run = record["run"]
            records["config"] = {name: value for name, value in run["config"]["update"].items() if name[0] != "_"}
            records["names"] = [run.get(key) for key in ("run_id", "run_group", "display_name", "project")]
        elif record["type"] == "exit":
            records["exit"] = record["exit"]["exit_code"]
    return records


def study_files(folder, kind="offline-run"):
    """The local files of the cells of one study by cell; each cell has one."""
    files = list(folder.glob(f"runs/cells/wandb/{kind}-*/*.wandb"))
    by_cell = {int(file.stem.split("-")[1], 16): file for file in files}
    assert len(by_cell) == len(files)
    return by_cell


def run_wandb(folder, server, *arguments):
    """A command of W&B's own, as the same user in the same folder."""
    wandb, env = str(Path(sys.executable).with_name("wandb")), {"HOME": str(folder / "home"), "PATH": os.environ["PATH"]}
    (folder / "home").mkdir(exist_ok=True)
    command = [wandb, *arguments]
    return subprocess.run(command, cwd=folder, env=env | server.env(), capture_output=True, text=True, check=True, timeout=120)


def run_told_command(told, folder, server):
    """Say in a shell's words what the last line has told to say."""
    command, *paths = shlex.split(told.splitlines()[-1].split(": ")[-1])[1:]
    assert command == "sync"
    paths = [str(found.relative_to(folder)) for path in paths for found in folder.glob(path)]
    return run_wandb(folder, server, command, *paths)


def cell_id(k, study=STUDY):
    return f"{k:032x}-{digest([study, 'no-dropout'])[:8]}"


def children(pid):
    """Ids of the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def expected_history(last):
    return [
        {"_step": e, "train/loss": 1 / e, "train/grad_norm": 2, "train/grad_norm/dense1": 0.5, "val/loss": 2 / e}
        for e in range(1, last + 1)
    ]


def steps(folder):
    return [item["_step"] for item in mirrored(folder)["history"]]


def wait_until(condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def written_bytes(folder):
    """But for the mirror's lock, which names its holder, as a run's own does, and is sent nowhere."""
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.name != ".mirror.lock")


class Handler(BaseHTTPRequestHandler):
    """What W&B's client needs of its server to create a run, go on with one and stream its history."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.answer({})

    def do_PUT(self):
        self.body()
        self.answer({})

    def do_POST(self):
        request = json.loads(self.body() or b"{}")
        if self.path.endswith("/graphql"):
            operation = re.search(r"(?:query|mutation)\s+(\w+)", request["query"]).group(1)
            self.answer({"data": self.server.graphql(operation, request.get("variables") or {})})
        elif self.path.endswith("/file_stream"):
            if self.server.answers_stream == 200:
                self.server.stream(self.path.split("/")[-2], request)
            self.answer({"stopped": True} if self.server.stopped else {}, self.server.answers_stream)
        else:
            self.answer({})

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            content = b""
            while size := int(self.rfile.readline(), 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = gzip.decompress(content) if self.headers.get("Content-Encoding") == "gzip" else content
        self.server.received += content
        return content

    def answer(self, content, status=200):
        content = json.dumps(content).encode()
        self.send_response(max(status, self.server.status))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Server(ThreadingHTTPServer):
    """Keeps runs as W&B does: lines of history at the offsets they were sent for."""

    daemon_threads = True
    status = 200
    answers_stream = 200
    """To history alone, which is then not kept."""
    stopped = False
    """Whether somebody has pressed Stop."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.runs, self.history, self.exit_codes, self.received = {}, {}, {}, b""

    def handle_error(self, request, client_address):
        pass  # a client that was killed

    def graphql(self, operation, variables):
        if operation == "Viewer":
            return {"viewer": {"id": "1", "entity": "crew", "username": "cox", "flags": "{}", "teams": {"edges": []}}}
        if operation == "ServerFeaturesQuery":
            return {"serverInfo": {"features": []}}
        if operation == "UpsertBucket":
            run = self.runs.setdefault(variables["name"], {})
            run.update({name: value for name, value in variables.items() if value is not None})
            project = {"id": "1", "name": variables["project"], "entity": {"id": "1", "name": run.get("entity", "crew")}}
            bucket = {
                "id": "1",
                "name": variables["name"],
                "displayName": "x",
                "config": "{}",
                "historyLineCount": 0,
                "project": project,
            }
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if operation == "CreateRunFiles":
            files = [{"name": name, "uploadUrl": f"{self.url}/upload/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "1", "uploadHeaders": [], "files": files}}
        if operation == "RunStoppedStatus":
            return {"project": {"run": {"stopped": self.stopped}}}
        return {}

    def stream(self, name, request):
        for file, chunk in (request.get("files") or {}).items():
            if file == "wandb-history.jsonl":
                lines = self.history.setdefault(name, {})
                lines.update(enumerate(chunk["content"], chunk["offset"]))
        if request.get("complete"):
            self.exit_codes[name] = request["exitcode"]

    def steps(self):
        return [json.loads(line)["_step"] for _, line in sorted(self.history.get(RUN, {}).items())]

    def env(self):
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY}


@contextmanager
def served():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server():
    with served() as server:
        yield server


WHOLE = "tracker = start({mode!r}); epochs(tracker, 1, 3); tracker.finish({{'best_epoch': 2}}, 0)"


def test_flat_names():
    rows = [
        {"epoch": 3, "split": "train", "loss": 0.5, "grad_norm": 1.5, "layer_grad_norms": {"dense1": 0.25, "output": 1.0}},
        {"epoch": 3, "split": "val", "accuracy": 0.75},
    ]
    assert flattened(rows) == {
        "train/loss": 0.5,
        "train/grad_norm": 1.5,
        "train/grad_norm/dense1": 0.25,
        "train/grad_norm/output": 1.0,
        "val/accuracy": 0.75,
    }


def test_importing_the_edge_does_not_import_wandb():
    program = "import sys, pipeline.mirror, pipeline.tracking.process; sys.exit(bool({'wandb', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


def test_disabled_starts_and_writes_nothing(tmp_path):
    tracker = open_tracker(TrackingConfig(mode="disabled", project="p", entity=None), RUN, tmp_path, PARAMS)
    tracker.finish({}, 0)
    assert list(tmp_path.iterdir()) == []


def test_offline_mirror_equals_the_records(tmp_path):
    assert run_program(WHOLE.format(mode="offline"), tmp_path) == (0, "")
    records = mirrored(tmp_path)
    assert records["history"] == expected_history(3)
    assert records["config"] == PARAMS
    assert records["summary"]["best_epoch"] == 2
    assert records["exit"] == 0


def test_an_epoch_can_be_read_while_the_run_goes_on(tmp_path):
    body = """
import time
tracker = start('offline'); epochs(tracker, 1, 3)
while not Path("read").exists():
    time.sleep(0.05)
tracker.finish({}, 0)
"""
    with start_program(body, tmp_path) as program:
        wait_until(lambda: list(tmp_path.glob("runs/*/wandb/*/*.wandb")))
        wait_until(lambda: steps(tmp_path) == [1, 2, 3])
        (tmp_path / "read").touch()
        assert program.communicate(timeout=60) == ("", "")


def test_a_mirror_waits_for_one_of_an_earlier_start(tmp_path):
    """Which may still be ending after its training was killed, and the same run has begun again."""
    folder = tmp_path / "runs" / RUN
    body = "tracker = start('offline'); epochs(tracker, 1, 3); tracker.finish({}, 0)"
    with ExitStack() as earlier:
        earlier.enter_context(held(folder / ".mirror.lock"))
        with start_program(body, tmp_path) as program:
            wait_until(lambda: (folder / "metrics.jsonl").exists())
            time.sleep(3)
            assert not (folder / "wandb").exists()
            earlier.close()
            assert program.communicate(timeout=60) == ("", "")
    assert steps(tmp_path) == [1, 2, 3]


@pytest.mark.parametrize(
    ("mode", "name", "value", "expected"),
    [
        ("online", "WANDB_MODE", "dryrun", "offline"),
        ("online", "WANDB_MODE", "ofline", "offline"),
        ("online", "WANDB_DISABLED", "true", "disabled"),
        ("offline", "WANDB_MODE", "disabled", "disabled"),
        ("offline", "WANDB_MODE", "online", None),
        ("online", "WANDB_MODE", "run", None),
        ("disabled", "WANDB_MODE", "online", None),
    ],
)
def test_stricter_mode_of_two(monkeypatch, mode, name, value, expected):
    for known in ("WANDB_MODE", "WANDB_DISABLED"):
        monkeypatch.delenv(known, raising=False)
    monkeypatch.setenv(name, value)
    assert settled(mode) == ((expected, f"{name}={value}") if expected else (mode, ""))


STRICTER = [
    ("online", {"WANDB_MODE": "offline"}, "WANDB_MODE=offline"),
    ("online", {"WANDB_MODE": "of\x1b[31mline"}, r"WANDB_MODE=of\x1b[31mline"),
    ("online", {"WANDB_MODE": "disabled"}, "WANDB_MODE=disabled"),
]


@pytest.mark.parametrize(("mode", "env", "named"), STRICTER)
def test_stricter_mode_of_wandb_s_environment_wins_and_is_told(tmp_path, server, mode, env, named):
    code, told = run_program(WHOLE.format(mode=mode) + "; mirror('online', [cell(1)])", tmp_path, **env, **server.env())
    assert code == 0
    assert server.received == b""
    disabled = "disabled" in named.lower()
    run, study = told.splitlines()
    if disabled:
        assert run == f"tracking: nothing is mirrored to W&B ({named}), although tracking.mode={mode}"
        assert study == f"tracking: nothing is mirrored to W&B ({named}), although tracking.mode=online"
        assert list(tmp_path.glob("runs/**/wandb")) == []
    else:
        assert run.startswith(f"tracking: W&B is not used online ({named}); send the run later with: wandb sync runs/{RUN}/")
        assert study.startswith(f"tracking: W&B is not used online ({named}); send the study's runs later with: wandb sync ")
        assert steps(tmp_path) == [1, 2, 3]
        assert sorted(study_files(tmp_path)) == [1]


def test_wandb_offline_said_once_is_kept_to(tmp_path, server):
    run_wandb(tmp_path, server, "offline")
    code, told = run_program(WHOLE.format(mode="online"), tmp_path, **server.env())
    assert code == 0
    reason = "W&B's settings file; `wandb online` changes it"
    assert told.startswith(f"tracking: W&B is not used online ({reason}); send the run later with: wandb sync runs/{RUN}/")
    assert told.count("\n") == 1
    assert server.received == b""


def test_environment_of_wandb_sends_nothing_that_the_configuration_keeps_here(tmp_path, server):
    assert run_program(WHOLE.format(mode="offline"), tmp_path, WANDB_MODE="online", **server.env()) == (0, "")
    assert server.received == b""
    assert steps(tmp_path) == [1, 2, 3]


def test_environment_of_wandb_makes_a_mirror_no_part_of_another_run(tmp_path, server):
    (tmp_path / "other.yaml").write_text("secret_of_the_environment: {value: 1}\n")
    other = {"WANDB_CONFIG_PATHS": "other.yaml", "WANDB_RUN_ID": "other", "WANDB_RESUME": "must", "WANDB_SWEEP_ID": "other"}
    other |= {"WANDB_SERVICE": "3-1-tcp-localhost-9", "WANDB_PROJECT": "other", "WANDB_ENTITY": "harbour"}
    code, _ = run_program(WHOLE.format(mode="online"), tmp_path, **other, **server.env())
    assert code == 0
    assert server.steps() == [1, 2, 3]
    assert list(server.runs) == [RUN]
    assert {name: server.runs[RUN][name] for name in ("project", "entity")} == {"project": "regatta", "entity": "harbour"}
    assert "secret_of_the_environment" not in server.runs[RUN]["config"]


def test_wandb_silent_leaves_out_what_is_no_loss(tmp_path, server):
    silent = {"WANDB_SILENT": "true"} | server.env()
    assert run_program(WHOLE.format(mode="online"), tmp_path, **silent) == (0, "")
    server.answers_stream = 403
    code, told = run_program(WHOLE.format(mode="online"), tmp_path, **silent)
    assert code == 0
    assert "not all that was sent has arrived" in told


def test_setting_that_wandb_does_not_take_is_named_without_its_value(tmp_path):
    code, told = run_program(WHOLE.format(mode="offline"), tmp_path, WANDB_BASE_URL="oarsecret")
    assert code == 0
    assert told.startswith("tracking: W&B mirrors no further (W&B's setting base_url: Input should be a valid URL")
    assert "oarsecret" not in told
    assert told.count("\n") == 1


def test_limit_of_memory_below_what_wandb_takes_costs_one_line(tmp_path):
    body = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1_200_000 * 1024, -1)); " + WHOLE.format(mode="offline")
    code, told = run_program(body, tmp_path)
    assert code == 0
    assert told == (
        "tracking: nothing is mirrored to W&B (`ulimit -v` = 1,200,000 kB is less than its service takes), although "
        "tracking.mode=offline\n"
    )
    assert not (tmp_path / "runs" / RUN / "wandb").exists()


def test_nothing_private_is_written_or_sent(tmp_path, server):
    for command in ("git init -q .", "git remote add origin https://cox:oarsecret@example.org/x.git"):
        subprocess.run(command.split(), cwd=tmp_path, check=True)
    for mode in ("offline", "online"):
        code, _ = run_program(WHOLE.format(mode=mode), tmp_path, **server.env())
        assert code == 0
        content = b"".join(written_bytes(tmp_path / name) for name in ("runs", "home")) + server.received
        assert RUN.encode() in content
        assert b"best_epoch" in content
        words = [KEY, "zebrafinch", "oarsecret", "an-argument-of-the-command", sys.prefix, str(ROOT), str(tmp_path)]
        assert [word for word in words if word.encode() in content] == []
        host = re.escape(socket.gethostname().encode())
        assert re.search(rb"(?<![A-Za-z0-9_.-])" + host + rb"(?![A-Za-z0-9_.-])", content) is None


def test_killed_run_is_mirrored_up_to_the_kill_and_its_restart_from_the_first_epoch(tmp_path):
    code, _ = run_program("tracker = start('offline'); epochs(tracker, 1, 4); import os; os.kill(os.getpid(), 9)", tmp_path)
    assert code == -9
    wait_until(lambda: len(list(tmp_path.glob("runs/*/wandb/*/*.wandb"))) == 1)
    wait_until(lambda: mirrored(tmp_path)["exit"] == 1)
    assert mirrored(tmp_path)["history"] == expected_history(4)
    restart = "tracker = start('offline'); epochs(tracker, 5, 6); tracker.finish({}, 0)"
    assert run_program(restart, tmp_path) == (0, "")
    assert mirrored(tmp_path)["history"] == expected_history(6)
    assert mirrored(tmp_path)["exit"] == 0


def test_half_a_line_waits_for_its_other_half(tmp_path):
    body = """
tracker = start('offline')
epochs(tracker, 1, 1)
while not list(folder.glob("wandb/*/*.wandb")):
    time.sleep(0.05)
with (folder / "metrics.jsonl").open("a") as file:
    file.write('{"epoch": 2, "split": "va'); file.flush(); tracker.log(2, []); time.sleep(2.0)
    file.write('l", "loss": 1.0}\\n')
tracker.finish({}, 0)
"""
    assert run_program("import time" + body, tmp_path) == (0, "")
    assert mirrored(tmp_path)["history"] == [*expected_history(1), {"_step": 2, "val/loss": 1}]


def test_mirror_that_hangs_never_holds_an_epoch_up(tmp_path):
    body = """
import os, signal, time
tracker = start('offline')
tracker._process.send_signal(signal.SIGSTOP)
begun = time.monotonic()
for _ in range(200_000):
    tracker.log(1, [])
print(time.monotonic() - begun < 30, flush=True)
tracker._process.send_signal(signal.SIGCONT)
epochs(tracker, 1, 3)
tracker.finish({}, 0)
"""
    with start_program(body, tmp_path) as program:
        assert program.communicate(timeout=60) == ("True\n", "")
    assert steps(tmp_path) == [1, 2, 3]


def test_online_run_reaches_the_server(tmp_path, server):
    code, told = run_program(WHOLE.format(mode="online"), tmp_path, **server.env())
    assert (code, told) == (0, f"tracking: W&B shows the run at {server.url}/crew/regatta/runs/{RUN}\n")
    assert server.steps() == [1, 2, 3]
    assert server.exit_codes == {RUN: 0}


@pytest.mark.slow
def test_stop_button_ends_nothing_and_says_what_does(tmp_path, server):
    server.stopped = True
    body = "import os, time; print(os.getpid()); tracker = start('online'); epochs(tracker, 1, 1); time.sleep(25); "
    with start_program(body + "epochs(tracker, 2, 3); tracker.finish({}, 0)", tmp_path, **server.env()) as program:
        said, told = program.communicate(timeout=120)
    assert program.returncode == 0
    [_, told] = told.splitlines()
    how = f"`kill {said.strip()}` lets the training save its state and end"
    assert told == f"tracking: the Stop button of W&B's page ends nothing here; {how}"
    assert server.steps() == [1, 2, 3]
    assert server.exit_codes == {RUN: 0}


def test_killed_online_run_goes_on_without_a_gap_or_a_double(tmp_path, server):
    code, _ = run_program(
        "tracker = start('online'); epochs(tracker, 1, 4); import os; os.kill(os.getpid(), 9)", tmp_path, **server.env()
    )
    assert code == -9
    wait_until(lambda: server.exit_codes == {RUN: 1})
    assert server.steps() == [1, 2, 3, 4]
    restart = "tracker = start('online'); epochs(tracker, 5, 6); tracker.finish({}, 0)"
    assert run_program(restart, tmp_path, **server.env())[0] == 0
    assert server.steps() == [1, 2, 3, 4, 5, 6]
    assert server.exit_codes == {RUN: 0}


def test_unreachable_server_costs_one_line_and_the_run_can_be_sent_later(tmp_path, server):
    started = time.monotonic()
    code, told = run_program(WHOLE.format(mode="online"), tmp_path, **server.env() | {"WANDB_BASE_URL": "http://127.0.0.1:9"})
    assert time.monotonic() - started < 60
    assert code == 0
    assert re.fullmatch(
        r"tracking: W&B is not used online \(http://127.0.0.1:9: .*refused\); send the run later with: wandb sync \S+\n", told
    )
    assert mirrored(tmp_path)["history"] == expected_history(3)
    run_told_command(told, tmp_path, server)
    assert server.steps() == [1, 2, 3]


GATED = """
import time
tracker = start('online'); epochs(tracker, 1, 2)
while not Path("on").exists():
    time.sleep(0.05)
epochs(tracker, 3, 4); tracker.finish({'best_epoch': 2}, 0)
"""
"""A training whose server can be changed between its second and third epoch."""


def test_server_that_refuses_after_opening_costs_a_line_and_the_run_can_be_sent_later(tmp_path, server):
    with start_program(GATED, tmp_path, **server.env()) as program:
        wait_until(lambda: server.steps() == [1, 2])
        server.answers_stream = 401
        (tmp_path / "on").touch()
        _, told = program.communicate(timeout=120)
    assert program.returncode == 0
    shown, lost = told.splitlines()
    assert shown == f"tracking: W&B shows the run at {server.url}/crew/regatta/runs/{RUN}"
    reason = "not all that was sent has arrived: Fatal error while uploading data"
    assert lost.startswith(
        f"tracking: W&B is not used online ({reason}); send the run later with: wandb sync runs/{RUN}/wandb/"
    )
    assert mirrored(tmp_path)["history"] == expected_history(4)
    assert mirrored(tmp_path)["exit"] == 0
    assert server.steps() == [1, 2]
    server.answers_stream = 200
    run_told_command(told, tmp_path, server)
    assert server.steps() == [1, 2, 3, 4]
    assert server.exit_codes == {RUN: 0}


def test_refusal_in_the_middle_of_a_training_is_told_then_and_the_rest_goes_to_a_file(tmp_path, server):
    body = """
import time
tracker = start('online'); epochs(tracker, 1, 2); epoch = 2
while not Path("on").exists():
    epoch += 1; epochs(tracker, epoch, epoch); time.sleep(0.5)
tracker.finish({}, 0)
print(epoch)
"""
    server.answers_stream = 403
    with start_program(body, tmp_path, **server.env()) as program:
        wait_until(lambda: list(tmp_path.glob(f"runs/{RUN}/wandb/offline-run-*/*.wandb")))
        wait_until(lambda: len(steps(tmp_path)) > 2)
        (tmp_path / "on").touch()
        last, told = program.communicate(timeout=120)
    assert told.count("\n") == 2
    assert mirrored(tmp_path)["history"] == expected_history(int(last))


def test_folder_with_a_blank_is_told_as_a_shell_takes_it(tmp_path, server):
    lost = server.env() | {"WANDB_BASE_URL": "http://127.0.0.1:9", "REGATTA_RUNS": "our runs"}
    code, told = run_program("mirror('online', [cell(1), cell(2)])", tmp_path, **lost)
    assert code == 0
    assert told.endswith("wandb sync 'our runs/cells/wandb'/offline-run-*\n")
    run_told_command(told, tmp_path, server)
    assert sorted(int(name.split("-")[0], 16) for name in server.exit_codes) == [1, 2]


def test_missing_key_costs_one_line_and_nobody_is_asked(tmp_path, server):
    code, told = run_program(WHOLE.format(mode="online"), tmp_path, WANDB_BASE_URL=server.url)
    assert code == 0
    assert told.startswith("tracking: W&B is not used online (no API key: set WANDB_API_KEY, or run `wandb login` once); send")
    assert told.count("\n") == 1
    assert steps(tmp_path) == [1, 2, 3]


def test_crash_of_the_service_costs_one_line(tmp_path):
    body = """
import os, signal, time
tracker = start('offline'); epochs(tracker, 1, 2)
while not list(folder.glob("wandb/*/*.wandb")):
    time.sleep(0.05)
mirror = tracker._process.pid
(service,) = [int(pid) for pid in Path(f"/proc/{mirror}/task/{mirror}/children").read_text().split()]
os.kill(service, signal.SIGKILL)
epochs(tracker, 3, 4); time.sleep(2); epochs(tracker, 5, 6); tracker.finish({}, 0)
"""
    code, told = run_program(body, tmp_path)
    assert code == 0
    assert told.startswith("tracking: W&B mirrors no further (")
    assert told.count("\n") == 1


def test_study_is_a_group_and_each_cell_a_run(tmp_path):
    assert run_program("mirror('offline', [cell(1), cell(2, failure='loss is not finite', epochs=1)])", tmp_path) == (0, "")
    files = study_files(tmp_path)
    first, failed = content_of(files[1]), content_of(files[2])
    assert first["names"] == [cell_id(1), STUDY, "no-dropout seed 1", "regatta"]
    assert first["config"] == {
        "variant": "no-dropout", "seed": 1, "cell": f"{1:032x}", "model.dropout": 0.1, "train.betas": [0.9, 0.99]
    }  # fmt: skip
    assert first["history"] == expected_history(2)
    assert first["summary"].items() >= {"val_loss": 1, "best_epoch": 2, "val/loss": 1}.items()
    assert first["exit"] == 0
    assert [item["_step"] for item in failed["history"]] == [1]
    assert failed["summary"].items() >= {"val_loss": None, "best_epoch": None, "failure": "loss is not finite"}.items()
    assert failed["exit"] == 1


def test_disabled_study_starts_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("REGATTA_RUNS", str(tmp_path))
    mirror_study(TrackingConfig(mode="disabled", project="p", entity=None), "s", [{"hash": "0"}])
    assert list(tmp_path.iterdir()) == []


def test_cell_is_mirrored_once_for_each_study_and_project(tmp_path):
    assert run_program("mirror('offline', [cell(1), cell(1), cell(2)])", tmp_path) == (0, "")
    before = {file: file.stat().st_mtime_ns for file in study_files(tmp_path).values()}
    assert run_program("mirror('offline', [cell(1), cell(3), cell(2)])", tmp_path) == (0, "")
    files = study_files(tmp_path)
    assert sorted(files) == [1, 2, 3]
    assert {file: file.stat().st_mtime_ns for file in files.values() if file in before} == before
    assert run_program("mirror('offline', [cell(1)], project='other')", tmp_path) == (0, "")
    ones = [content_of(file)["names"][3] for file in tmp_path.glob(f"runs/cells/wandb/*/run-{cell_id(1)}.wandb")]
    assert sorted(ones) == ["other", "regatta"]


def test_study_that_shares_cells_with_another_has_all_of_its_own(tmp_path, server):
    one, two = "mirror('online', [cell(1), cell(2), cell(3)])", "mirror('online', [cell(1), cell(2), cell(4)], study='two')"
    for body in (one, two, one, two):
        code, _ = run_program(body, tmp_path, **server.env())
        assert code == 0
        groups = {}
        for name, run in server.runs.items():
            groups.setdefault(run["groupName"], []).append(int(name.split("-")[0], 16))
        assert sorted(groups[STUDY]) == [1, 2, 3]
    assert sorted(groups["two"]) == [1, 2, 4]
    assert set(server.history) == set(server.runs)
    server.received = b""
    assert run_program(f"{one}; {two}", tmp_path, **server.env()) == (0, "")
    assert server.received == b""


def test_another_server_gets_the_study_too(tmp_path, server):
    body = "mirror('online', [cell(1)])"
    assert run_program(body, tmp_path, **server.env())[0] == 0
    with served() as other:
        assert run_program(body, tmp_path, **other.env())[0] == 0
        assert list(other.exit_codes) == [cell_id(1)]


def test_long_names_are_cut_as_a_server_takes_them(tmp_path):
    study = "does-" + "long-" * 40 + "help"
    assert run_program(f"mirror('offline', [cell(1)], study='{study}')", tmp_path) == (0, "")
    (file,) = study_files(tmp_path).values()
    group = content_of(file)["names"][1]
    assert len(group) == 128
    assert group == f"{study[:119]}-{digest(study)[:8]}"


def test_study_that_a_server_refuses_after_opening_is_finished_offline(tmp_path, server):
    body = "mirror('online', [cell(1), cell(2)])"
    server.answers_stream = 409
    code, told = run_program(body, tmp_path, **server.env())
    assert code == 0
    reason = "not all that was sent has arrived: Fatal error while uploading data"
    assert told == (
        f"tracking: W&B is not used online ({reason}); send the study's runs later with: "
        "wandb sync runs/cells/wandb/offline-run-*\n"
    )
    assert sorted(study_files(tmp_path)) == [1, 2]
    server.answers_stream = 200
    run_told_command(told, tmp_path, server)
    assert server.exit_codes == {cell_id(1): 0, cell_id(2): 0}


MANY = "mirror('offline', [cell(k, epochs=30) for k in range(30)])"


@pytest.mark.parametrize("victim", ["mirror", "service", "study"])
def test_study_whose_mirror_was_killed_is_mirrored_once_in_the_end(tmp_path, victim):
    place = tmp_path / "runs" / "cells" / "wandb"

    def marked():
        return {mark.stem for mark in place.glob("mirrored/*/*.json")}

    def opened():
        return {file.stem.removeprefix("run-") for file in place.glob("offline-run-*/*.wandb")}

    with start_program(MANY, tmp_path) as program:
        wait_until(lambda: len(marked()) > 2)
        (mirror,) = children(program.pid)
        while not opened() - marked():  # the mirror is held in the middle of a cell
            os.kill(mirror, signal.SIGCONT)
            time.sleep(0.002)
            os.kill(mirror, signal.SIGSTOP)
        (unfinished,) = opened() - marked()
        assert len(marked()) < 30
        os.kill({"mirror": mirror, "service": children(mirror)[0], "study": program.pid}[victim], signal.SIGKILL)
        os.kill(mirror, signal.SIGCONT)
        _, told = program.communicate(timeout=60)
    assert all(_has_end(file) for name in marked() for file in place.glob(f"offline-run-*/run-{name}.wandb"))
    part = {"mirror": "tracking: W&B's part of the study ended early (exit code -9)", "service": "tracking: W&B mirrors no"}
    assert told.startswith(part.get(victim, ""))
    assert told.count("\n") == (victim != "study")
    assert run_program(MANY, tmp_path) == (0, "")
    files = study_files(tmp_path)
    assert sorted(files) == list(range(30))
    for k in (0, int(unfinished.split("-")[0], 16), 29):
        content = content_of(files[k])
        assert [item["_step"] for item in content["history"]] == list(range(1, 31))
        assert content["exit"] == 0


def test_two_studies_at_once_mirror_their_cells_once_each(tmp_path):
    body = "mirror('offline', [cell(k) for k in {}], study='{}')"
    with (
        start_program(body.format("range(10)", "one"), tmp_path) as one,
        start_program(body.format("range(5, 15)", "two"), tmp_path) as two,
    ):
        assert [one.communicate(timeout=120), two.communicate(timeout=120)] == [("", ""), ("", "")]
    files = [file.stem.removeprefix("run-") for file in tmp_path.glob("runs/cells/wandb/offline-run-*/*.wandb")]
    assert sorted(files) == sorted([cell_id(k, "one") for k in range(10)] + [cell_id(k, "two") for k in range(5, 15)])


def test_online_study_reaches_the_server_once(tmp_path, server):
    body = "mirror('online', [cell(1, failure='loss is not finite'), *(cell(k) for k in range(2, 21))])"
    code, told = run_program(body, tmp_path, **server.env())
    assert (code, told) == (0, f"tracking: W&B shows the study at {server.url}/crew/regatta/groups/does%20dropout%20help\n")
    assert server.exit_codes == {cell_id(k): int(k == 1) for k in range(1, 21)}
    assert {run["groupName"] for run in server.runs.values()} == {"does dropout help"}
    assert len(server.history) == 20
    for name, lines in server.history.items():
        losses = [json.loads(lines[i])["train/loss"] for i in sorted(lines)]
        k = int(name.split("-")[0], 16)
        assert losses == [k, k / 2]
    server.runs.clear()
    assert run_program(body, tmp_path, **server.env()) == (0, "")
    assert server.runs == {}


def test_study_without_a_server_is_mirrored_offline_and_online_once_there_is_one(tmp_path, server):
    body, away = "mirror('online', [cell(1), cell(2)])", server.env() | {"WANDB_BASE_URL": "http://127.0.0.1:9"}
    for _ in range(2):
        code, told = run_program(body, tmp_path, **away)
        assert code == 0
        assert re.fullmatch(
            r"tracking: W&B is not used online \(http://127.0.0.1:9: .*refused\); send the study's runs later with: "
            r"wandb sync runs/cells/wandb/offline-run-\*\n",
            told,
        )
        assert sorted(study_files(tmp_path)) == [1, 2]
    assert run_program(body, tmp_path, **server.env())[0] == 0
    assert sorted(server.exit_codes) == [cell_id(1), cell_id(2)]


@pytest.mark.slow
def test_study_whose_server_vanishes_is_finished_offline(tmp_path, server):
    body = "mirror('online', [cell(k) for k in range(200)])"
    with start_program(body, tmp_path, **server.env()) as program:
        wait_until(lambda: len(server.exit_codes) > 2)
        server.shutdown()
        server.server_close()
        _, told = program.communicate(timeout=120)
    assert program.returncode == 0
    assert told.startswith("tracking: W&B is not used online (")
    assert told.count("\n") == 1
    marked = {mark.stem: json.loads(mark.read_text())["mode"] for mark in tmp_path.glob("runs/cells/wandb/mirrored/*/*.json")}
    assert len(marked) == 200
    assert {name for name, mode in marked.items() if mode == "online"} <= set(server.exit_codes)


@pytest.mark.slow
@pytest.mark.parametrize("illness", ["error", "silence"])
def test_ill_server_holds_the_end_of_a_run_up_for_a_limited_time(tmp_path, server, illness):
    if illness == "error":
        server.status = 500
    else:
        server.graphql = lambda *_: time.sleep(300)
    started = time.monotonic()
    code, told = run_program(WHOLE.format(mode="online"), tmp_path, **server.env())
    assert time.monotonic() - started < 65
    assert code == 0
    assert told.startswith("tracking: W&B is not used online (")
    assert steps(tmp_path) == [1, 2, 3]


@pytest.mark.slow
def test_server_that_vanishes_holds_the_end_of_a_run_up_for_a_limited_time_and_the_run_can_be_sent_later(tmp_path, server):
    with start_program(GATED, tmp_path, **server.env()) as program:
        wait_until(lambda: RUN in server.runs)
        server.shutdown()
        server.server_close()
        (tmp_path / "on").touch()
        started = time.monotonic()
        _, told = program.communicate(timeout=120)
    assert time.monotonic() - started < 65
    assert program.returncode == 0
    assert "W&B is not used online (" in told.splitlines()[-1]
    assert mirrored(tmp_path)["history"] == expected_history(4)
    with served() as again:
        run_told_command(told, tmp_path, again)
        assert again.steps() == [1, 2, 3, 4]
