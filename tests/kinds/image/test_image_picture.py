import io

import numpy as np
from PIL import Image

from pipeline.kinds.image.picture import NUM_VIEWS, caption, policy_picture
from pipeline.kinds.showing import Examples


def examples(batch, num: int = 2, channels: int = 3, height: int = 16, width: int = 16, names=None) -> Examples:
    images, ids, _ = batch(num, channels, height, width)
    return Examples(images.numpy(), ids, names or [f"class {i}" for i in range(num)])


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_the_same_bytes_and_nothing_but_pixels(batch, everything):
    first, second = (policy_picture(examples(batch), everything) for _ in range(2))
    assert first == second
    assert not opened(first).info  # no date, no software


def test_the_originals_are_in_it_pixel_for_pixel(batch, policy):
    shown = examples(batch, num=1, height=16, width=16)
    sheet = np.asarray(opened(policy_picture(shown, policy(flip=1.0))))
    original = shown.rows[0].transpose(1, 2, 0).repeat(9, 0).repeat(9, 1)
    mirrored = original[:, ::-1]
    rows, columns = np.where((sheet[:-143, :-143] == original[0, 0]).all(-1))
    places = {(y, x) for y, x in zip(rows, columns, strict=True) if np.array_equal(sheet[y : y + 144, x : x + 144], original)}
    rows, columns = np.where((sheet[:-143, :-143] == mirrored[0, 0]).all(-1))
    mirrors = {(y, x) for y, x in zip(rows, columns, strict=True) if np.array_equal(sheet[y : y + 144, x : x + 144], mirrored)}
    assert len(places) == 1
    assert len(mirrors) == NUM_VIEWS


def test_odd_shapes_names_and_channels(batch, policy):
    names = ["<script>alert(1)</script> of a very long class name", "Зебра\nщётка", "$x^2$", ""]
    for channels, height, width in ((1, 8, 8), (3, 300, 40), (2, 1, 9), (4, 30, 500)):
        sheet = opened(policy_picture(examples(batch, 4, channels, height, width, names), policy("light")))
        assert sheet.mode == "RGB"


def test_off_shows_the_originals_alone(batch, policy):
    off, on = (opened(policy_picture(examples(batch, 2), p)) for p in (policy(), policy("light")))
    assert off.height < on.height
    assert off.width < on.width


def test_captions_name_what_is_on(policy):
    p = dict.fromkeys(("flip", "vertical_flip", "crop_area", "scale", "shear", "hue", "noise", "brightness"), 0.0)
    p |= dict.fromkeys(("contrast", "saturation", "erase_area"), 0.0) | {
        "rotate": -0.2,
        "translate_x": 0.04,
        "translate_y": -0.001,
    }
    assert caption(p, policy("light")) == ["turn +0°", "zoom 0.00", "shift +4% +0%"]
    assert caption(p, policy(flip=0.5, erase=0.5)) == []
    assert caption(p | {"flip": 1.0, "erase_area": 0.12}, policy(flip=0.5, erase=0.5)) == ["flipped", "erased 12%"]
