"""What is asked wrongly, or is too much, is refused with the field, the value and what is allowed."""

from __future__ import annotations

import json
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from published import Case
from served import Asker, form_of, serving

from pipeline.prediction.serving.refused import Limits

ROW = {"age": "30", "city": "Oslo", "joined": "2020-01-01"}
DEEP = b"[" * 100_000


def row(**cells: Any) -> dict[str, Any]:
    return {"rows": [ROW | cells]}


WRONG_ROWS: list[tuple[Any, int, str, str]] = [
    (b"", 400, "body", "no JSON"),
    (b"{", 400, "body", "line 1, column 2"),
    (b"\xff\xfe", 400, "body", "no JSON"),
    (DEEP, 400, "body", "no JSON"),
    (b"1" * 5000, 400, "body", "no JSON"),
    (b'{"rows": [{"age": NaN}]}', 422, "body", "NaN is no number of JSON"),
    ([], 422, "body", 'an object with one field is expected, {"rows": [...]}'),
    ({}, 422, "body", "an object with one field"),
    ({"rows": [ROW], "more": 1}, 422, "body", "an object with one field"),
    ({"texts": ["a"]}, 422, "body", "an object with one field"),
    ({"rows": ROW}, 422, "rows", "a list with at least one sample"),
    ({"rows": []}, 422, "rows", "a list with at least one sample"),
    ({"rows": [ROW] * 9}, 422, "rows", "9 samples are more than the 8 of a request"),
    ({"rows": [ROW, 1]}, 422, "rows[1]", "int, and an object with the columns' values is expected"),
    (row(age=[1]), 422, "rows[0].age", "a text, a number, true, false or null"),
    (row(age=10**30), 422, "rows[0].age", "64 bits"),
    (row(age=10**400), 422, "rows[0].age", "64 bits"),
    (row(city="\ud800"), 422, "rows[0].city", "surrogate"),
    (row(age="old"), 422, "rows", "column 'age' says 'old', no finite number"),
    (row(age=1e39), 422, "rows", "more than float32 holds"),
    (b'{"rows": [{"age": 1e400, "city": "a", "joined": "2020-01-01"}]}', 422, "rows", "column 'age' says 'inf'"),
    (row(joined="2020-02-31"), 422, "rows", "which is no date"),
    ({"rows": [{"age": 1}]}, 422, "rows", "no column 'city', 'joined'"),
]


@pytest.mark.parametrize(("body", "status", "field", "said"), WRONG_ROWS)
def test_rows(body: Any, status: int, field: str, said: str, asked: dict[str, Asker]) -> None:
    answer = asked["rows"].json(body)
    assert (answer.status, answer.error["field"]) == (status, field), answer.text
    assert said in answer.error["message"]


WRONG_ARRAYS: list[tuple[Any, str]] = [
    ([[1, 2], [3]], "no numbers in lists of one length"),
    ([["a"]], "no numbers in lists of one length"),
    ([None], "no numbers in lists of one length"),
    ([[True]], "no numbers in lists of one length"),
    ([1], "1; numbers of the shape n x 3 x 6 x 6 are expected"),
    ([[[[0] * 6] * 6] * 3 + [[[0] * 6] * 6]], "1 x 4 x 6 x 6; numbers of the shape n x 3 x 6 x 6"),
    ([[[[256] * 6] * 6] * 3], "256; whole numbers from 0 to 255"),
    ([[[[-1] * 6] * 6] * 3], "-1; whole numbers from 0 to 255"),
    ([[[[0.5] * 6] * 6] * 3], "0.5; whole numbers from 0 to 255"),
    ([[10**400]], "no numbers in lists of one length"),
]


@pytest.mark.parametrize(("arrays", "said"), WRONG_ARRAYS)
def test_arrays(arrays: Any, said: str, asked: dict[str, Asker]) -> None:
    answer = asked["photos"].json({"arrays": arrays})
    assert (answer.status, answer.error["field"]) == (422, "arrays"), answer.text
    assert said in answer.error["message"]


