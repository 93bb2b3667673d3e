"""The part of the Hugging Face Hub's API that fetching a network needs, on this machine: names, commits, files, ranges."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What it has, and what it was asked for."""

    files: dict[str, bytes]
    card: dict[str, Any] = field(default_factory=lambda: {"license": "apache-2.0"})
    name: str = "people/small"
    cut: int | None = None
    """Weights come as far as this byte, and no further."""
    false: str | None = None
    """A file of which another content is sent."""
    gated: bool = False
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    """Method, path and range."""
    url: str = ""

    def described(self) -> dict[str, Any]:
        siblings = []
        for name, content in self.files.items():
            entry: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git_hash(content)}
            if name.endswith(".safetensors"):
                sha = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": sha, "size": len(content), "pointerSize": 130}
            siblings.append(entry)
        return {"id": self.name, "sha": COMMIT, "siblings": siblings, "cardData": self.card, "tags": []}


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def of_folder(folder: Path, **more: Any) -> Hub:
    """With the files of a folder."""
    return Hub({path.name: path.read_bytes() for path in sorted(folder.iterdir())}, **more)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((self.command, path, self.headers.get("Range")))
            about, _, revision = path.removeprefix(f"/api/models/{hub.name}").partition("/revision/")
            if path.startswith(f"/api/models/{hub.name}") and not about:
                self.answer(revision)
            elif path.startswith(f"/{hub.name}/resolve/{COMMIT}/"):
                self.file(path.rpartition("/")[2])
            else:
                self.refuse(404, "RepoNotFound")

        def answer(self, revision: str) -> None:
            if hub.gated:
                self.refuse(403, "GatedRepo")
            elif revision in ("", "main", COMMIT):
                self.say(200, json.dumps(hub.described()).encode(), {"Content-Type": "application/json"})
            else:
                self.refuse(404, "RevisionNotFound")

        def file(self, name: str) -> None:
            if name not in hub.files:
                self.refuse(404, "EntryNotFound")
                return
            content = hub.files[name]
            lfs = name.endswith(".safetensors")
            tag = hashlib.sha256(content).hexdigest() if lfs else git_hash(content)
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{tag}"', "Accept-Ranges": "bytes"}
            if name == hub.false:
                content = bytes(len(content))
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
            if "Range" in self.headers and self.command == "GET":
                headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            cut = max(0, hub.cut - start) if lfs and hub.cut is not None else None
            self.say(206 if start else 200, content[start:], headers, cut)

        def refuse(self, code: int, why: str) -> None:
            self.say(code, b"{}", {"X-Error-Code": why, "X-Error-Message": why})

        def say(self, code: int, content: bytes, headers: dict[str, str], cut: int | None = None) -> None:
            self.send_response(code)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content[:cut])
                self.close_connection = cut is not None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
