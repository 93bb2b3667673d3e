"""From bytes to text, and text as it is stored: composed (NFC), without control characters."""

from __future__ import annotations

import codecs
import unicodedata

from pipeline.kinds.kind import BadSampleError

MOST_BYTES = 4 * 2**20
"""Of a text."""
CONTROLS = "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
"""As ranges of a regular expression; those that break lines are white space."""
_LEFT_OUT = dict.fromkeys((*range(9), *range(14, 32), *range(127, 133), *range(134, 160), 65279))
_BREAKS = {**dict.fromkeys((0x0B, 0x0C, 0x85, 0x2028, 0x2029), "\n"), 0x0D: None}
_TABLE = _LEFT_OUT | _BREAKS


def decoded(content: bytes) -> str:
    """UTF-8, or UTF-16 that says so at its beginning; BadSampleError for anything else: nothing is guessed."""
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return content.decode("utf-16")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = content[error.start : error.start + 1]
        as_western = f", {byte.decode('cp1252', 'replace')!r} in Western European files" if error.encoding == "utf-8" else ""
        raise BadSampleError(
            f"byte {error.start} is not {error.encoding.upper()} ({byte[0]:#04x}{as_western}); save it as UTF-8, such as with "
            "iconv -f WINDOWS-1252 -t UTF-8"
        ) from None


def cleaned(text: str) -> bytes:
    """As it is stored, in UTF-8; BadSampleError where nothing is left, or too much."""
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").translate(_TABLE))
    if not (found := text.strip().encode()):
        raise BadSampleError("no text")
    if len(found) > MOST_BYTES:
        raise BadSampleError(f"{len(found):,} bytes of text are more than {MOST_BYTES:,}; cut it into parts")
    return found
