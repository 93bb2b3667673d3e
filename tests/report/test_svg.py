import re
from xml.etree import ElementTree

import pytest
import report_builder as rb
from matplotlib.figure import Figure

from pipeline.report import svg as s


def figure(text="name", tip="tip"):
    drawn = Figure(figsize=(4, 3))
    axes = drawn.subplots()
    axes.plot([1, 2, 3], [1, 4, 2], "o-", color=s.BLUE, clip_on=True)
    axes.text(1, 2, text, color=s.INK, weight="bold")
    axes.axvspan(1, 2, alpha=0, gid=s.TIP + tip)
    axes.set_title(text)
    return drawn


@pytest.mark.parametrize("text", [*rb.HOSTILE[:3], "\u4e2d\u6587", "a & b", "]]>", "<!--", "$"])
def test_text_stays_text(text):
    with s.style():
        made = s.svg(figure(text, text), "x", text)
        s.png(figure(text))
    root = ElementTree.fromstring(made)
    assert text in [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert text in [element.text for element in root.iter() if element.tag.endswith("}title")]
    assert root.attrib["aria-label"] == text
    assert not [element for element in root.iter() if element.tag.endswith(("}script", "}img", "}style", "}metadata"))]


def test_colours_and_fonts_are_the_pages():
    with s.style():
        made = s.svg(figure(), "x", "alt")
    assert "var(--blue)" in made
    assert "var(--ink)" in made
    assert "DejaVu" not in made
    assert not re.findall("|".join(s.VARIABLES), made)


def test_ids_of_two_figures_never_meet():
    with s.style():
        made = [s.svg(figure(), name, "alt") for name in ("one", "two")]
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in made]
    assert ids[0]
    assert not ids[0] & ids[1]
    for own, text in zip(ids, made, strict=True):
        assert set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r' href="#([^"]+)"', text)) <= own


def test_the_same_figure_gives_the_same_bytes():
    with s.style():
        assert s.svg(figure(), "x", "alt") == s.svg(figure(), "x", "alt")
        assert s.png(figure()) == s.png(figure())
