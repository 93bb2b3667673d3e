"""Sound files: what their headers say, their samples, and which can't be read.

The content decides the format, never the name. Read are WAV, FLAC, OGG (Vorbis, Opus), MP3, AIFF and what else libsndfile has.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError
from pipeline.kinds.audio.keys import INSTALL
from pipeline.kinds.kind import BadSampleError, Content

if TYPE_CHECKING:
    import soundfile

Samples = NDArray[np.float32]
_NOT_KNOWN = {0x7FFF_FFFF, 0xFFFF_FFFF}
"""Lengths that programs write which don't know it yet, as they do into a pipe."""


class Header(NamedTuple):
    """What a sound is, in whole numbers."""

    num: int
    """Samples of each channel."""
    rate: int
    channels: int
    decode_bytes: int


def inspected(content: Content) -> Header:
    """The header; BadSampleError where the content is no whole sound that can be read."""
    if isinstance(content, np.ndarray):
        return Header(len(content), 0, 1, 8 * content.size)
    assert isinstance(content, bytes)
    _check_whole(content)
    with _opened(content) as file:
        num, rate, channels = int(file.frames), int(file.samplerate), int(file.channels)
    if num <= 0:
        raise BadSampleError("no sound in it: its length is 0")
    return Header(num, rate, channels, 4 * num * (channels + 4))


def samples_of(content: Content, channel: str) -> tuple[Samples, int]:
    """The samples (n,) of one channel or of all mixed, from -1 to 1, and their rate, 0 of an array, which says none.

    BadSampleError where the content is damaged.
    """
    if isinstance(content, np.ndarray):
        return _checked(content.astype(np.float32) / _full_scale(content.dtype)), 0
    assert isinstance(content, bytes)
    with _opened(content) as file:
        num, rate = file.frames, int(file.samplerate)
        try:
            values = file.read(num, dtype="float32", always_2d=True)  # GSM asks how many
        except (RuntimeError, ValueError) as error:
            raise BadSampleError(f"damaged ({_plain(error)})") from None
    if len(values) < num:
        raise BadSampleError(f"cut short: its header tells of {num} samples, and {len(values)} can be read")
    return _checked(_one_channel(values, channel)), rate


def _one_channel(values: NDArray[Any], channel: str) -> Samples:
    if values.shape[1] == 1:
        return np.ascontiguousarray(values[:, 0])
    return values.mean(1) if channel == "mix" else np.ascontiguousarray(values[:, int(channel == "right")])


def _full_scale(dtype: np.dtype[Any]) -> float:
    return float(2 ** (8 * dtype.itemsize - 1)) if dtype.kind in "iu" else 1.0


def _checked(samples: Samples) -> Samples:
    if not np.isfinite(samples).all():
        raise BadSampleError(f"{np.count_nonzero(~np.isfinite(samples))} of its samples are not finite (NaN or infinite)")
    if samples.min() == samples.max():
        raise BadSampleError("silent: all its samples are the same")
    return samples


def _opened(content: bytes) -> soundfile.SoundFile:
    try:
        import soundfile
    except ModuleNotFoundError:
        raise ConfigError(INSTALL) from None

    try:
        return soundfile.SoundFile(io.BytesIO(content))
    except soundfile.LibsndfileError as error:
        raise BadSampleError(f"no sound that can be read ({_plain(error)})") from None


def _plain(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").strip().rstrip(".")


# --- What is told by the first bytes, and by lengths


def _check_whole(content: bytes) -> None:
    """BadSampleError where the format can't be read, or the file is shorter than it says."""
    if found := _foreign(content):
        name, suffix = found
        raise BadSampleError(
            f"{name}, which can't be read; make it FLAC and take the old file away: ffmpeg -i NAME.{suffix} NAME.flac"
        )
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        _check_chunks(content, b"data", "little")
    if content[:4] == b"FORM" and content[8:12] in (b"AIFF", b"AIFC"):
        _check_chunks(content, b"SSND", "big")
    if content[:4] == b"OggS" and not _is_last_page(content[content.rfind(b"OggS") :]):
        raise BadSampleError("cut short: its last page is not there")


def _is_last_page(page: bytes) -> bool:
    """Whether an Ogg page says that it is the last one, and is whole (RFC 3533, 6)."""
    lengths = page[27 : 27 + page[26]] if len(page) > 27 else b""
    return bool(lengths) and bool(page[5] & 4) and len(page) >= 27 + len(lengths) + sum(lengths)


def _foreign(content: bytes) -> tuple[str, str] | None:
    """Name and suffix of a format that libsndfile can't read."""
    if content[4:8] == b"ftyp":
        return ("M4A (MPEG-4)", "m4a") if content[8:11] == b"M4A" else ("MPEG-4", "mp4")
    if content[:2] in (b"\xff\xf1", b"\xff\xf9"):
        return "AAC", "aac"
    return next((found for start, found in _FOREIGN.items() if content.startswith(start)), None)


_FOREIGN = {
    b"#!AMR": ("AMR", "amr"),
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": ("WMA", "wma"),
    b"\x1a\x45\xdf\xa3": ("WebM or Matroska", "webm"),
    b"MAC ": ("Monkey's Audio", "ape"),
    b"wvpk": ("WavPack", "wv"),
    b"ADIF": ("AAC", "aac"),
}


def _check_chunks(content: bytes, sound: bytes, order: Literal["little", "big"]) -> None:
    """BadSampleError where the part with the samples is not as long as it says, unless it says that it does not know."""
    at = 12
    while at + 8 <= len(content):
        name, told = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], order)
        left = len(content) - at - 8
        if name == sound:
            if not told and left:
                raise BadSampleError(
                    f"its header tells of no sound, and {left:,} bytes follow: whoever wrote it never closed it; mend it: "
                    "ffmpeg -i NAME.wav NAME.flac"
                )
            if told > left and told not in _NOT_KNOWN:
                raise BadSampleError(f"cut short: its header tells of {told:,} bytes of sound, and {left:,} are there")
            return
        at += 8 + told + told % 2
    raise BadSampleError("cut short: no sound follows its header")
