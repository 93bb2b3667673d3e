"""The server: its paths, its one worker, and how it stops without losing what it has accepted."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import math
import re
import socket
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from pipeline.errors import ConfigError
from pipeline.prediction.model import Model
from pipeline.prediction.serving.answering import Answering
from pipeline.prediction.serving.asked import asked_of
from pipeline.prediction.serving.described import schema_of
from pipeline.prediction.serving.guard import Guard
from pipeline.prediction.serving.meters import TYPE, Meters
from pipeline.prediction.serving.refused import Limits, RefusedError
from pipeline.prediction.serving.samples import taken_by

PAGE = Path(__file__).with_name("page.html")
PUBLIC = ("/", "/health")
"""They need no token, and say nothing of the network."""
LOOK_S = 0.05
"""A stop is looked for so often."""
KEPT_S = 1.0
"""After a stop, so long a connection that is open may still bring a request; its answer says that it is the last."""
_HEADERS = {
    "Server": "regatta",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """One network's: what is under way, and the answers to each path. Lives in one event loop."""

    def __init__(self, model: Model, guard: Guard, limits: Limits) -> None:
        self.model, self.guard, self.limits = model, guard, limits
        self.answering = Answering(model, taken_by(model), limits)
        self.pending, self.draining = 0, False
        self.asked, self.accepted, self.open = 0, 0, 0
        """Requests: to whatever path, those for predictions that were let in, and those that have no answer yet."""
        self.meters = Meters(lambda: self.pending)
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="regatta-serve")
        self.last_s = 0.0
        """Of the answer before."""
        self.page = PAGE.read_text(encoding="utf-8")
        self.policy = policy_of(self.page)

    def app(self) -> web.Application:
        """Its paths."""
        app = web.Application(middlewares=[self._answered])
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/schema", self._schema),
                web.get("/health", self._health),
                web.get("/metrics", self._metrics),
                web.post("/predict", self._predict),
            ]
        )
        return app

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The answer, or in JSON why there is none; during a stop the last one of its connection."""
        self.asked, self.open = self.asked + 1, self.open + 1
        try:
            response = await self._guarded(request, handler)
        finally:
            self.open -= 1
        response.headers.update(_HEADERS)
        if self.draining:
            response.force_close()
        return response

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self.guard.check_place(request.headers)
            if request.path not in PUBLIC:
                self.guard.check_token(request.headers)
            return await handler(request)
        except RefusedError as refused:
            self.meters.refused.labels(refused.status).inc()
            return _json(refused.as_json(), refused.status, refused.headers)
        except web.HTTPException as error:  # no such path, or another method
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return _json({"error": {"message": f"{request.method} {request.path[:200]}: {error.reason}"}}, error.status, allow)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            return _json({"error": {"message": "a fault of the server, which its terminal shows"}}, 500)

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=self.page, content_type="text/html", headers={"Content-Security-Policy": self.policy})

    async def _schema(self, request: web.Request) -> web.Response:
        address = f"{request.scheme}://{request.host}/"
        own = self.answering
        return _json(schema_of(self.model, own.taken, self.limits, address, with_token=self.guard.token is not None))

    async def _health(self, request: web.Request) -> web.Response:
        return _json({"status": "draining"}, 503) if self.draining else _json({"status": "ready"})

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self.meters.text(), headers={"Content-Type": TYPE})

    async def _predict(self, request: web.Request) -> web.Response:
        """Accepted unless the queue is full; from then on there will be an answer."""
        began, status = time.perf_counter(), 500
        try:
            if self.pending >= self.limits.queue:
                status = 503
                raise self._busy()
            response = await self._accepted(request)
            status = response.status
            return response
        except RefusedError as refused:
            status = refused.status
            raise
        finally:
            self.meters.requests.labels(status).inc()
            self.meters.latency.observe(time.perf_counter() - began)

    async def _accepted(self, request: web.Request) -> web.Response:
        self.pending, self.accepted = self.pending + 1, self.accepted + 1
        try:
            asked = await asked_of(request, self.limits)
            began = time.perf_counter()
            answer = await asyncio.get_running_loop().run_in_executor(self.worker, self.answering.answer, asked)
            self.last_s = (time.perf_counter() - began) / self.pending
        finally:
            self.pending -= 1
        self.meters.answers.inc(answer.num)
        self.meters.problems.inc(answer.num_problems)
        return web.Response(body=answer.body, status=200 if answer.num else 422, content_type="application/json")

    def _busy(self) -> RefusedError:
        """How long it may take until there is room is said."""
        wait_s = max(1, math.ceil(self.last_s * self.pending))
        said = f"queue: {self.pending} requests are under way, as many as are allowed; ask again in {wait_s} s"
        return RefusedError("queue", said, self.pending, self.limits.queue, status=503, headers={"Retry-After": str(wait_s)})


def _json(value: Any, status: int = 200, headers: Any = None) -> web.Response:
    text = json.dumps(value, ensure_ascii=False)
    return web.Response(text=text, status=status, content_type="application/json", headers=headers)


def policy_of(page: str) -> str:
    """The page's own script and style run, and nothing else; it can ask this server alone."""
    script, style = (_hash(re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[0]) for tag in ("script", "style"))
    return (
        f"default-src 'none'; script-src '{script}'; style-src '{style}'; img-src blob: data:; "
        "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; ConfigError where it can't be had."""
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port {port}: 0 to 65535 is allowed")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or error
        raise ConfigError(f"--host {host} --port {port}: can't listen there ({said}); --port 0 takes any free one") from None


async def serve(server: Server, place: socket.socket, asked_to_stop: Callable[[], bool], ready: Callable[[], None]) -> None:
    """Answer until a stop is asked for; then accept nothing more, and end when all that was accepted has its answer."""
    runner = web.AppRunner(server.app(), access_log=None, handle_signals=False, logger=_silent())
    await runner.setup()
    site = web.SockSite(runner, place)
    await site.start()
    ready()
    while not asked_to_stop():
        await asyncio.sleep(LOOK_S)
    server.draining = True
    await _accept_rest(runner, place)
    await site.stop()
    await asyncio.sleep(KEPT_S)
    while server.open:
        await asyncio.sleep(LOOK_S)
    await runner.cleanup()
    server.worker.shutdown()


def _silent() -> logging.Logger:
    """For aiohttp, which would show lines that are no HTTP as they come, with a token in one of them."""
    silent = logging.getLogger("pipeline.serving")
    silent.disabled = True
    return silent


async def _accept_rest(runner: web.AppRunner, place: socket.socket) -> None:
    """Connections that the system has accepted for us: closing their queue would throw them away."""
    assert runner.server
    with suppress(BlockingIOError):
        while True:
            connection, _ = place.accept()
            await asyncio.get_running_loop().connect_accepted_socket(runner.server, connection)
