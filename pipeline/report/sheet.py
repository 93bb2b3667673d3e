"""The sheet of `regatta inspect`: what was told, and a few samples of each class as the network would get them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.kinds.showing import showing_of
from pipeline.prepare.inspection import Inspection
from pipeline.report.templates import environment, style


def sheet(kind: str, title: str, told: Sequence[tuple[str, Sequence[str]]], found: Inspection) -> str:
    """One file that opens without network."""
    showing = showing_of(kind)
    examples = [
        (own.label, [(name, showing.shown(row, found.fit, name)) for name, row in zip(own.names, own.rows, strict=True)])
        for own in found.examples
    ]
    template = environment().get_template("sheet.html")
    return template.render(title=title, css=style(), refusal=found.refusal, topics=told, examples=examples)
