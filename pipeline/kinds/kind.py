"""What all else knows of a sample: the contents it may have, and what keeps one from being taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Content = bytes | Path | NDArray[Any]
"""Encoded bytes, the file that holds them, or an array (H, W) or (H, W, channels)."""


class BadSampleError(Exception):
    """Why one sample can't be taken; caught where samples are read, and listed in rejected.csv."""


def loaded(content: Content) -> bytes | NDArray[Any]:
    """The content in memory; BadSampleError where its file can't be read."""
    if not isinstance(content, Path):
        return content
    try:
        found = content.read_bytes()
    except OSError as error:
        raise BadSampleError(f"can't be read ({error.strerror})") from None
    if not found:
        raise BadSampleError("empty file")
    return found
