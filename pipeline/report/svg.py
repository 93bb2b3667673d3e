"""Figures as inline SVG that follows the page's colours, and as PNG: the same figure, the same bytes each time."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from pipeline.report.words import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, LINE, PAPER = "#1b2330", "#5f6875", "#dcdfe0", "#fffffe"
BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#008a64", "#9aa1a9"
"""After Okabe and Ito (2008), told apart with any kind of colour vision."""
VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    PAPER: "card",
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    GREY: "grey",
}
"""Colours of the figures and the variables of report.css that take their place on the page."""
TIP = "tip:"
"""An artist whose gid starts so gets the rest as its tooltip."""
STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 11,
    "text.color": INK,
    # Names of classes and files may hold dollar signs, and are never formulas.
    "text.parse_math": False,
    "text.usetex": False,
    "axes.facecolor": "none",
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10.5,
    "axes.linewidth": 0.9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "ytick.major.size": 0,
    "xtick.major.size": 3,
    "lines.linewidth": 1.9,
    "lines.solid_capstyle": "round",
    "hatch.linewidth": 0.6,
    "figure.facecolor": "none",
    "figure.dpi": 72,
    "savefig.dpi": 72,
    "svg.fonttype": "none",
    "svg.hashsalt": "regatta",
}
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""What names may hold and XML may not."""
_NAMESPACE = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Matplotlib's own defaults and `STYLE`, whatever the user's matplotlibrc says."""
    import matplotlib as mpl

    with mpl.rc_context(), warnings.catch_warnings():
        # The page's text is drawn by the browser, which has more letters than the font that only measures here.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def png(figure: Figure) -> bytes:
    """The figure on white, at twice the page's size."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=144, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an <svg> element: its ids start with `name`, `alt` is read out in its place."""
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    ElementTree.register_namespace("", _NAMESPACE)
    root = ElementTree.fromstring(NOT_XML.sub("\ufffd", buffer.getvalue()))
    for element in list(root):
        # The first <defs> holds a style sheet that would speak to the whole page.
        if element.tag.endswith("metadata") or element.find(f"{{{_NAMESPACE}}}style") is not None:
            root.remove(element)
    _rename_ids(root, name)
    for element in root.iter():
        if "style" in element.attrib:
            element.attrib["style"] = _themed(element.attrib["style"])
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    own = root.attrib["viewBox"].split()[2]
    root.attrib.update({"role": "img", "aria-label": plain(alt), "style": f"--own: {own}px"})
    return ElementTree.tostring(root, encoding="unicode")


def _rename_ids(root: ElementTree.Element, name: str) -> None:
    """Keep the ids that something refers to, prefixed; turn tooltips' gids into <title>; drop all others."""
    used = set(re.findall(r"url\(#([^)]+)\)", " ".join(v for e in root.iter() for v in e.attrib.values())))
    used |= {e.attrib[_LINK][1:] for e in root.iter() if _LINK in e.attrib}
    for element in list(root.iter()):
        old = element.attrib.pop("id", "")
        if old in used:
            element.attrib["id"] = f"{name}-{old}"
        elif old.startswith(TIP):
            element.attrib["class"] = "tip"
            title = ElementTree.Element(f"{{{_NAMESPACE}}}title")
            title.text = plain(old[len(TIP) :])
            element.insert(0, title)
        if _LINK in element.attrib:
            element.attrib["href"] = f"#{name}-{element.attrib.pop(_LINK)[1:]}"
        for key, value in element.attrib.items():
            element.attrib[key] = value.replace("url(#", f"url(#{name}-")


def _themed(css: str) -> str:
    """Colours to the page's variables; the page's font."""
    css = re.sub(r"#[0-9a-f]{6}", lambda hit: f"var(--{VARIABLES[hit[0]]})" if hit[0] in VARIABLES else hit[0], css)
    return re.sub(r"font: ([^;]*?px) [^;]*", r"font: \1 var(--sans)", re.sub(r"font-family: [^;]*;?", "", css))
