import base64
import re
from io import BytesIO

import numpy as np
from PIL import Image

from pipeline.kinds.image.showing import shown


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
