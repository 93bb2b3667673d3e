"""Pages from templates: names escaped, words in one style."""

from __future__ import annotations

import json
from pathlib import Path

import jinja2
from markupsafe import Markup

from pipeline.evaluation.costs import mistakes_in_words
from pipeline.report import words

HERE = Path(__file__).parent


def style() -> Markup:
    """The pages' style sheet."""
    return Markup((HERE / "report.css").read_text(encoding="utf-8"))


def environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([HERE, HERE / "study"]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: getattr(words, name)
        for name in (
            "percent",
            "points",
            "number",
            "count",
            "duration",
            "moment",
            "plain",
            "coded",
            "parted",
            "probability",
            "short",
            "signed",
            "times",
        )
    }
    environment.filters["tojson_plain"] = lambda value: json.dumps(value, ensure_ascii=False)
    environment.globals |= {
        "plural": words.plural,
        "mistakes_in_words": mistakes_in_words,
        "interval": words.interval,
        "between": words.between,
        "better": words.better,
        "measure": words.measure,
        "metric_words": words.metric_words,
    }
    return environment