@pytest.mark.parametrize(
    ("texts", "field", "said"),
    [
        (["a", 1], "texts[1]", "int, and a text is expected"),
        (["\ud83d"], "texts[0]", "surrogate"),
        (["a", ""], "texts", "text 1: no text"),
        ([" \n"], "texts", "text 0: no text"),
        ("a", "texts", "a list with at least one sample"),
    ],
)
def test_texts(texts: Any, field: str, said: str, asked: dict[str, Asker]) -> None:
    answer = asked["texts"].json({"texts": texts})
    assert (answer.status, answer.error["field"]) == (422, field), answer.text
    assert said in answer.error["message"]


@pytest.mark.parametrize(
    ("query", "field"), [("?top=0", "top"), ("?top=-1", "top"), ("?top=x", "top"), ("?top=" + "9" * 5000, "top"),
                         ("?calibrated=maybe", "calibrated"), ("?calibrated=true", "calibrated"), ("?tpo=1", "tpo")],
)  # fmt: skip
def test_options(query: str, field: str, asked: dict[str, Asker]) -> None:
    answer = asked["rows"].json({"rows": [ROW]}, query)
    assert (answer.status, answer.error["field"]) == (422, field)


@pytest.mark.parametrize(
    ("body", "headers", "status", "field"),
    [
        (b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "Content-Type"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "Content-Type"),
        (b"{}", {}, 415, "Content-Type"),
        (b"{}", {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415, "Content-Encoding"),
        (b"x", {"Content-Type": "multipart/form-data"}, 400, "body"),
        (b"x", {"Content-Type": "multipart/form-data; boundary=b"}, 400, "body"),
        (b'--b\r\nContent-Dispo\x82: form-data; name="f"; filename="f"\r\n\r\n1\r\n--b--\r\n',
         {"Content-Type": "multipart/form-data; boundary=b"}, 400, "body"),
        (b"--b\r\n" + b"x" * 100_000, {"Content-Type": "multipart/form-data; boundary=b"}, 400, "body"),
        (b"--b--\r\n", {"Content-Type": "multipart/form-data; boundary=b"}, 422, "body"),
        (b'--b\r\nContent-Disposition: form-data; name="age"\r\n\r\n1\r\n--b--\r\n',
         {"Content-Type": "multipart/form-data; boundary=b"}, 422, "age"),
    ],
)  # fmt: skip
def test_forms(body: bytes, headers: dict[str, str], status: int, field: str, asked: dict[str, Asker]) -> None:
    answer = asked["rows"]("POST", "/predict", body, **headers)
    assert (answer.status, answer.error["field"]) == (status, field), answer.text


def test_bytes_are_counted_before_they_are_read_and_while_they_come(asked: dict[str, Asker]) -> None:
    ask = asked["photos"]
    told = ask("POST", "/predict", b"x" * 5000, Content_Type="application/json")
    assert (told.status, told.error["value"], told.error["allowed"]) == (413, 5000, 4096)
    body, kind = form_of(("a.png", b"x" * 2500), ("b.png", b"x" * 2500))
    for form, said in ((body, kind), (b"x" * 5000, "application/json")):
        answer = _unsized(ask.port, form, said)
        assert answer.startswith("HTTP/1.1 413"), answer
        assert '"allowed": 4096' in answer


def _unsized(port: int, body: bytes, kind: str) -> str:
    """The answer to a body that does not say how long it is."""
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head.encode() + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")
        said = b""
        while b"message" not in said:
            said += connection.recv(65536)
        return said.decode()


def test_a_body_that_is_not_as_its_head_says(asked: dict[str, Asker], capfd: pytest.CaptureFixture[str]) -> None:
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", asked["rows"].port), timeout=60) as connection:
        connection.sendall(head.encode() + b"zz\r\n{}\r\n")
        assert connection.recv(65536).startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    with socket.create_connection(("127.0.0.1", asked["rows"].port), timeout=60) as connection:
        connection.sendall(head.encode() + b"5\r\n{")
    while asked["rows"].server.open:
        assert asked["rows"]("GET", "/health").status == 200
    assert asked["rows"].json({"rows": [ROW]}).status == 200
    assert "".join(capfd.readouterr()) == ""


def test_files_and_rows_are_counted(asked: dict[str, Asker]) -> None:
    many = asked["photos"].files(*[(f"{i}.png", b"x") for i in range(9)])
    assert (many.status, many.error["field"], many.error["allowed"]) == (422, "files", 8)
    lines = "age,city,joined\n" + "30,Oslo,2020-01-01\n" * 9
    rows = asked["rows"].files(("t.csv", lines.encode()))
    assert (rows.status, rows.error["field"], rows.error["allowed"]) == (422, "t.csv", 8)
    assert asked["rows"].files(("t.csv", lines[:-20].encode())).status == 200


@pytest.mark.parametrize("content", [b"PAR1....PAR1", b"\x1f\x8b\x08"])
def test_packed_tables_are_not_taken(content: bytes, asked: dict[str, Asker]) -> None:
    answer = asked["rows"].files(("t.csv", content))
    assert (answer.status, answer.error["field"]) == (422, "t.csv")
    assert "send CSV, TSV or JSON lines" in answer.error["message"]


def test_a_picture_is_measured_by_its_header(asked: dict[str, Asker]) -> None:
    """A bomb of 10,000 x 10,000 in a few bytes, whose pixels are not even there."""
    answer = asked["photos"].files(("bomb.png", _png(10_000, 10_000)))
    assert answer.status == 422
    [problem] = answer.body["problems"]
    assert "100000000 pixels" in problem["reason"].replace(",", "")
    assert "data.max_pixels = 1000000" in problem["reason"].replace(",", "")


def _png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_body_that_does_not_come_is_given_up(made: Callable[[str], Case]) -> None:
    with (
        serving(made("rows").model, Limits(body_s=0.5)) as ask,
        socket.create_connection(("127.0.0.1", ask.port), timeout=60) as connection,
    ):
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        said = connection.recv(65536).decode()
    assert said.startswith("HTTP/1.1 408"), said
    assert "it has not come in 0.5 seconds" in said


def test_a_full_queue_says_when_to_come_again(made: Callable[[str], Case]) -> None:
    with serving(made("rows").model, Limits(queue=2)) as ask:
        held, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            held.set()
            go_on.wait(60)

        ask.server.worker.submit(hold)
        assert held.wait(60)
        answers: list[int] = []
        threads = [threading.Thread(target=lambda: answers.append(ask.json({"rows": [ROW]}).status)) for _ in range(2)]
        for thread in threads:
            thread.start()
        while ask.server.pending < 2:
            assert "ready" in ask("GET", "/health").text
        full = ask.json({"rows": [ROW]})
        queue = ask("GET", "/metrics").text
        go_on.set()
        for thread in threads:
            thread.join(60)
        assert (full.status, full.error["field"], full.error["value"], full.error["allowed"]) == (503, "queue", 2, 2)
        assert int(full.headers["Retry-After"]) >= 1
        assert "regatta_queue 2.0" in queue
        assert 'regatta_refused_total{status="503"} 1.0' in queue
        assert answers == [200, 200]
        assert ask.json({"rows": [ROW]}).status == 200


def test_a_fault_is_told_without_its_place(made: Callable[[str], Case], capfd: pytest.CaptureFixture[str]) -> None:
    with serving(made("rows").model) as ask:
        ask.server.worker.shutdown()
        said = ask.json({"rows": [ROW]})
        assert ask("GET", "/health").status == 200
    assert said.status == 500
    assert json.loads(said.text) == {"error": {"message": "a fault of the server, which its terminal shows"}}
    assert "cannot schedule new futures" in capfd.readouterr().err
