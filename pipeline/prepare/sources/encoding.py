"""What to say of a file of text that is not UTF-8: what it seems to be, and the command that makes it so."""

from __future__ import annotations

import codecs
from pathlib import Path

from pipeline.errors import DataError
from pipeline.kinds.words import shell_word
from pipeline.prepare.sources.layout import readable_name


def not_utf8(path: Path, error: UnicodeDecodeError) -> DataError:
    """Nothing is guessed: the same bytes are other letters in Latin-1, in Cyrillic or in Greek."""
    name = shell_word(readable_name(path))
    if error.object[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return DataError(
            f"{readable_name(path)}: UTF-16, and UTF-8 is read; `iconv -f UTF-16 -t UTF-8 {name} > NEW` makes it so"
        )
    byte = error.object[error.start : error.start + 1]
    said = f"{byte[0]:#04x}, which is {byte.decode('cp1252', 'replace')!r} in Western European files"
    return DataError(
        f"{readable_name(path)}: byte {error.start} is not UTF-8 ({said}); save it as UTF-8, of Western European languages "
        f"with `iconv -f WINDOWS-1252 -t UTF-8 {name} > NEW`"
    )
