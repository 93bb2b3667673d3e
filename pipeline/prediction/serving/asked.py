"""What a request asks: its body as it comes, cut off at the limits; nothing of it is decoded here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from aiohttp import BodyPartReader, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from pipeline.prediction.serving.refused import Limits, RefusedError, too_large, too_many

FORMS = ("application/json", "multipart/form-data")
_CHUNK = 2**16
_NO_FORM = (ValueError, AssertionError, RuntimeError, HttpProcessingError)
"""What aiohttp raises of forms that are none."""
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Asked:
    """A body of JSON, or files with the names they came with."""

    json: bytes | None
    files: list[tuple[str, bytes]] = field(default_factory=list)
    top: int | None = None
    """So many classes are told with their probabilities; None: all."""
    calibrated: bool = False


async def asked_of(request: web.Request, limits: Limits) -> Asked:
    """RefusedError where it is of no form that is known, too large, has too many files, or does not come to its end in time."""
    top, calibrated = _options(request.query)
    _check_head(request, limits)
    try:
        async with asyncio.timeout(limits.body_s):
            if request.content_type == FORMS[0]:
                return Asked(await _joined("body", request.content, limits), [], top, calibrated)
            return Asked(None, await _files(request, limits), top, calibrated)
    except (web.RequestPayloadError, ConnectionError):
        raise RefusedError("body", "it is not as its head says, or ends before its end", status=400) from None
    except TimeoutError:
        raise RefusedError("body", f"it has not come in {limits.body_s:g} seconds", status=408) from None


def _options(query: Mapping[str, str]) -> tuple[int | None, bool]:
    for key in query:
        if key not in ("top", "calibrated"):
            raise RefusedError(key[:40], "no option; there are top and calibrated", None, ["top", "calibrated"])
    top, calibrated = query.get("top"), query.get("calibrated", "false")
    if top is not None and not (top.isascii() and top.isdigit() and int(top[:9]) > 0 and len(top) < 10):
        raise RefusedError("top", f"{top[:40]!r} is no number of classes; one or more are told", top[:40], "1 or more")
    if calibrated not in ("true", "false"):
        raise RefusedError("calibrated", f"{calibrated[:40]!r}; true or false is allowed", calibrated[:40], ["true", "false"])
    return None if top is None else int(top), calibrated == "true"


def _check_head(request: web.Request, limits: Limits) -> None:
    if request.content_type not in FORMS:
        raise RefusedError(
            "Content-Type",
            f"{request.content_type[:80]}; {' or '.join(FORMS)} is allowed",
            request.content_type[:80],
            list(FORMS),
            status=415,
        )
    if "Content-Encoding" in request.headers:
        raise RefusedError("Content-Encoding", "bodies come as they are, not packed", status=415)
    if request.content_length is not None and request.content_length > limits.body_bytes:
        raise too_large("body", request.content_length, limits)


async def _files(request: web.Request, limits: Limits) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    left = limits.body_bytes
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.filename is None:
                raise RefusedError(getattr(part, "name", None) or "body", "a part of the form is no file; send files alone")
            if len(found) == limits.items:
                raise too_many("files", None, limits)
            found.append((_shown(part.filename), await _joined(_shown(part.filename), part, limits, left)))
            left -= len(found[-1][1])
    except _NO_FORM as error:
        raise RefusedError("body", "no form with files as multipart/form-data has it", status=400) from error
    if not found:
        raise RefusedError("body", "no file in it; at least one is needed", 0, "1 or more")
    return found


async def _joined(name: str, stream: StreamReader | BodyPartReader, limits: Limits, left: int | None = None) -> bytes:
    """All of it; left: bytes that may still come, where others have come before."""
    left = limits.body_bytes if left is None else left
    body = bytearray()
    async for chunk in _chunks(stream):
        body += chunk
        if len(body) > left:
            raise too_large(name, None, limits)
    return bytes(body)


async def _chunks(stream: StreamReader | BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await (stream.read(_CHUNK) if isinstance(stream, StreamReader) else stream.read_chunk(_CHUNK)):
        yield chunk


def _shown(name: str) -> str:
    """The name alone of a file, however its sender has called it."""
    plain = PurePath(name.replace("\\", "/")).name.encode("utf-8", "replace").decode()
    return plain[:_LONGEST_NAME] or "file"
