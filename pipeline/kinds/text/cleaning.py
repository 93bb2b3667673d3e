"""From bytes to text, and text as it is stored: composed (NFC), without control characters."""

from __future__ import annotations

import codecs
import unicodedata

from pipeline.kinds.kind import BadSampleError

MOST_BYTES = 4 * 2**20
"""Of a text."""
CONTROLS = "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
"""As ranges of a regular expression; those that break lines are white space."""
_BINARY = {
    b"\x89PNG": "a picture (PNG)", b"\xff\xd8\xff": "a picture (JPEG)", b"GIF89a": "a picture (GIF)",
    b"II*\0": "a picture (TIFF)", b"MM\0*": "a picture (TIFF)", b"fLaC\0": "a sound (FLAC)", b"OggS\0": "a sound (Ogg)",
    b"ID3\3": "a sound (MP3)", b"ID3\4": "a sound (MP3)", b"%PDF-": "a PDF", b"PK\3\4": "an archive (ZIP, as of .docx)",
    b"\x1f\x8b": "an archive (gzip)",
}  # fmt: skip
"""How files begin that are no texts."""
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
        if binary := _binary(content):
            raise BadSampleError(binary) from None
        byte = content[error.start : error.start + 1]
        as_western = f", {byte.decode('cp1252', 'replace')!r} in Western European files" if error.encoding == "utf-8" else ""
        raise BadSampleError(
            f"byte {error.start} is not {error.encoding.upper()} ({byte[0]:#04x}{as_western}); save it as UTF-8, such as with "
            "iconv -f WINDOWS-1252 -t UTF-8"
        ) from None


def _binary(content: bytes) -> str | None:
    """What something that is no UTF-8 is, where no other encoding of a text is like it; UTF-16 that says so aside."""
    kind = next((name for begins, name in _BINARY.items() if content.startswith(begins)), None)
    if kind:
        return f"{kind}, not a text"
    if b"\0" in content and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "a binary file (it has bytes 0), not a text; a text in UTF-16 has to begin with its mark, or be saved as UTF-8"
    return None


def cleaned(text: str) -> bytes:
    """As it is stored, in UTF-8; BadSampleError where nothing is left, or too much."""
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n").translate(_TABLE))
    if not (found := text.strip().encode()):
        raise BadSampleError("no text")
    if len(found) > MOST_BYTES:
        raise BadSampleError(f"{len(found):,} bytes of text are more than {MOST_BYTES:,}; cut it into parts")
    return found
