"""What data are where `data.path=PATH` is said without `data=...`: recognised by their contents, and said."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.data import Link
from pipeline.commands.root import path_said
from pipeline.config import CONF, Values, choices
from pipeline.errors import ConfigError
from pipeline.overrides import Overrides, parsed

if TYPE_CHECKING:
    from pipeline.prepare.recognition import Recognised

_SAID = ("data", "data.source", "data.kind")
"""Who says one of these says what the data are."""
_NETWORK = ("preset", "model", "train", "augment")
"""Who says one of these has chosen."""
_COMING_ALONG = ("digits", "folder", "idx", "parquet", "csv", "table", "text", "audio")
"""Files of conf/data that are told from each other by what lies in a path; one of the user's own stays in force."""
_MEASURED = ("folder", "parquet")
"""Files of conf/data whose samples are measured."""
_CONTENT = {"text": "text", "audio": "audio", "csv": "image", "parquet": "image"}
"""The key of the column that a file of conf/data needs."""
_COLUMNS = ("label", "split", "group", "time", "text", "audio", "image", "number", "category", "date", "ignore")
"""Keys that name columns."""


def with_recognised(arguments: Sequence[str], links: Sequence[Link], before: Overrides) -> tuple[list[str], list[str]]:
    """The arguments with those that choose the data's source, and a line that says so; ConfigError where a label lacks.

    links: which of the paths are links that are not made yet. before: the overrides in force; what they choose stays where
    it can read the same data.
    """
    said = {word.partition("=")[0].lstrip("+"): word.partition("=")[2].strip("'") for word in arguments if "=" in word}
    key = next((key for key in ("data.path", "data.train_path") if path_said(f"{key}={said.get(key, '')}", [key])), None)
    chosen = set(_SAID) & said.keys() or {"source", "kind"} & before.values.get("data", {}).keys()
    if key is None or chosen or before.files.get("data", _COMING_ALONG[0]) not in _COMING_ALONG:
        return list(arguments), []
    from pipeline.prepare.recognition import label_missing, recognised

    # As a link that is not made yet: then a command to paste must name what it would lead to.
    target = next((link.target for link in links if str(link.path) == said[key]), Path(said[key]))
    if not target.exists():
        return list(arguments), []  # told by who looks for the data
    named = f"{key}={shlex.quote(str(target))}"
    header = [parsed(word)[1] for word in arguments if word.partition("=")[0].lstrip("+") == "data.header"]
    found = recognised(target, named, header[-1] if header and isinstance(header[-1], list) else ())
    stays = _stays(found, before)
    old = before.values.get("data", {}) if stays else {}
    others = old.get(key.removeprefix("data.")) != said[key] and "data.header" not in said
    gone = [each for each in _lacking(found, old) if f"data.{each}" not in said] if others else []
    old = {each: value for each, value in old.items() if each not in gone}
    lacking = None if {"data.label", "data.header"} & said.keys() or "label" in old else label_missing(found, named)
    if lacking:
        raise ConfigError(lacking)
    if stays:
        return _without_columns(arguments, found, before, gone, named)
    if found.source not in choices(CONF, "data"):
        raise ConfigError(
            f"{named}: {found.what}, which can't be read yet; images in folders, tables, Parquet or IDX files can"
        )
    words = [f"data={found.source}", *(word for word in found.keys if word.partition("=")[0] not in said)]
    other = f"data={found.also[0]}" if found.also else "another data=..."
    told = f"{named}: {found.what}, so {' '.join(words)}; {other} beside it overrules that"
    return [*arguments, *words], [told]


def with_preset(arguments: Sequence[str], links: Sequence[Link], before: Overrides) -> tuple[list[str], list[str]]:
    """The arguments with a preset that suits images that are named for the first time, and a line that says so.

    Nothing where somebody has said a network, how it is trained or how images are augmented: now, or before. Beside keys of a
    network, which another one may not have, it is only told.
    """
    said = {word.partition("=")[0].lstrip("+"): word.partition("=")[2].strip("'") for word in arguments if "=" in word}
    keys = [key for key in (*said, *(f"model.{key}" for key in before.values.get("model", {}))) if key.startswith("model.")]
    source = said.get("data") or before.files.get("data")
    path = said.get("data.path") or said.get("data.train_path")
    chosen = {*_NETWORK} & {*before.files, *said} or "model.backbone" in keys
    if source not in _MEASURED or path is None or chosen:
        return list(arguments), []
    from pipeline.prepare.suited import suited_at

    target = next((link.target for link in links if str(link.path) == path), Path(path))
    kept = before.values.get("data", {})
    if not target.exists():
        return list(arguments), []  # told by who looks for the data
    suited, seen = suited_at(target, source, said.get("data.image") or kept.get("image", "image"))
    words = [word for word in suited if word.partition("=")[0] not in said]
    if words and keys:
        told = f"{target}: {seen}, which {' '.join(words)} suits; left out beside {keys[0]}: say it, too, to have it"
        return list(arguments), [told]
    told = f"{target}: {seen}, so {' '.join(words)}; another preset or model beside it overrules that"
    return [*arguments, *words], [told] if words else []


def _stays(found: Recognised, before: Overrides) -> bool:
    """Whether the file of conf/data that is in force can read the data."""
    chosen = before.files.get("data")
    if chosen == found.source or chosen not in found.also:
        return chosen == found.source
    content = _CONTENT.get(chosen)
    return content is None or found.columns is None or before.values.get("data", {}).get(content, content) in found.columns


def _lacking(found: Recognised, old: Values) -> list[str]:
    """The kept keys that name columns which these data have not."""
    if found.columns is None or "header" in old:
        return []
    named = {key: old[key] if isinstance(old[key], list) else [old[key]] for key in _COLUMNS if old.get(key) is not None}
    return [key for key, names in named.items() if not {*names} <= {*found.columns}]


def _without_columns(
    arguments: Sequence[str], found: Recognised, before: Overrides, gone: Sequence[str], named: str
) -> tuple[list[str], list[str]]:
    """The arguments with those that forget kept columns, or name the recognised ones instead, and what is said of it."""
    instead = {word.partition("=")[0].removeprefix("data."): word for word in found.keys}
    words = [instead.get(key, f"~data.{key}") for key in gone]
    kept = {key: Overrides(values={"data": {key: before.values["data"][key]}}).words()[0] for key in gone}
    told = [f"{kept[key]}: forgot, since {named} has no such column" for key in gone]
    return [*arguments, *words], [
        f"{line}; {instead[key]}" if key in instead else line for key, line in zip(gone, told, strict=True)
    ]
