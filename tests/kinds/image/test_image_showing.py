import base64
import re
from io import BytesIO

import numpy as np
from PIL import Image

from pipeline.kinds.image.showing import shown, shown_parts
from pipeline.kinds.showing import Parts


def opened(markup):
    return Image.open(BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", markup)[1])))


def test_small_pictures_keep_their_pixels_and_are_enlarged():
    grey = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    assert np.array_equal(np.array(opened(shown(grey, {}, "a 7"))), grey[0])
    colour = np.random.default_rng(0).integers(0, 256, (3, 5, 7)).astype(np.uint8)
    assert np.array_equal(np.array(opened(shown(colour, {}, "a 7"))), colour.transpose(1, 2, 0))
    assert str(shown(colour, {}, "a 7")).endswith(' alt="a 7" class=pixels>')


def test_large_pictures_are_made_small():
    large = shown(np.zeros((3, 300, 600), dtype=np.uint8), {}, "a 7")
    assert opened(large).size == (160, 80)
    assert str(large).endswith(' alt="a 7">')


def test_words_are_no_markup():
    assert 'alt="&lt;b&gt;&#34;"' in shown(np.zeros((1, 2, 2), dtype=np.uint8), {}, '<b>"')


def test_what_an_answer_came_from_lies_over_the_picture_in_grey():
    strengths = np.zeros(49)
    strengths[[0, 48]] = 1.0, -0.6  # the upper left for the answer, the lower right against it
    markup = shown_parts(np.full((1, 8, 8), 100, np.uint8), {}, "a 7", Parts(strengths, [f"{i}%" for i in range(49)]))
    plain, heat = (Image.open(BytesIO(base64.b64decode(found))) for found in re.findall(r"base64,([^\"]+)", markup))
    assert plain.size == (8, 8)
    assert heat.size == (240, 240)
    red, _, blue = (int(band) for band in heat.getpixel((15, 15)))
    assert red > blue + 60
    red, _, blue = (int(band) for band in heat.getpixel((225, 225)))
    assert blue > red + 60
    assert len(set(heat.getpixel((120, 120)))) == 1, "grey, where nothing speaks"
    assert heat.getpixel((30, 0)) == (0, 0, 0), "the box"
    assert "the boxed square" in markup
    assert "0%" in markup
    assert "48%" not in markup


def test_without_anything_that_speaks_there_is_no_box():
    markup = shown_parts(np.full((3, 20, 30), 100, np.uint8), {}, "", Parts(np.full(49, 0.1), ["1%"] * 49))
    assert "boxed" not in markup
