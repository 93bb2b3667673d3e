from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_samples import encoded, picture
from PIL import Image, ImageOps

from pipeline.errors import DataError
from pipeline.kinds.image.decoding import ImageRule, decode, fitted, image_shape, inspect
from pipeline.kinds.image.depth import EIGHT, FLOAT, WHOLE, Range
from pipeline.kinds.kind import BadSampleError

NATIVE = ImageRule(10**6, None, "pad")


def rule(height: int, width: int, resize: str = "pad") -> ImageRule:
    return ImageRule(10**6, (height, width), resize)  # type: ignore[arg-type]


def decoded(content: Any, values: Range | None = None) -> np.ndarray[Any, Any]:
    header = inspect(content, NATIVE)
    return decode(content, NATIVE, (header.channels, header.height, header.width), values)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "TGA", "GIF", "WEBP", "QOI", "SGI", "DDS", "PCX", "ICO"])
def test_lossless_formats_give_their_pixels(kind: str) -> None:
    image = picture(1, (16, 16)).quantize(256).convert("RGB") if kind == "GIF" else picture(1, (16, 16))
    content = encoded(image, kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert np.array_equal(decoded(content), np.asarray(image).transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000", "AVIF", "WEBP"])
def test_lossy_formats_come_close(kind: str) -> None:
    image = picture(1, (4, 4)).resize((64, 48), Image.Resampling.BICUBIC)
    difference = decoded(encoded(image, kind, quality=95) if kind != "JPEG2000" else encoded(image, kind)).astype(int)
    assert np.abs(difference - np.asarray(image).transpose(2, 0, 1)).mean() < 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_known_from_the_header(kind: str, orientation: int) -> None:
    upright = picture(2, (3, 2)).resize((48, 32), Image.Resampling.BICUBIC)
    back = {6: 8, 8: 6}.get(orientation, orientation)
    exif = Image.Exif()
    exif[0x0112] = back
    stored = ImageOps.exif_transpose(_with_exif(upright, exif))
    exif[0x0112] = orientation
    content = encoded(stored, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    header = inspect(content, NATIVE)
    assert (header.height, header.width) == (32, 48)
    pixels = decoded(content).astype(int)
    assert np.abs(pixels - np.asarray(upright).transpose(2, 0, 1)).mean() < 6
    small = decode(content, rule(16, 16), (3, 16, 16)).astype(int)
    assert not small[:, :2].any()
    assert not small[:, -2:].any()
    expected = np.asarray(upright.resize((16, 11), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.abs(small[:, 2:13] - expected).mean() < 8


def _with_exif(image: Image.Image, exif: Image.Exif) -> Image.Image:
    import io

    return Image.open(io.BytesIO(encoded(image, "PNG", exif=exif)))


def test_damaged_exif_leaves_the_image_as_stored() -> None:
    content = encoded(picture(1), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decoded(content).shape == (3, 8, 8)


def test_transparency_is_shown_on_white() -> None:
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    assert decoded(encoded(image)).reshape(3, 2).T.tolist() == [[255, 0, 0], [255, 255, 255]]
    palette = image.quantize(4)
    assert decoded(encoded(palette, "PNG", transparency=palette.getpixel((1, 0)))).reshape(3, 2).T[1].tolist() == [255] * 3
    grey = Image.new("LA", (1, 1), (0, 128))
    assert decoded(encoded(grey)).tolist() == [[[127]]]


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.array([[0, 255, 256, 32768, 65279, 65535]], np.uint16)
    expected = [[[0, 1, 1, 128, 254, 255]]]
    for kind in ("PNG", "TIFF", "PPM"):
        assert decoded(encoded(Image.fromarray(values), kind), Range(0, 65535)).tolist() == expected
    assert inspect(encoded(Image.fromarray(values)), NATIVE).channels == 1


def test_the_header_of_more_bits_holds_their_bounds() -> None:
    def found(values: Any, bits: int | None = None) -> tuple[int, int, int]:
        return inspect(encoded(Image.fromarray(values), "TIFF"), ImageRule(10**6, None, "pad", bits=bits))[3:6]

    assert found(np.array([[3, 1016]], np.uint16)) == (WHOLE, 3, 1016)
    assert found(np.array([[-5, 70000]], np.int32)) == (WHOLE, -5, 70000)
    assert found(np.array([[0.25, 0.75]], np.float32)) == (FLOAT, 0, 1)
    assert found(np.array([[3, 200]], np.uint8)) == (EIGHT, 0, 0)
    with pytest.raises(BadSampleError, match="infinite or not a number"):
        found(np.array([[0.5, np.nan]], np.float32))
    with pytest.raises(BadSampleError, match=r"pixels of 3 to 1016, beyond data.bits = 8 \(0 to 255\)"):
        found(np.array([[3, 1016]], np.uint16), bits=8)


def test_whole_numbers_and_floats_of_32_bits_are_scaled() -> None:
    signed = encoded(Image.fromarray(np.array([[-100, 0, 155]], np.int32)), "TIFF")
    assert decoded(signed, Range(-100, 155)).tolist() == [[[0, 100, 255]]]
    floats = encoded(Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32)), "TIFF")
    assert decoded(floats, Range(0, 1)).tolist() == [[[0, 128, 255]]]


def test_small_images_are_not_enlarged_unless_asked() -> None:
    small, kept = encoded(picture(1)), ImageRule(10**6, (12, 10), "pad", enlarge=False)
    placed = decode(small, kept, (3, 12, 10))
    assert np.array_equal(placed[:, 2:10, 1:9], np.asarray(picture(1)).transpose(2, 0, 1))
    assert not placed[:, :2].any()
    assert not placed[:, :, 9:].any()
    headers = np.array([[8, 6, 3, 0, 0, 0, 0], [7, 8, 3, 0, 0, 0, 0]])
    assert image_shape(headers, kept, "auto", str) == (3, 8, 8)
    assert image_shape(headers, rule(12, 10), "auto", str) == (3, 12, 10)
    for resize in ("crop", "squash"):
        size, _ = fitted((0.0, 0.0, 100.0, 6.0), (10, 10), resize, enlarge=False)
        assert size == ((6, 6) if resize == "crop" else (10, 6))


def test_cmyk_and_palette_become_colour() -> None:
    red = Image.new("RGB", (16, 16), (250, 10, 10))
    for content in (
        encoded(red.convert("CMYK"), "JPEG"),
        encoded(red.convert("CMYK"), "TIFF"),
        encoded(red.quantize(2), "GIF"),
    ):
        pixels = decoded(content)
        assert pixels.shape == (3, 16, 16)
        assert np.abs(pixels.reshape(3, -1).mean(1) - [250, 10, 10]).max() < 8


def test_one_bit_and_grey_palette_are_grey() -> None:
    checks = Image.fromarray(np.eye(8, dtype=bool))
    assert decoded(encoded(checks)).tolist() == [(255 * np.eye(8, dtype=int)).tolist()]
    assert inspect(encoded(checks.convert("L").quantize(4)), NATIVE).channels == 1
    assert decode(encoded(picture(1)), NATIVE, (1, 8, 8)).shape == (1, 8, 8)


def test_content_decides_not_the_extension(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(picture(1)))
    assert np.array_equal(decoded(tmp_path / "a.jpg"), np.asarray(picture(1)).transpose(2, 0, 1))


def test_resizing_modes() -> None:
    image = Image.new("RGB", (40, 20), "white")
    content = encoded(image)
    padded = decode(content, rule(10, 10), (3, 10, 10))
    assert padded[0].sum(1).tolist() == [0, 0] + [2550] * 5 + [0, 0, 0]
    assert (decode(content, rule(10, 10, "crop"), (3, 10, 10)) == 255).all()
    assert (decode(content, rule(10, 10, "squash"), (3, 10, 10)) == 255).all()
    halves = Image.new("RGB", (40, 20))
    halves.paste("white", (0, 0, 10, 20))
    assert not decode(encoded(halves), rule(20, 20, "crop"), (3, 20, 20)).any()
    assert decode(encoded(halves), rule(20, 20, "squash"), (3, 20, 20))[0, 0, :4].tolist() == [255] * 4


@pytest.mark.parametrize("resize", ["pad", "crop", "squash"])
@pytest.mark.parametrize("extent", [(1, 1), (1, 4000), (4000, 1), (37, 53), (53, 37), (64, 64)])
def test_fitted_boxes_lie_inside(resize: str, extent: tuple[int, int]) -> None:
    (width, height), (left, top, right, bottom) = fitted((0.0, 0.0, *extent), (64, 48), resize)
    assert 1 <= width <= 64
    assert 1 <= height <= 48
    assert 0 <= left < right <= extent[0]
    assert 0 <= top < bottom <= extent[1]
    assert (width, height) == (64, 48) or resize == "pad"


@pytest.mark.parametrize("resize", ["pad", "crop", "squash"])
def test_shrinking_while_decoding_looks_the_same(resize: str) -> None:
    image = picture(3, (6, 4)).resize((1201, 801), Image.Resampling.BICUBIC)
    target = rule(32, 32, resize)
    fast = decode(encoded(image, "JPEG", quality=95), target, (3, 32, 32)).astype(int)
    slow = decode(encoded(image, "PNG"), target, (3, 32, 32)).astype(int)
    assert np.abs(fast - slow).mean() < 1.5
    assert np.abs(fast - slow).max() < 24


def test_bombs_are_judged_by_their_header() -> None:
    header, pixels = b"IHDR" + struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(bytes(9000))
    chunks = [struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) for body in (header, pixels)]
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    with pytest.raises(BadSampleError, match=r"declares 900000000 pixels, more than data.max_pixels = 1000000"):
        inspect(bomb, NATIVE)
    inspect(encoded(picture(1, (1000, 1000))), NATIVE)
    with pytest.raises(BadSampleError, match="declares 1001000 pixels"):
        inspect(encoded(Image.new("1", (1001, 1000))), NATIVE)


def test_a_bomb_inside_an_icon_is_no_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = encoded(Image.new("L", (2000, 2000)))
    icon = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 8, len(inner), 22) + inner
    with pytest.raises(BadSampleError, match=r"more than data.max_pixels"):
        decoded(icon)
    assert Image.MAX_IMAGE_PIXELS == 89478485  # as Pillow has it


@pytest.mark.parametrize(
    "content", [b"hello, I am a text file\n" * 20, b"\0" * 500, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"]
)
def test_what_is_no_image_is_refused_with_a_stable_reason(content: bytes) -> None:
    with pytest.raises(BadSampleError) as first:
        decoded(content)
    with pytest.raises(BadSampleError) as second:
        decoded(content)
    assert str(first.value) == str(second.value) == "not an image of a format that can be read"


def test_a_file_that_starts_a_program_is_not_opened() -> None:
    postscript = encoded(picture(1), "EPS")
    with pytest.raises(BadSampleError, match="not an image of a format"):
        inspect(postscript, NATIVE)


def test_arrays() -> None:
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert decoded(grey).tolist() == [grey.tolist()]
    assert decoded(grey[..., None]).tolist() == [grey.tolist()]
    assert decode(grey, NATIVE, (3, 2, 3)).tolist() == [grey.tolist()] * 3
    assert decode(grey, rule(4, 6), (1, 4, 6)).shape == (1, 4, 6)
    with pytest.raises(BadSampleError, match="is no image"):
        decoded(np.zeros((2, 3, 5), np.uint8))


def test_one_shape_for_all() -> None:
    headers = np.array([[8, 8, 1, 0], [8, 8, 3, 0]])
    assert image_shape(headers, NATIVE, "auto", str) == (3, 8, 8)
    assert image_shape(headers[:1], NATIVE, "auto", str) == (1, 8, 8)
    assert image_shape(headers, rule(4, 5), "grey", str) == (1, 4, 5)
    with pytest.raises(DataError, match=r"2 different sizes .* 2 of 8 x 8, such as 0; 1 of 9 x 7.*data.size=8"):
        image_shape(np.array([[8, 8, 1, 0], [8, 8, 3, 0], [7, 9, 1, 0]]), NATIVE, "auto", str)
