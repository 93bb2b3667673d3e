"""What people have for sounds: each is read as it should be, or refused with its reason."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from sound_samples import RATE, encoded, tone

from pipeline.kinds.audio.sound import inspected, samples_of
from pipeline.kinds.kind import BadSampleError

CLIP = tone("low", seconds=0.5)
WAV = encoded(CLIP)
STEREO = np.stack([CLIP, 0.5 * CLIP], axis=1)


def told(num_bytes: int, content: bytes = WAV, chunk: bytes = b"data", order: str = "<") -> bytes:
    """A file whose header says so many bytes of sound."""
    at = content.index(chunk) + 4
    return content[:at] + struct.pack(f"{order}I", num_bytes) + content[at + 4 :]


# What is read, and how far its samples may be from those that were written.
READ = {
    "16 bits": (WAV, 1e-4),
    "24 bits": (encoded(CLIP, subtype="PCM_24"), 1e-6),
    "8 bits": (encoded(CLIP, subtype="PCM_U8"), 1e-2),
    "float": (encoded(CLIP, subtype="FLOAT"), 0.0),
    "mu-law": (encoded(CLIP, subtype="ULAW"), 0.02),
    "A-law": (encoded(CLIP, subtype="ALAW"), 0.02),
    "GSM": (encoded(CLIP, subtype="GSM610"), 0.2),
    "extensible": (encoded(CLIP, format="WAVEX"), 1e-4),
    "FLAC": (encoded(CLIP, format="FLAC"), 1e-4),
    "AIFF": (encoded(CLIP, format="AIFF"), 1e-4),
    "OGG Vorbis": (encoded(CLIP, format="OGG", subtype="VORBIS"), 0.2),
    "MP3, whatever its name": (encoded(CLIP, format="MP3", subtype="MPEG_LAYER_III"), 0.3),
    "written into a pipe (ffmpeg)": (told(0xFFFFFFFF), 1e-4),
    "written into a pipe (sox)": (told(0x7FFFFFFF), 1e-4),
}
REFUSED = {
    "nothing but a header": (encoded(CLIP[:0]), "no sound in it: its length is 0"),
    "silence": (encoded(0 * CLIP), "silent: all its samples are the same"),
    "one value": (encoded(0 * CLIP + 0.25), "silent: all its samples are the same"),
    "NaN": (encoded(np.where(np.arange(len(CLIP)) < 2, np.nan, CLIP), subtype="FLOAT"), "2 of its samples are not finite"),
    "infinite": (
        encoded(np.where(np.arange(len(CLIP)) == 5, np.inf, CLIP), subtype="FLOAT"),
        "1 of its samples are not finite",
    ),
    "longer by its header": (told(80_000), "cut short: its header tells of 80,000 bytes of sound, and 8,000 are there"),
    "never closed": (told(0), "its header tells of no sound, and 8,000 bytes follow: .* ffmpeg -i NAME.wav NAME.flac"),
    "half a WAV": (WAV[: len(WAV) // 2], "cut short: its header tells of 8,000 bytes of sound, and 3,978 are there"),
    "the beginning of a WAV": (WAV[:40], "cut short: no sound follows its header"),
    "half a FLAC": (encoded(CLIP, format="FLAC")[:2000], "damaged|cut short"),
    "half an AIFF": (encoded(CLIP, format="AIFF")[:4000], "cut short: its header tells of 8,008 bytes of sound"),
    "half an OGG": (encoded(CLIP, format="OGG", subtype="VORBIS")[:-300], "cut short: its last page is not there"),
    "half an MP3": (encoded(CLIP, format="MP3", subtype="MPEG_LAYER_III")[:1500], "cut short: its header tells of"),
    "M4A": (b"\0\0\0\x20ftypM4A \0\0\2\0" + b"m" * 99, r"M4A \(MPEG-4\), .* ffmpeg -i NAME.m4a NAME.flac$"),
    "video": (b"\0\0\0\x18ftypisom\0\0\2\0" + b"m" * 99, "MPEG-4, .* ffmpeg -i NAME.mp4 NAME.flac$"),
    "AMR": (b"#!AMR\n" + b"a" * 99, "AMR, which can't be read; .* ffmpeg -i NAME.amr NAME.flac$"),
    "AMR-WB": (b"#!AMR-WB\n" + b"a" * 99, "ffmpeg -i NAME.amr NAME.flac$"),
    "AAC": (b"\xff\xf1\x50\x80" + b"a" * 99, "AAC, which can't be read; .* ffmpeg -i NAME.aac NAME.flac$"),
    "WMA": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + b"a" * 99, "ffmpeg -i NAME.wma NAME.flac$"),
    "WebM": (b"\x1a\x45\xdf\xa3" + b"a" * 99, "ffmpeg -i NAME.webm NAME.flac$"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + b"a" * 99, "no sound that can be read"),
    "a text": (b"transcript: seven\n" * 9, "no sound that can be read"),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_read(name: str) -> None:
    content, far = READ[name]
    header = inspected(content)
    assert (header.num, header.rate, header.channels) == (len(CLIP) if name != "GSM" else header.num, RATE, 1)
    found, rate = samples_of(content, "mix")
    assert rate == RATE
    assert found.dtype == np.float32
    assert abs(len(found) - len(CLIP)) <= 640  # GSM: whole blocks
    assert np.abs(found[: len(CLIP)] - CLIP[: len(found)]).max() <= far


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    content, reason = REFUSED[name]
    with pytest.raises(BadSampleError, match=reason):
        inspected(content) and samples_of(content, "mix")


def test_channels() -> None:
    content = encoded(STEREO, 96_000, subtype="PCM_24")
    assert inspected(content)[:3] == (len(CLIP), 96_000, 2)
    for channel, factor in (("left", 1.0), ("right", 0.5), ("mix", 0.75)):
        np.testing.assert_allclose(samples_of(content, channel)[0], factor * CLIP, atol=1e-6)
    assert np.array_equal(samples_of(WAV, "right")[0], samples_of(WAV, "left")[0])  # of one channel it is that


def test_samples_of_a_table_are_of_full_scale_or_floats() -> None:
    whole = np.round(CLIP * 32767).astype(np.int16)
    np.testing.assert_allclose(samples_of(whole, "mix")[0], CLIP, atol=1e-4)
    assert np.array_equal(samples_of(CLIP, "mix")[0], CLIP)
