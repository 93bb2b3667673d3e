"""What data are where `data.path=PATH` is said without `data=...`: recognised by their contents, and said."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from pipeline.commands.data import Link
from pipeline.commands.root import path_said
from pipeline.config import CONF, choices
from pipeline.errors import ConfigError
from pipeline.overrides import Overrides, parsed

_SAID = ("data", "data.source", "data.kind")
"""Who says one of these says what the data are."""


def with_recognised(arguments: Sequence[str], links: Sequence[Link], before: Overrides) -> tuple[list[str], list[str]]:
    """The arguments with those that choose the data's source, and a line that says so; ConfigError where a label lacks.

    links: which of the paths are links that are not made yet. before: the overrides in force; what they choose stays where
    it can read the same data.
    """
    said = {word.partition("=")[0].lstrip("+"): word.partition("=")[2].strip("'") for word in arguments if "=" in word}
    key = next((key for key in ("data.path", "data.train_path") if path_said(f"{key}={said.get(key, '')}", [key])), None)
    if key is None or set(_SAID) & said.keys() or {"source", "kind"} & before.values.get("data", {}).keys():
        return list(arguments), []
    from pipeline.prepare.recognition import label_missing, recognised

    # As a link that is not made yet: then a command to paste must name what it would lead to.
    target = next((link.target for link in links if str(link.path) == said[key]), Path(said[key]))
    if not target.exists():
        return list(arguments), []  # told by who looks for the data
    named = f"{key}={shlex.quote(str(target))}"
    header = [parsed(word)[1] for word in arguments if word.partition("=")[0].lstrip("+") == "data.header"]
    found = recognised(target, named, header[-1] if header and isinstance(header[-1], list) else ())
    chosen = before.files.get("data")
    stays = chosen == found.source or chosen in found.also
    old = before.values.get("data", {}) if stays else {}
    lacking = None if {"data.label", "data.header"} & said.keys() or "label" in old else label_missing(found, named)
    if lacking:
        raise ConfigError(lacking)
    if stays:
        return list(arguments), []
    if found.source not in choices(CONF, "data"):
        raise ConfigError(
            f"{named}: {found.what}, which can't be read yet; images in folders, tables, Parquet or IDX files can"
        )
    words = [f"data={found.source}", *(word for word in found.keys if word.partition("=")[0] not in said)]
    other = f"data={found.also[0]}" if found.also else "another data=..."
    told = f"{named}: {found.what}, so {' '.join(words)}; {other} beside it overrules that"
    return [*arguments, *words], [told]
