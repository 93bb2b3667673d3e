"""From the bytes of an image to pixels (C, H, W) uint8 as people expect to see them.

Upright (EXIF orientation applied), transparency on white, the first frame of several. More than 8 bits are scaled to 8 by one
range for the whole dataset (`depth`). The header is read and judged before anything is decoded. The content decides what
format it is, never the file's name.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pipeline.errors import DataError
from pipeline.kinds.image.depth import COLOUR, Range, extent_of, is_deep
from pipeline.kinds.image.wholeness import defect
from pipeline.kinds.kind import BadSampleError, Content, loaded
from pipeline.wording import counted, so_many

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]
T = Image.Transpose
_TURNS = {
    2: T.FLIP_LEFT_RIGHT,
    3: T.ROTATE_180,
    4: T.FLIP_TOP_BOTTOM,
    5: T.TRANSPOSE,
    6: T.ROTATE_270,
    7: T.TRANSVERSE,
    8: T.ROTATE_90,
}
_JPEGS = ("JPEG", "MPO")
_BANNED = ("EPS",)  # its loader starts Ghostscript, which runs the file as a program
_GREY_MODES = ("1", "L", "LA", "La", "I", "F")


@dataclass(frozen=True)
class ImageRule:
    """What is known before any image has been read."""

    max_pixels: int
    size: tuple[int, int] | None
    """Height and width to resize to."""
    resize: Literal["pad", "crop", "squash"]
    enlarge: bool = True
    """Whether images smaller than `size` are enlarged; otherwise they keep their size, with black around them."""
    bits: int | None = None
    """Of images with more than 8 bits; None: as many as the dataset's largest value needs."""


class Header(NamedTuple):
    """What an image's header says, upright."""

    height: int
    width: int
    channels: int
    """1 or 3."""
    depth: int
    """8 bits, whole numbers of more, or floats: `depth.EIGHT`, `WHOLE`, `FLOAT`."""
    low: int
    """Bounds of the values of an image of more than 8 bits, rounded outwards; 0 for others."""
    high: int
    decode_bytes: int
    """Most memory that decoding takes, roughly."""


def inspect(content: Content, rule: ImageRule) -> Header:
    """The header of an image, without decoding it; BadSampleError where it is none or too large."""
    found = loaded(content)
    if not isinstance(found, bytes):
        return _array_header(found, rule)
    with _opened(found, rule) as image:
        width, height = image.size if _orientation(image, found) < 5 else image.size[::-1]
        decode_bytes = _decode_bytes(image, rule)
        return Header(height, width, 1 if _is_grey(image) else 3, *_depth(image, rule), decode_bytes)


def _depth(image: Image.Image, rule: ImageRule) -> tuple[int, int, int]:
    """Depth and bounds; an image of more than 8 bits is decoded for them."""
    if not _is_deep(image) and ";16" in str(getattr(image, "tile", "")):  # a raw mode such as RGB;16B
        image.load()
        return COLOUR, 0, 256 * int(np.asarray(image)[..., :3].max()) + 255
    if not _is_deep(image):
        return extent_of(np.zeros(1, np.uint8), rule.bits)
    image.load()
    return extent_of(np.asarray(image), rule.bits)


def decode(content: Content, rule: ImageRule, shape: tuple[int, int, int], values: Range | None = None) -> Pixels:
    """Pixels (C, H, W) of an image, resized by the rule, its values by their range if they have more than 8 bits.

    BadSampleError where it is cut, damaged or of another size.
    """
    found = loaded(content)
    if not isinstance(found, bytes):
        _array_header(found, rule)
        return _placed(_plain(_from_array(found, values), shape[0], values), 1, None, rule, shape)
    with _opened(found, rule) as image:
        problem = defect(str(image.format), found)
        if problem:
            raise BadSampleError(problem)
        turn = _orientation(image, found)
        box = _drafted(image, turn, rule, shape)
        image.load()
        return _placed(_plain(image, shape[0], values), turn, box, rule, shape)


