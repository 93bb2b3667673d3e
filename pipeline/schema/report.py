"""What the report shows."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.schema.base import Section


class ReportConfig(Section):
    """`report.*`."""

    title: str
    num_mistakes: Annotated[int, Field(ge=0, le=200)]
    """How many of the most confident mistakes are shown."""
    samples: bool
    """Whether the page may hold anything of single samples: pictures, texts, rows, names of files, values."""
