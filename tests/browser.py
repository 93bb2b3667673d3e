"""Chromium without a screen, driven by its own protocol: a page as somebody uses it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WAIT_S = 60


class Page:
    """One page, and what its console has said beside the statuses of answers."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.number = socket, 0
        self.console: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command's result."""
        self.number += 1
        await self.socket.send_json({"id": self.number, "method": method, "params": params})
        while True:
            told = await self.socket.receive_json(timeout=WAIT_S)
            answered = told.get("params", {}).get("entry", {}).get("source") == "network"  # a status that says no
            if told.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown") and not answered:
                self.console.append(json.dumps(told["params"]))
            if told.get("id") == self.number:
                assert "error" not in told, told
                return dict(told["result"])

    async def value(self, script: str) -> Any:
        """What an expression is in the page."""
        found = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str) -> Any:
        """What it is once it is something."""
        end = time.monotonic() + WAIT_S
        while not (found := await self.value(script)):
            assert time.monotonic() < end, (script, await self.value("document.body.innerText"), self.console)
        return found

    async def type(self, text: str) -> None:
        """Into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def press(self, key: str, code: int) -> None:
        """One key."""
        own = {"key": key, "code": key, "windowsVirtualKeyCode": code, "text": "\r" if key == "Enter" else ""}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **own)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **own)

    async def choose(self, selector: str, *files: Path) -> None:
        """Files for an input."""
        root = (await self.call("DOM.getDocument"))["root"]["nodeId"]
        node = (await self.call("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        await self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    async def wide(self, width: int, *, dark: bool = False) -> None:
        """As on a screen of this width."""
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=True)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self) -> bytes:
        """PNG of all of it."""
        found = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(found["data"])


@asynccontextmanager
async def opened(address: str) -> AsyncIterator[Page]:
    """A page while the block runs."""
    assert CHROMIUM
    with _profile() as folder:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
        process = subprocess.Popen([CHROMIUM, *flags, "about:blank"], stderr=subprocess.DEVNULL)
        try:
            port = await _port(Path(folder) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/json/list") as pages:
                [target] = [page for page in await pages.json() if page["type"] == "page"]
                async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    for domain in ("Page", "Runtime", "Log", "DOM"):
                        await page.call(f"{domain}.enable")
                    await page.call("Page.navigate", url=address)
                    await page.until("document.readyState === 'complete' && location.href !== 'about:blank'")
                    yield page
        finally:
            process.terminate()
            process.wait(WAIT_S)


@contextmanager
def _profile() -> Iterator[str]:
    """The browser's folder. Its helper processes outlive it by a moment, and write there: removed until it is gone."""
    folder = tempfile.mkdtemp()
    try:
        yield folder
    finally:
        end = time.monotonic() + WAIT_S
        while os.path.exists(folder):
            shutil.rmtree(folder, ignore_errors=time.monotonic() < end)
            time.sleep(0.05)


async def _port(file: Path) -> int:
    end = time.monotonic() + WAIT_S
    while not (file.exists() and file.read_text().count("\n")):
        assert time.monotonic() < end
        time.sleep(0.05)
    return int(file.read_text().split()[0])