@contextlib.contextmanager
def _opened(content: bytes, rule: ImageRule) -> Iterator[Image.Image]:
    """The image with its header read; what a decoder raises becomes a BadSampleError. Sets Pillow's own cap meanwhile."""
    cap = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = (rule.max_pixels + 1) // 2  # Pillow raises above twice this, also for images inside images
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=_formats()) as image:
                _check_pixels(image.width, image.height, rule)
                yield image
    except (BadSampleError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise BadSampleError("not an image of a format that can be read") from None
    except Image.DecompressionBombError as error:
        num_pixels = re.search(r"\d+", str(error))
        raise BadSampleError(_too_large(num_pixels[0] if num_pixels else "many", rule)) from None
    except Exception as error:  # decoders of hostile input raise nearly anything
        raise BadSampleError(f"damaged: {_stable(error)}") from None
    finally:
        Image.MAX_IMAGE_PIXELS = cap


@cache
def _formats() -> tuple[str, ...]:
    """All that Pillow reads, the usual ones first: it tries them in this order, which halves the time for small WebP images."""
    Image.init()
    usual = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
    return tuple(dict.fromkeys(name for name in (*usual, *Image.ID) if name in Image.OPEN and name not in _BANNED))


def _check_pixels(width: int, height: int, rule: ImageRule) -> None:
    if width * height > rule.max_pixels:
        raise BadSampleError(_too_large(width * height, rule))


def _too_large(num_pixels: int | str, rule: ImageRule) -> str:
    return f"declares {num_pixels} pixels, more than data.max_pixels = {rule.max_pixels}"


def _stable(error: Exception) -> str:
    """The error's text without addresses, so that the same input gives the same table."""
    text = re.sub(r"<[^>]* at 0x[0-9a-f]+>", "the file", str(error)).strip()
    return " ".join(text.split()) or type(error).__name__


def _orientation(image: Image.Image, content: bytes) -> int:
    """EXIF orientation 1..8. Pillow turns TIFF by itself, and reads a PNG's EXIF only by decoding the whole of it."""
    if image.format == "TIFF" or (image.format == "PNG" and b"eXIf" not in content and b"exif" not in content):
        return 1
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # an image with damaged EXIF is shown as stored by every viewer
        return 1
    return orientation if orientation in _TURNS else 1


def _is_grey(image: Image.Image) -> bool:
    if image.mode in ("P", "PA"):
        palette = image.getpalette("RGB") or []
        return palette[0::3] == palette[1::3] == palette[2::3]
    return image.mode in _GREY_MODES or image.mode.startswith("I;16")


def _decode_bytes(image: Image.Image, rule: ImageRule) -> int:
    """Pillow keeps 4 bytes a pixel of colour; transparency and other colour spaces need copies."""
    pixels = image.width * image.height
    if image.format in _JPEGS and rule.size:
        pixels //= max(1, min(image.width // (2 * rule.size[1]), image.height // (2 * rule.size[0]), 8)) ** 2
    return pixels * (12 if image.has_transparency_data else 4 if image.mode in ("L", "RGB") else 8)


def _drafted(image: Image.Image, turn: int, rule: ImageRule, shape: tuple[int, int, int]) -> Box | None:
    """Let the JPEG decoder shrink a photo while it decodes, to no less than twice what is needed: several times faster.

    Returns the exact extent of the picture in the pixels that it will give.
    """
    if image.format not in _JPEGS or rule.size is None:
        return None
    height, width = shape[1:] if turn < 5 else shape[:0:-1]
    (out_width, out_height), box = fitted((0.0, 0.0, *image.size), (width, height), rule.resize, rule.enlarge)
    needed = (
        int(2 * image.width * out_width / (box[2] - box[0])) + 1,
        int(2 * image.height * out_height / (box[3] - box[1])) + 1,
    )
    drafted = image.draft(None, needed)
    return drafted[1] if drafted else None


def _plain(image: Image.Image, channels: int, values: Range | None) -> Image.Image:
    """Mode L or RGB."""
    if _is_deep(image):
        if values is None:
            raise BadSampleError("has more than 8 bits a value, as no image had that the dataset was made of")
        image = Image.fromarray(values.eight_bits(np.asarray(image)))  # Pillow's own conversion clips at 255
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return image.convert("L" if channels == 1 else "RGB")


def _is_deep(image: Image.Image) -> bool:
    return image.mode.startswith("I;16") or image.mode in ("I", "F")


def _placed(image: Image.Image, turn: int, extent: Box | None, rule: ImageRule, shape: tuple[int, int, int]) -> Pixels:
    """Resized, then turned upright, then padded with black: pixels (C, H, W)."""
    height, width = shape[1:] if turn < 5 else shape[:0:-1]
    if rule.size is None and image.size != (width, height):
        raise BadSampleError(f"is {image.width} x {image.height} when decoded, but {width} x {height} are expected")
    size, box = fitted(extent or (0.0, 0.0, *image.size), (width, height), rule.resize, rule.enlarge)
    image = image.resize(size, Image.Resampling.BILINEAR, box=box)
    if turn != 1:
        image = image.transpose(_TURNS[turn])
    pixels = np.asarray(image).reshape(image.height, image.width, shape[0]).transpose(2, 0, 1)
    if pixels.shape == shape:
        return np.ascontiguousarray(pixels)
    top, left = (shape[1] - image.height) // 2, (shape[2] - image.width) // 2
    padded = np.zeros(shape, np.uint8)
    padded[:, top : top + image.height, left : left + image.width] = pixels
    return padded


def fitted(extent: Box, target: tuple[int, int], resize: str, enlarge: bool = True) -> tuple[tuple[int, int], Box]:
    """The (width, height) to resize to and the box of the extent to take, for a target (width, height).

    pad: all of it, inside the target; crop: the largest central part of the target's shape; squash: all of it, stretched.
    Without `enlarge` the box's own size is the largest to resize to.
    """
    (width, height), box = _stretched(extent, target, resize)
    if enlarge:
        return (width, height), box
    own = max(1, int(box[2] - box[0] + 0.5)), max(1, int(box[3] - box[1] + 0.5))
    return (min(width, own[0]), min(height, own[1])), box


def _stretched(extent: Box, target: tuple[int, int], resize: str) -> tuple[tuple[int, int], Box]:
    left, top, right, bottom = extent
    width, height = right - left, bottom - top
    if resize == "squash":
        return target, extent
    wide = width * target[1] >= height * target[0]
    if resize == "pad":
        if wide:
            return (target[0], max(1, int(height * target[0] / width + 0.5))), extent
        return (max(1, int(width * target[1] / height + 0.5)), target[1]), extent
    margin_x = (width - height * target[0] / target[1]) / 2 if wide else 0.0
    margin_y = 0.0 if wide else (height - width * target[1] / target[0]) / 2
    return target, (left + margin_x, top + margin_y, right - margin_x, bottom - margin_y)


def _array_header(array: NDArray[Any], rule: ImageRule) -> Header:
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise BadSampleError(f"an array of shape {array.shape} is no image; (height, width) or (height, width, 1, 3 or 4) is")
    height, width = array.shape[:2]
    _check_pixels(width, height, rule)
    depth = extent_of(array, rule.bits)
    return Header(height, width, 1 if array.ndim == 2 or array.shape[2] == 1 else 3, *depth, 16 * height * width)


def _from_array(array: NDArray[Any], values: Range | None) -> Image.Image:
    if is_deep(array):
        assert values is not None, "arrays of more than 8 bits need a range"
        array = values.eight_bits(array)
    array = np.ascontiguousarray(array)
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def image_shape(headers: NDArray[np.int64], rule: ImageRule, channels: str, name: Callable[[int], str]) -> tuple[int, int, int]:
    """The one shape (C, H, W) of all images from their headers (N, fields); DataError where they differ and no size is told."""
    depth = int(headers[:, 2].max()) if channels == "auto" else 1 if channels == "grey" else 3
    if rule.size and rule.enlarge:
        return depth, *rule.size
    if rule.size:
        return depth, min(rule.size[0], int(headers[:, 0].max())), min(rule.size[1], int(headers[:, 1].max()))
    sizes, first, counts = np.unique(headers[:, :2], axis=0, return_index=True, return_counts=True)
    if len(sizes) > 1:
        ranked = np.argsort(-counts, kind="stable")
        seen = [f"{counts[i]} of {sizes[i][1]} x {sizes[i][0]}, such as {name(int(first[i]))}" for i in ranked[:3]]
        raise DataError(
            f"data.size = null, but the images have {len(sizes)} different sizes (width x height): {'; '.join(seen)}"
            f"{'; ...' if len(sizes) > 3 else ''}. Set data.size, for example data.size={sizes[ranked[0]].min()}"
        )
    return depth, int(sizes[0][0]), int(sizes[0][1])


def size_notes(headers: NDArray[np.int64], shape: tuple[int, int, int], rule: ImageRule) -> list[str]:
    """What became of images smaller than `data.size` where they are not enlarged."""
    if rule.size is None or rule.enlarge:
        return []
    notes, hint = [], "data.enlarge=true enlarges them"
    said = f"data.size = {rule.size[0]} x {rule.size[1]} (height x width)"
    if shape[1:] != rule.size:
        notes.append(f"images of {shape[1]} x {shape[2]}, the largest there are, not {said}; {hint}")
    num_small = int(((headers[:, 0] < shape[1]) & (headers[:, 1] < shape[2])).sum())
    if num_small:
        small = f"{counted(num_small, 'image')} smaller than {shape[1]} x {shape[2]}"
        notes.append(f"{small} {so_many(num_small, 'keeps its', 'keep their')} size, with black around; {hint}")
    return notes
