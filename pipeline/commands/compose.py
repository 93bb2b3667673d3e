"""`regatta compose`: `params.yaml` from `conf/`, checked; never over somebody's edits without a word."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.artifacts import PARAMS, write_bytes
from pipeline.commands.checks import check
from pipeline.commands.data import Link, linked
from pipeline.commands.kept import given_way, kept_keys, named_kept, unfit
from pipeline.commands.recognise import with_preset, with_recognised
from pipeline.config import Values, check_sections, composed, differences, edited, params_text, read_values
from pipeline.errors import ConfigError
from pipeline.kinds.keys import kind_named
from pipeline.overrides import Overrides, added, candidate, chosen, read_overrides, write_overrides
from pipeline.schema.data import PATHS, is_descriptor
from pipeline.schema.reading import check_file, flat
from pipeline.wording import counted

SHOWN = 12
"""Lines of a list of differences."""


@dataclass(frozen=True)
class Change:
    """A checked configuration that is not written yet."""

    overrides: Overrides
    values: Values
    links: list[Link]
    notes: list[str]
    recognised: list[str] = field(default_factory=list)
    """What the data were found to be where nobody said it."""

    @property
    def targets(self) -> dict[Path, Path]:
        """Where the links will lead."""
        return {link.path: link.target for link in self.links}


def compose(options: argparse.Namespace) -> int:
    """Compose and check `params.yaml`."""
    lines = apply(change([]), options.force)
    print("\n".join(lines) or f"{PARAMS} is what conf/ says", flush=True)
    return 0


def change(
    arguments: Sequence[str],
    reset: bool = False,
    finish: Callable[[Overrides, Overrides], Overrides] = lambda before, overrides: overrides,
    sections: Collection[str] | None = None,
) -> Change:
    """What the overrides in force and further ones make of `conf/`. Writes nothing.

    finish: what is done to the new overrides, given those before.
    sections: those that are checked; None: all, and how they go together.
    """
    before = Overrides() if reset else read_overrides()
    arguments, links = linked(arguments)
    arguments, said = with_recognised(arguments, links, before)
    arguments, suited = with_preset(arguments, links, before)
    overrides, notes = added(before, arguments)
    overrides = finish(before, overrides)
    values = _composed(overrides)
    kept = kept_keys(before, overrides, arguments)
    if wrong := unfit(before, overrides, kept, values):
        overrides, gone = given_way(overrides, wrong, kind_named(values))
        notes, values = [*notes, *gone], _composed(overrides)
    try:
        check(values) if sections is None else check_sections(values, sections)
    except ConfigError as error:
        raise named_kept(error, kept) from None
    return Change(overrides, values, links, notes, [*said, *suited])


def _composed(overrides: Overrides) -> Values:
    with candidate(overrides) as conf:
        return composed(conf)


def apply(new: Change, force: bool) -> list[str]:
    """Write links, overrides and `params.yaml`; what changed, in lines."""
    before = read_values() or {}
    if edited() and before != new.values and not force:
        ask(before, new.values)
    lines = [*new.recognised, *new.notes, *(link.make() for link in new.links)]
    old = overrides_now()
    if new.overrides != old:
        write_overrides(new.overrides)
        lines.append(f"conf/overrides.yaml: {' '.join(new.overrides.words()) or 'nothing is overridden'}")
    text = params_text(new.values)
    if not PARAMS.exists() or PARAMS.read_text(encoding="utf-8") != text:
        write_bytes(PARAMS, text.encode())
        changes = shortened(changes_told(before, old, new)) if before else ["composed from conf/"]
        lines += [f"{PARAMS}: {line}" for line in changes]
    return lines


def changed(before: Values, after: Values) -> list[str]:
    """What changes, a line a key; a study that comes or goes is one line."""
    old, new = _studies(before), _studies(after)
    lines = [
        f"study {name}: {'removed' if name in old else 'added'}" for name in {**old, **new} if (name in old) != (name in new)
    ]
    shared = old.keys() & new.keys()
    told = differences(_with_studies(before, shared), _with_studies(after, shared))
    repeating = _repeating_the_path(before, after)
    return [*lines, *(line for line in told if line.partition(":")[0] not in repeating)]


def _repeating_the_path(before: Values, after: Values) -> set[str]:
    """Paths of `data` that aren't given: they repeat `data.path`, and change with it (conf/data/base.yaml)."""
    old, new = before.get("data"), after.get("data")
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return set()
    pairs = {f"data.{key}": (old.get(key), new.get(key)) for key in PATHS}
    return {key for key, pair in pairs.items() if key != "data.path" and pair == pairs["data.path"]}


def changes_told(before: Values, overrides: Overrides | None, new: Change) -> list[str]:
    """What changes in params.yaml: where another file of a section is in force, its keys are one line, but for those said.

    overrides: those before; None: they can't be read.
    """
    lines = changed(before, new.values)
    if overrides is None:
        return lines
    old, files = chosen(overrides), chosen(new.overrides)
    groups = {group: file for group, file in files.items() if old.get(group) != file}
    said = {key for key, _ in flat(new.overrides.values)}
    its = {group: [line for line in lines if _is_of(line, group, said)] for group in groups}
    told = [
        f"{group}: {counted(len(own), 'key')} as in conf/{group}/{groups[group]}.yaml (was {old.get(group)})"
        for group, own in its.items()
        if own
    ]
    return [*told, *(line for line in lines if not any(line in own for own in its.values()))]


def _is_of(line: str, group: str, said: Collection[str]) -> bool:
    key = line.partition(":")[0]
    return key.startswith(f"{group}.") and key not in said


def _studies(values: Values) -> Values:
    """The definitions of a `params.yaml` that somebody may have edited into anything."""
    study = values.get("study")
    definitions = study.get("definitions") if isinstance(study, dict) else None
    return definitions if isinstance(definitions, dict) else {}


def _with_studies(values: Values, names: Collection[str]) -> Values:
    """The values with the studies of these names alone."""
    kept = {name: definition for name, definition in _studies(values).items() if name in names}
    return {**values, "study": {**values["study"], "definitions": kept}} if _studies(values) else values


def overrides_now() -> Overrides | None:
    """None where the file can't be read, and is to be written anew."""
    try:
        return read_overrides()
    except ConfigError:
        return None


def ask(before: Values, after: Values) -> None:
    """Let the user decide about a `params.yaml` that others wrote; ConfigError unless the answer is yes.

    One that is not fit to be read is not compared: what is wrong with it is said.
    """
    check_file(PARAMS, references=False)
    what = f"{PARAMS} was changed by hand or by `dvc exp run`; composing conf/ would change"
    print(f"{what}:\n" + "\n".join(f"  {line}" for line in shortened(changed(before, after))), flush=True)
    if sys.stdin.isatty() and input("Overwrite it? [y/N] ").strip().lower() in ("y", "yes"):
        return
    raise ConfigError(
        f"{PARAMS} is left as it is; keep its values with `regatta run KEY=VALUE`, run it as it stands with `dvc repro`, "
        "or overwrite it with --force"
    )


def shortened(lines: list[str]) -> list[str]:
    """The first lines, and how many more there are."""
    return lines if len(lines) <= SHOWN else [*lines[: SHOWN - 1], f"and {len(lines) - SHOWN + 1} more"]


def given_paths(values: Values) -> dict[str, Path]:
    """The paths of the user's data by key; a split's path that repeats `path` is not given."""
    data = values["data"]
    given = [key for key in PATHS if not is_descriptor(data[key]) and (key == "path" or data[key] != data["path"])]
    return {f"data.{key}": Path(data[key]) for key in given}
