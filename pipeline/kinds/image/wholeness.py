"""Whether an encoded image is whole. A decoder that succeeds is no proof: several accept a file that was cut short."""

from __future__ import annotations

import re
import struct
import zlib

_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_EMPTY_TAIL = bytes(32)


def defect(kind: str, content: bytes) -> str | None:
    """What shows that the content (of Pillow's format `kind`) is cut or damaged; None where nothing does."""
    check = _CHECKS.get(kind)
    return check(content) if check else None


def _jpeg(content: bytes) -> str | None:
    """Walk the segments (ITU T.81, B.1), so that the end marker of an embedded thumbnail does not count."""
    at = 2
    while found := _JPEG_MARKER.search(content, at):
        at = found.end()
        if found[1] == b"\xd9":
            return None
        if found[1] not in (b"\xd8", b"\x01"):
            at += int.from_bytes(content[at : at + 2], "big")
    return "cut short: no end-of-image marker"


def _png(content: bytes) -> str | None:
    """Walk the chunks (W3C PNG, 5.3) and check the critical ones, which Pillow does not."""
    at, view = 8, memoryview(content)
    while at + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 8 + length
        if end + 4 > len(content):
            break
        if kind[:1].isupper() and zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            return f"damaged: wrong checksum in its {kind.decode('latin-1')} chunk"
        if kind == b"IEND":
            return None
        at = end + 4
    return "cut short: no end chunk"


def _gif(content: bytes) -> str | None:
    """Walk the blocks (GIF89a specification) to the trailer."""
    at = 13 + _colour_table(content, 10)
    while at < len(content):
        block = content[at]
        if block == 0x3B:
            return None
        if block == 0x2C:
            at = _after_blocks(content, at + 11 + _colour_table(content, at + 9))
        elif block == 0x21:
            at = _after_blocks(content, at + 2)
        else:
            return "damaged: a block of unknown kind"
    return "cut short: no trailer"


def _colour_table(content: bytes, at: int) -> int:
    flags = content[at] if at < len(content) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(content: bytes, at: int) -> int:
    while at < len(content) and content[at]:
        at += content[at] + 1
    return at + 1


def _webp(content: bytes) -> str | None:
    """The decoder turns missing data that reads as zeros (an interrupted copy) into pixels without a word."""
    end = 8 + int.from_bytes(content[4:8], "little")
    if end > len(content):
        return "cut short: fewer bytes than its header says"
    return "cut short: its last bytes are all zero" if content[max(0, end - 32) : end] == _EMPTY_TAIL else None


_CHECKS = {"JPEG": _jpeg, "MPO": _jpeg, "PNG": _png, "GIF": _gif, "WEBP": _webp}
