"""`regatta serve` as a process: what it refuses to start with, and that a stop loses nothing that it has accepted."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from published import Case, published

from pipeline import cli
from pipeline.prediction.serving.app import listening

ROW = json.dumps({"rows": [{"age": "30", "city": "Oslo", "joined": "2020-01-01"}]}).encode()
WAIT_S = 120


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    with pytest.MonkeyPatch.context() as patch:
        return published("rows", tmp_path_factory.mktemp("case"), patch)


@contextmanager
def started(case: Case, *words: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process and its port."""
    command = [sys.executable, "-m", "pipeline.cli", "serve", str(case.model), "--port", "0", *words]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=os.environ | {"PYTHONPATH": str(Path.cwd())}, **streams) as process:  # type: ignore[call-overload]
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line.startswith(f"{case.model} answers at http://127.0.0.1:"), process.stderr.read()
            yield process, int(line.split("/; ")[0].rpartition(":")[2])
        finally:
            process.kill()


class Load:
    """People who ask without a pause, some by a connection each time, some by one that is kept."""

    def __init__(self, port: int, num: int) -> None:
        self.port, self.ended = port, Counter[str]()
        self.threads = [threading.Thread(target=self._ask, args=(i % 2 == 0,)) for i in range(num)]
        for thread in self.threads:
            thread.start()

    def _ask(self, kept: bool) -> None:
        """Until nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        while True:
            try:
                connection.request("POST", "/predict", ROW, {"Content-Type": "application/json"})
                response = connection.getresponse()
                whole = len(json.loads(response.read())["answers"]) == 1
                self.ended["answered" if response.status == 200 and whole else "wrong"] += 1
                if not kept:
                    connection.close()
            except OSError as error:
                self.ended[type(error).__name__] += 1
                return

    def wait(self) -> Counter[str]:
        for thread in self.threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()
        return self.ended


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(("number", "name", "code"), [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "Ctrl-C", 130)])
def test_a_stop_under_load_loses_nothing(number: signal.Signals, name: str, code: int, case: Case) -> None:
    with started(case) as (process, port):
        load = Load(port, 8)
        while load.ended["answered"] < 100:
            time.sleep(0.01)
        process.send_signal(number)
        ended = load.wait()
        said = process.communicate(timeout=WAIT_S)
    assert process.returncode == code, said
    num = f"{ended['answered']:,}"
    assert f"regatta: stopped by {name} once every request had its answer: {num}, of which {num} to /predict" in said[1]
    assert ended["wrong"] == 0
    # Whoever came too late was told so before anything was accepted of him.
    assert set(ended) <= {"answered", "wrong", "ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected"}


@pytest.mark.usefixtures("project")
def test_all_that_was_asked_is_counted_files_of_the_page_and_refused_bodies_too(case: Case) -> None:
    """As the page asks: itself, what it may send, and a form with a file."""
    with started(case) as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="rows.csv"\r\n\r\na\r\n--x--\r\n'
        for method, path, body, kind in [
            ("GET", "/", None, ""),
            ("GET", "/schema", None, ""),
            ("POST", "/predict", part, "multipart/form-data; boundary=x"),
            ("POST", "/predict", ROW, "application/json"),
        ]:
            connection.request(method, path, body, {"Content-Type": kind} if kind else {})
            connection.getresponse().read()
        connection.close()
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=WAIT_S)
    assert "regatta: stopped by SIGTERM once every request had its answer: 4, of which 2 to /predict" in said[1]


@pytest.mark.usefixtures("project")
def test_a_stop_waits_for_who_is_still_sending(case: Case) -> None:
    with started(case) as (process, port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        connection.putrequest("POST", "/predict")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(ROW)))
        connection.endheaders(ROW[:5])
        other = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        while _metric(other, "regatta_queue") < 1:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        while _health(other) != 503:
            time.sleep(0.01)
        with pytest.raises(ConnectionRefusedError):
            _until_refused(port)
        time.sleep(1.5)
        assert process.poll() is None
        connection.send(ROW[5:])
        response = connection.getresponse()
        assert (response.status, response.headers["Connection"]) == (200, "close")
        assert len(json.loads(response.read())["answers"]) == 1
        assert process.wait(WAIT_S) == 143


def _metric(connection: http.client.HTTPConnection, name: str) -> float:
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def _health(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/health")
    response = connection.getresponse()
    response.read()
    return response.status


def _until_refused(port: int) -> None:
    for _ in range(1000):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        connection.request("GET", "/health")
        connection.getresponse().read()
        connection.close()
        time.sleep(0.01)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--host", "0.0.0.0"], 2, "--host 0.0.0.0: other machines could ask, so a token is needed"),
        (["--queue", "0"], 2, "--queue 0: one or more is allowed"),
        (["--max-mb", "-1"], 2, "--max-mb -1: one or more is allowed"),
        (["--token-file", "none"], 2, "none: can't be read (No such file or directory)"),
        (["--host", "256.1.1.1", "--token-file", "TOKEN"], 2, "--host 256.1.1.1 --port 8000: can't listen there"),
        (["--port", "BUSY"], 2, "can't listen there (Address already in use"),
        (["--port", "99999"], 2, "--port 99999: 0 to 65535 is allowed"),
    ],
)
def test_mistakes_are_told(words: list[str], code: int, said: str, case: Case, tmp_path: Path,
                           monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")  # as somebody has said, which stays
    (tmp_path / "token").write_text("0123456789abcdef")
    (tmp_path / "token").chmod(0o600)
    with listening("127.0.0.1", 0) as busy:
        places = {"TOKEN": str(tmp_path / "token"), "BUSY": str(busy.getsockname()[1])}
        assert cli.main(["serve", str(case.model), *(places.get(word, word) for word in words)]) == code
    assert said in capsys.readouterr().err
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


@pytest.mark.usefixtures("project")
def test_a_folder_without_a_network_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", str(tmp_path)]) == 5
    assert "no model.json in it" in capsys.readouterr().err
    assert cli.main(["serve", str(tmp_path / "nothing")]) == 2
    assert f"{tmp_path / 'nothing'}: no such folder; name the folder of a trained network" in capsys.readouterr().err
