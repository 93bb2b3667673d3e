"""A server that answers beside a test, and what somebody sends to it."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.prediction.model import Model
from pipeline.prediction.serving.app import Server, listening, serve
from pipeline.prediction.serving.guard import Guard
from pipeline.prediction.serving.refused import Limits

NAMES = frozenset({"localhost"})
WAIT_S = 120


class Said(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["error"]
        return found


class Asker(NamedTuple):
    """Asks a server, each time by a connection of its own."""

    port: int
    server: Server

    def __call__(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Said:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return Said(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def json(self, value: Any, query: str = "", **headers: str) -> Said:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self("POST", f"/predict{query}", body, Content_Type="application/json", **headers)

    def files(self, *files: tuple[str, bytes], query: str = "", **headers: str) -> Said:
        body, kind = form_of(*files)
        return self("POST", f"/predict{query}", body, Content_Type=kind, **headers)


def form_of(*files: tuple[str, bytes]) -> tuple[bytes, str]:
    """A body of multipart/form-data, and its type."""
    mark = uuid.uuid4().hex
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + content + b"\r\n"
        for name, content in files
    ]
    return b"".join([*parts, f"--{mark}--\r\n".encode()]), f"multipart/form-data; boundary={mark}"


@contextmanager
def serving(model: Path, limits: Limits | None = None, token: str | None = None) -> Iterator[Asker]:
    """A server in a thread while the block runs, and a stop at its end."""
    server = Server(replace(Model.load(model), workers=1), Guard(token, NAMES), limits or Limits())
    stop, ready = threading.Event(), threading.Event()
    with listening("127.0.0.1", 0) as place:
        port = place.getsockname()[1]
        thread = threading.Thread(target=lambda: asyncio.run(serve(server, place, stop.is_set, ready.set)))
        thread.start()
        try:
            assert ready.wait(WAIT_S)
            yield Asker(port, server)
        finally:
            stop.set()
            thread.join(WAIT_S)
            assert not thread.is_alive()
