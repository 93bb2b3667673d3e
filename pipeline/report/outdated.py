"""A page that is of an earlier run than the last one, which ended before it wrote one: the page says so itself."""

from __future__ import annotations

from pathlib import Path

from pipeline.artifacts import write_bytes
from pipeline.report.words import coded

BEGIN, END = '<section id="outdated" class="findings" aria-label="Not of the last run">', "</section><!-- outdated -->"
PLACE = "<main>"


def mark(page: Path, reason: str) -> None:
    """Put it at the top of a page, if there is one. DVC sees the change, and the next whole run puts its own page there."""
    if page.exists():
        # Another file in its place: the page may share its bytes with DVC's cache.
        write_bytes(page, marked(page.read_text(encoding="utf-8"), reason).encode())


def unmark(page: Path) -> None:
    """Give a page back the bytes that it had before, which DVC knows."""
    if page.exists() and BEGIN in (html := page.read_text(encoding="utf-8")):
        write_bytes(page, unmarked(html).encode())


def unmarked(html: str) -> str:
    """The page as it was written."""
    before, found, rest = html.partition(BEGIN)
    return before + rest.partition(END)[2] if found else html


def marked(html: str, reason: str) -> str:
    """The page with the mark, in the place of an older one."""
    html = unmarked(html)
    note = (
        '<article class="finding warn"><p class="topic"><span class="mark">act</span> An earlier run</p>'
        "<h2>This page is of an earlier run: the last one ended before it wrote its own.</h2>"
        f"<p>{coded(reason)}. Data, settings and results below are those of before.</p>"
        '<p class="advice"><code>regatta run</code> says what is wrong, and writes the page anew once it is mended.</p>'
        "</article>"
    )
    return html.replace(PLACE, f"{PLACE}{BEGIN}{note}{END}", 1)
