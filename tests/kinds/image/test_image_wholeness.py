from __future__ import annotations

import io

import numpy as np
import pytest
from data_samples import encoded, picture
from PIL import Image

from pipeline.kinds.image.decoding import ImageRule, decode, inspect
from pipeline.kinds.image.wholeness import defect
from pipeline.kinds.kind import BadSampleError

RULE = ImageRule(10**6, (16, 16), "squash")
KINDS = {
    "JPEG": {},
    "progressive": {"kind": "JPEG", "progressive": True},
    "PNG": {},
    "GIF": {},
    "WEBP": {},
    "lossless": {"kind": "WEBP", "lossless": True},
    "AVIF": {},
    "BMP": {},
    "TIFF": {},
    "JPEG2000": {},
    "PPM": {},
}


def content_of(name: str) -> bytes:
    options = dict(KINDS[name])
    return encoded(picture(1, (120, 90)), str(options.pop("kind", name)), **options)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99, -1])
def test_a_cut_file_is_refused(name: str, share: float) -> None:
    content = content_of(name)
    decode(content, RULE, (3, 16, 16))
    cut = content[: int(len(content) * share)] if share > 0 else content[:-1]
    with pytest.raises(BadSampleError):
        decode(cut, RULE, (3, 16, 16))


@pytest.mark.parametrize("name", ["JPEG", "progressive", "PNG", "GIF", "WEBP", "lossless", "JPEG2000"])
def test_an_interrupted_copy_that_ends_in_zeros_is_refused(name: str) -> None:
    content = content_of(name)
    half = len(content) // 2
    with pytest.raises(BadSampleError):
        decode(content[:half] + bytes(len(content) - half), RULE, (3, 16, 16))


def test_the_end_marker_of_a_thumbnail_does_not_count() -> None:
    thumbnail = encoded(picture(2), "JPEG")
    content = encoded(picture(1, (400, 300)), "JPEG", exif=b"Exif\0\0" + thumbnail)
    assert defect("JPEG", content) is None
    assert defect("JPEG", content[: len(content) // 2]) == "cut short: no end-of-image marker"
    assert defect("JPEG", content + b"a note after the end") is None


def test_restart_markers_and_several_scans_are_walked_through() -> None:
    for options in ({"restart_marker_blocks": 2}, {"progressive": True}, {"subsampling": 2, "optimize": True}):
        assert defect("JPEG", encoded(picture(1, (200, 200)), "JPEG", **options)) is None


def test_a_flipped_bit_in_a_png_is_found() -> None:
    content = bytearray(content_of("PNG"))
    content[len(content) // 2] ^= 4
    assert defect("PNG", bytes(content)) == "damaged: wrong checksum in its IDAT chunk"
    with pytest.raises(BadSampleError, match="wrong checksum"):
        decode(bytes(content), RULE, (3, 16, 16))


def test_a_wrong_checksum_of_a_note_does_no_harm() -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", "hello")
    content = bytearray(encoded(picture(1), "PNG", pnginfo=info))
    content[content.index(b"hello") + 6] ^= 1
    assert defect("PNG", bytes(content)) is None


def test_animations_are_whole_and_show_their_first_frame() -> None:
    frames = [picture(i, (20, 20)) for i in range(3)]
    for kind in ("GIF", "WEBP", "PNG"):
        file = io.BytesIO()
        options = {"lossless": True} if kind == "WEBP" else {}
        frames[0].save(file, kind, save_all=True, append_images=frames[1:], **options)
        content = file.getvalue()
        assert defect(kind, content) is None
        assert inspect(content, RULE)[:3] == (20, 20, 3)
        first = decode(content, ImageRule(10**6, None, "pad"), (3, 20, 20))
        with Image.open(io.BytesIO(content)) as image:
            assert np.array_equal(first, np.asarray(image.convert("RGB")).transpose(2, 0, 1))


@pytest.mark.parametrize("name", KINDS)
def test_damaged_bytes_raise_nothing_else(name: str) -> None:
    random = np.random.default_rng(0)
    reasons = []
    for _ in range(25):
        content = bytearray(content_of(name))
        for at in random.integers(0, len(content), 8):
            content[at] = random.integers(0, 256)
        for rule in (RULE, ImageRule(10**6, None, "pad")):
            try:
                header = inspect(bytes(content), rule)
                decode(bytes(content), rule, (header.channels, *(rule.size or header[:2])))
            except BadSampleError as bad:
                reasons.append(str(bad))
    assert all(reason and " at 0x" not in reason for reason in reasons)
