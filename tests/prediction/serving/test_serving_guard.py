"""Who may ask: this machine, or whoever has the token; and no page of another place."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from published import Case
from served import Asker, serving

from pipeline.errors import ConfigError
from pipeline.prediction.serving.guard import Guard, guard_of

TOKEN = "0123456789abcdef0123"
ROW = {"rows": [{"age": "30", "city": "Oslo", "joined": "2020-01-01"}]}


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({"Host": "evil.example"}, 403, "Host"),
        ({"Host": "evil.example:8000"}, 403, "Host"),
        ({"Host": "localhost.evil.example"}, 403, "Host"),
        ({"Host": ""}, 403, "Host"),
        ({"Host": "[::1"}, 403, "Host"),
        ({"Host": "127.0.0.1"}, 200, None),
        ({"Host": "LOCALHOST:8000"}, 200, None),
        ({"Host": "localhost."}, 200, None),
        ({"Host": "[::1]:8000"}, 200, None),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200, None),
        ({"Host": "localhost:8000", "Origin": "https://localhost:8000"}, 200, None),
        ({"Host": "localhost:8000", "Origin": "http://localhost:9000"}, 403, "Origin"),
        ({"Host": "localhost:8000", "Origin": "http://evil.example"}, 403, "Origin"),
        ({"Host": "localhost:8000", "Origin": "null"}, 403, "Origin"),
        ({"Host": "localhost:8000", "Origin": ""}, 403, "Origin"),
    ],
)
def test_host_and_origin(headers: dict[str, str], status: int, field: str | None, made: Callable[[str], Case]) -> None:
    with serving(made("rows").model) as ask:
        said = ask.json(ROW, **headers)
        assert said.status == status, said.text
        assert field is None or said.error["field"] == field
        assert ask("GET", "/health", **headers).status == status


def test_a_told_name_is_a_host() -> None:
    guard = guard_of("127.0.0.1", ["Model.Example"], None, {}, "m")
    guard.check_place({"Host": "model.example:8000", "Origin": "http://model.example:8000"})


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 401), ("", 401), ("Bearer", 401), (f"Basic {TOKEN}", 401), (f"Bearer {TOKEN[:-1]}", 401),
        (f"Bearer {TOKEN}x", 401), ("Bearer \xff", 401), (f"Bearer {TOKEN}", 200), (f"bearer {TOKEN}", 200),
    ],
)  # fmt: skip
def test_the_token(given: str | None, status: int, made: Callable[[str], Case], capfd: pytest.CaptureFixture[str]) -> None:
    headers = {} if given is None else {"Authorization": given}
    with serving(made("rows").model, token=TOKEN) as ask:
        answers = [ask.json(ROW, **headers), ask("GET", "/schema", **headers), ask("GET", "/metrics", **headers)]
        open_to_all = [ask("GET", "/health"), ask("GET", "/")]
    assert [said.status for said in answers] == [status] * 3
    assert [said.status for said in open_to_all] == [200, 200]
    assert all(TOKEN not in said.text for said in (*answers, *open_to_all))
    assert TOKEN not in "".join(capfd.readouterr())
    if status == 401:
        assert answers[0].headers["WWW-Authenticate"] == "Bearer"
        assert answers[0].error["field"] == "Authorization"


def test_the_page_and_its_policy(made: Callable[[str], Case]) -> None:
    with serving(made("rows").model) as ask:
        said = ask("GET", "/")
        assert ask("PUT", "/predict").status == 405
        assert ask("GET", "/../etc/passwd").status == 404
        assert ask("GET", "/nope").error["message"] == "GET /nope: Not Found"
    policy = said.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert said.headers["X-Content-Type-Options"] == "nosniff"
    assert "http://" not in said.text
    assert "https://" not in said.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_other_machines_need_a_token(host: str) -> None:
    with pytest.raises(
        ConfigError, match=r"a token is needed: \(umask 077; openssl rand -hex 32 > ~/\.regatta-token\); regatta"
    ):
        guard_of(host, [], None, {}, "m")
    environment = {"REGATTA_TOKEN": TOKEN, "OTHER": "1"}
    assert guard_of(host, [], None, environment, "m").token == TOKEN
    assert environment == {"OTHER": "1"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_needs_none(host: str) -> None:
    assert guard_of(host, [], None, {}, "m").token is None


def test_a_token_that_is_none_is_refused_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "token"
    for content, said in (("short", "16 characters or more"), ("two words of a token", "without blanks"), ("\xff" * 20, "16")):
        file.write_text(content)
        file.chmod(0o600)
        with pytest.raises(ConfigError, match=said) as raised:
            guard_of("127.0.0.1", [], file, {}, "m")
        assert content not in str(raised.value)
    file.write_text(f"{TOKEN}\n")
    assert guard_of("0.0.0.0", [], file, {}, "m").token == TOKEN
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="other users may read it; say chmod 600"):
        guard_of("127.0.0.1", [], file, {}, "m")
    with pytest.raises(ConfigError, match=r"can't be read \(No such file"):
        guard_of("127.0.0.1", [], tmp_path / "none", {}, "m")
    assert TOKEN not in repr(Guard(TOKEN, frozenset()))


def test_lines_that_are_no_http_are_not_logged(
    made: Callable[[str], Case], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with serving(made("rows").model, token=TOKEN) as ask:
        for line in (f"Authorization: Bearer {TOKEN}\x00", f"Authorization Bearer {TOKEN}"):
            with socket.create_connection(("127.0.0.1", ask.port), timeout=60) as connection:
                connection.sendall(f"GET /health HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n".encode())
                assert connection.recv(65536).split()[1] == b"400"
    assert TOKEN not in "".join(capfd.readouterr()) + caplog.text


def test_a_host_is_needed_though_nobody_sends_none(made: Callable[[str], Case]) -> None:
    with serving(made("rows").model) as ask:
        assert _without_host(ask) in (400, 403)


def _without_host(ask: Asker) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", ask.port, timeout=60)
    connection.putrequest("GET", "/health", skip_host=True)
    connection.endheaders()
    return connection.getresponse().status
