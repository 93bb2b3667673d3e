"""`regatta inspect DATA`: what `prepare` would see of data, and a sheet of samples; nothing in the project changes."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from pipeline.artifacts import make_dir, runs_root, write_bytes
from pipeline.commands.compose import Change, change
from pipeline.commands.root import ROOT, path_from_root, seen_from
from pipeline.commands.run import check_data
from pipeline.config import Values
from pipeline.errors import ConfigError, DataError
from pipeline.kinds.keys import check_installed, data_section
from pipeline.kinds.words import shell_word
from pipeline.schema.base import validated
from pipeline.schema.data import PATHS
from pipeline.schema.prepare import PrepareConfig

READ = ("data", "prepare")
"""Sections; what others hold is no matter here, but for what is said on the command line."""


def inspect(options: argparse.Namespace) -> int:
    """Tell it, write the sheet, and end as `prepare` would where it would refuse the data."""
    words = list(options.overrides)
    try:
        return _inspect(options, words)
    except (ConfigError, DataError) as error:
        raise type(error)(continued(str(error), words)) from None


def _inspect(options: argparse.Namespace, words: Sequence[str]) -> int:
    new = change(words, sections={*READ, *(re.split(r"[.=]", word.lstrip("~+"))[0] for word in words)})
    check_data(new.values, to_come=new.targets)
    for line in new.recognised:
        print(line, flush=True)
    values = placed(new)
    data = data_section(values)
    check_installed(data)
    # After the checks: the first import of what reads the data takes a second.
    from pipeline.prepare.inspection import inspected
    from pipeline.report.sheet import sheet

    found = inspected(data, validated(PrepareConfig, values["prepare"], "prepare"))
    topics = [(topic, [continued(line, words) for line in lines]) for topic, lines in found.topics]
    for topic, lines in topics:
        for i, line in enumerate(lines):
            print(f"{'' if i else topic:11s}{line}", flush=True)
    title = data.path or data.train_path or data.source
    place = sheet_place(options.sheet, title, options.stood)
    make_dir(place.parent)
    write_bytes(place, sheet(data.kind, title, topics, found).encode())
    print(f"The sheet is {seen_from(options.stood, place)}", flush=True)
    if found.refusal:
        raise DataError(f"prepare would stop: {found.refusal}")
    return 0


def continued(said: str, words: Sequence[str]) -> str:
    """What is said with its commands as they go on from this one, whose words are kept nowhere."""
    if not words:
        return said
    path = next((word for word in words if word.startswith("data.path=")), None)
    named = f"data.path={shlex.quote(path.partition('=')[2])} " if path else ""

    def command(match: re.Match[str]) -> str:
        new, stay = match[1].removeprefix(named), []
        for word in words:
            key = word.partition("=")[0]
            if f"'~{key}'" in new:
                new = re.sub(rf"\s*'~{re.escape(key)}'", "", new)
            elif f"{key}=" not in new:
                stay.append(word)
        shown = [word.removeprefix("data.path=") if word == path else word for word in stay]
        return " ".join(["regatta inspect", *map(shell_word, shown), *([new] if new else [])])

    return re.sub(r"regatta run ([^\n#`]*)", command, said)


def placed(new: Change) -> Values:
    """The values with what the links would lead to in place of the links, which are not made."""
    targets = {str(link.path): str(link.target) for link in new.links}
    data = new.values["data"]
    return {**new.values, "data": data | {key: targets.get(data[key], data[key]) for key in PATHS}}


def sheet_place(said: str | None, title: str, stood: Path = ROOT) -> Path:
    """Where the sheet goes: where it was said, or below `runs/`."""
    if said is None:
        name = re.sub(r"[^\w.-]+", "-", Path(title).name).strip("-.") or "data"
        return runs_root() / "inspect" / f"{name}.html"
    place = path_from_root(said, stood)
    if place.is_dir():
        raise ConfigError(f"--sheet={said}: a folder; name the file, such as {said.rstrip('/')}/sheet.html")
    return place
