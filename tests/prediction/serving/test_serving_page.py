"""The page in a browser: a file, a row, a text and a token from somebody's hands to the answer."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from browser import CHROMIUM, Page, opened
from PIL import Image
from published import Case
from served import Asker, serving

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
ANSWER = "document.querySelector('.answer .said')?.textContent"
TOKEN = "0123456789abcdef0123"


def used(ask: Asker, steps: Callable[[Page], Awaitable[None]], size: tuple[int, int] = (1200, 400)) -> None:
    """Do the steps, and look at the page, wide and narrow: nothing lies beyond its edge, and nothing was refused to it."""

    async def call() -> None:
        async with opened(f"http://127.0.0.1:{ask.port}/") as page:
            await page.wide(size[0])
            await steps(page)
            for width in size:
                await page.wide(width)
                assert await page.value("document.documentElement.scrollWidth - innerWidth") <= 0
                with Image.open(io.BytesIO(await page.picture())) as picture:
                    assert picture.width == width
            assert await page.value("performance.getEntriesByType('resource').every(e => e.name.startsWith(location.origin))")
            assert page.console == []

    asyncio.run(call())


def test_a_file(made: Callable[[str], Case], tmp_path: Path) -> None:
    case = made("photos")
    good = sorted(case.source.rglob("*.png"))[0]
    bad = tmp_path / "<b>bad.png"
    bad.write_bytes(b"none")
    with serving(case.model) as ask:
        known = ask.files((good.name, good.read_bytes())).body["answers"][0]

        async def steps(page: Page) -> None:
            await page.until("!document.getElementById('asking').hidden")
            facts = await page.value("document.getElementById('facts').textContent")
            assert all(word in facts for word in ("dnn", "image", "2 classes", "validation loss"))
            await page.choose("#files", good, bad)
            assert await page.until(ANSWER) == known["prediction"]
            told = await page.value("[...document.querySelectorAll('.answer td.number')].map(e => e.textContent)")
            assert told == [f"{100 * one['probability']:.1f} %" for one in known["classes"]]
            width = await page.value("parseFloat(document.querySelector('td.bar div div').style.width)")
            assert width == pytest.approx(100 * known["classes"][0]["probability"], rel=1e-4)
            assert await page.value("document.querySelector('.shown img').naturalWidth") > 0
            problem = await page.value("document.querySelector('#answers .problem').textContent")
            assert problem == "<b>bad.png: not an image of a format that can be read"

        used(ask, steps)


def test_a_row_by_keyboard(made: Callable[[str], Case]) -> None:
    case = made("rows")
    with serving(case.model) as ask:

        async def steps(page: Page) -> None:
            await page.until("!document.getElementById('asking').hidden")
            unnamed = "[...document.querySelectorAll('input, textarea')].filter(e => !e.labels.length && e.offsetParent).length"
            assert await page.value(unnamed) == 0
            await page.press("Tab", 9)
            assert await page.value("document.activeElement.id") == "files"
            for text in ("30", "Oslo", "2020-01-01"):
                await page.press("Tab", 9)
                await page.type(text)
            await page.press("Enter", 13)
            known = ask.json({"rows": [{"age": "30", "city": "Oslo", "joined": "2020-01-01"}]}).body["answers"][0]
            assert await page.until(ANSWER) == known["prediction"]
            await page.value("document.querySelector('#fields input').value = 'old'")
            await page.value("document.getElementById('send').click()")
            problem = await page.until("document.querySelector('#answers .problem')?.textContent")
            assert "column 'age' says 'old', no finite number" in problem

        used(ask, steps)


def test_a_text_to_a_server_with_a_token(made: Callable[[str], Case]) -> None:
    case = made("texts")
    with serving(case.model, token=TOKEN) as ask:

        async def steps(page: Page) -> None:
            await page.until("!document.getElementById('door').hidden")
            assert await page.value("document.getElementById('facts').textContent") == ""
            for given in ("another one, which is wrong", TOKEN):
                await page.value("document.getElementById('token').focus(); document.getElementById('token').value = ''")
                await page.type(given)
                await page.press("Enter", 13)
                shown = "door-problem" if given != TOKEN else "asking"
                await page.until(f"!document.getElementById('{shown}').hidden")
            await page.value("document.getElementById('text').focus()")
            await page.type("a fine story")
            await page.value("document.getElementById('send').click()")
            assert await page.until(ANSWER) in case.data.manifest.classes
            assert TOKEN not in await page.value("document.body.innerText + location.href + JSON.stringify({...localStorage})")

        used(ask, steps)
