"""What a configuration may be made of, looked at before anything makes values of it.

Of `${...}` only references to other keys: `${section.key}`, `${.sibling}`. Every resolver is refused (`${oc.env:KEY}`
would carry a key of the environment into params.yaml, the report and W&B), and so is a text that grows when it is
read: by aliases of aliases, by thousands of levels, by references to references.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError

MAX_BYTES = 4 * 2**20
MAX_VALUES = 20_000
"""Of all files together, aliases and references followed. The built-in configuration has about 700."""
MAX_DEPTH = 64
MAX_CHAIN = 8
"""References one to the other."""
_REFERENCE = re.compile(r"\$\{(\.*[A-Za-z_][\w-]*(?:\.[\w-]+|\[[\w-]+\])*)\}")
_ALLOWED = "of ${...} only references to other keys are allowed (${section.key}, ${.sibling}); write the value itself"
_VALUES_ONLY = "nothing is replaced here: write the value itself, or compose the file again with `regatta compose --force`"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class _Open:
    """A mapping or a list that is being read: where it began, and how deep what is in it goes."""

    name: str
    anchor: str | None
    before: int
    mapping: bool
    key: str | None = None
    position: int = 0
    height: int = 0


@dataclass
class _Read:
    """What has been read of a text."""

    place: str
    references: bool
    limit: int
    values: int = 0
    open: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Values and levels of what an alias stands for."""


def read_parameters(path: Path) -> dict[str, Any]:
    """A parameter file as it stands; ConfigError where it is missing or not fit to be one."""
    try:
        check_file(path, references=False)
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: missing; compose it with `regatta compose`") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML ({error}); compose it again with `regatta compose --force`") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold sections, not {type(values).__name__}; compose it with `regatta compose --force`")
    return values


def flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested values under dotted keys; an empty mapping is a leaf."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def check_conf(conf: Path, shown: str) -> None:
    """ConfigError where the files of a folder are not fit to be composed: names the file and the key."""
    left_bytes, left_values = MAX_BYTES, MAX_VALUES
    for path in sorted(path for path in conf.rglob("*.yaml") if path.is_file()):
        place = f"{shown}/{path.relative_to(conf)}"
        left_bytes -= path.stat().st_size
        if left_bytes < 0:
            raise ConfigError(
                f"{place}: the files of {shown}/ have more than {MAX_BYTES >> 20} MB; take out what they don't need"
            )
        left_values -= check_text(path.read_bytes(), place, limit=left_values)


def check_file(path: Path, *, references: bool = True) -> None:
    """ConfigError where a file is not fit to be read. Without references: it holds values, and nothing is to be replaced."""
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(f"{path}: has more than {MAX_BYTES >> 20} MB; it is no configuration")
    check_text(path.read_bytes(), str(path), references=references)


def check_text(text: bytes, place: str, *, references: bool = True, limit: int = MAX_VALUES) -> int:
    """The number of values of a YAML text, aliases followed; ConfigError names the place and the key.

    Goes through the parser's events, without recursion and without making a value. What is no YAML is left to the reader.
    """
    state = _Read(place, references, limit)
    try:
        for event in yaml.parse(text, _LOADER):
            _take(state, event)
    except yaml.YAMLError:
        pass  # whoever reads the text for good says where
    return state.values


def _take(state: _Read, event: Any) -> None:
    if isinstance(event, yaml.ScalarEvent):
        _take_value(state, event.value)
        _keep(state, event.anchor, 1, 0)
    elif isinstance(event, yaml.AliasEvent):
        values, height = _behind(state, event.anchor)
        _take_value(state, None, values, height)
    elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
        _count(state, 1, 1)
        mapping = isinstance(event, yaml.MappingStartEvent)
        state.open.append(_Open(_next_name(state, None), event.anchor, state.values - 1, mapping))
    elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
        done = state.open.pop()
        if state.open:
            state.open[-1].height = max(state.open[-1].height, done.height + 1)
        _keep(state, done.anchor, state.values - done.before, done.height + 1)


def _take_value(state: _Read, text: str | None, values: int = 1, height: int = 0) -> None:
    _count(state, values, height)
    name = _next_name(state, text)
    if state.open:
        state.open[-1].height = max(state.open[-1].height, height)
    if text is None:
        return
    if len(state.open) == 1 and name == "hydra":
        raise ConfigError(
            f"{state.place}: hydra: Hydra's own settings (such as where else it looks for files) are not read here"
        )
    if len(state.open) > 1 and state.open[1].name == "defaults" and ".." in text:
        raise ConfigError(f"{_keys(state, name)} = {text[:200]!r}: a file outside of the folder; copy it into it")
    if not _is_fit(text, state.references):
        raise ConfigError(f"{_keys(state, name)} = {text[:200]!r}: {_ALLOWED if state.references else _VALUES_ONLY}")


def _count(state: _Read, values: int, height: int) -> None:
    state.values += values
    if state.values > state.limit:
        raise ConfigError(f"{_keys(state, '')}: more than {MAX_VALUES:,} values, aliases followed; take it out")
    if len(state.open) + height > MAX_DEPTH:
        raise ConfigError(f"{_keys(state, '')}: more than {MAX_DEPTH} levels, one in the other; take it out")


def _next_name(state: _Read, text: str | None) -> str:
    """The name of what comes next in the innermost mapping or list: the key before it, or its position."""
    if not state.open:
        return ""
    inner = state.open[-1]
    if not inner.mapping:
        inner.position += 1
        return str(inner.position - 1)
    if inner.key is None:
        inner.key = text or "?"
        return inner.key
    name, inner.key = inner.key, None
    return name


def _keep(state: _Read, anchor: str | None, values: int, height: int) -> None:
    if anchor is not None:
        state.anchors[anchor] = (values, height)


def _behind(state: _Read, anchor: str | None) -> tuple[int, int]:
    """What an alias stands for; one that stands for what it is in has no end. An unknown one is left to the reader."""
    if any(inner.anchor == anchor for inner in state.open):
        raise ConfigError(f"{_keys(state, '')}: *{anchor} holds itself; take it out")
    return state.anchors.get(anchor or "", (1, 0))


def _keys(state: _Read, name: str) -> str:
    """The place and the dotted key, cut where it is long."""
    last = state.open[-1].key if state.open and not name else name
    keys = ".".join(filter(None, [*(inner.name for inner in state.open), last]))
    return f"{state.place}: {keys[:77] + '...' if len(keys) > 80 else keys}" if keys else state.place


def _is_fit(text: str, references: bool) -> bool:
    return "${" not in (_REFERENCE.sub("", text) if references else text)


def check_argument(argument: str) -> None:
    """ConfigError where `KEY=VALUE` goes too deep to be read."""
    depth = deepest = 0
    for sign in argument:
        depth += (sign in "[{(") - (sign in "]})")
        deepest = max(deepest, depth)
    if max(deepest, argument.partition("=")[0].count(".")) > MAX_DEPTH:
        raise ConfigError(f"{argument[:80]}...: more than {MAX_DEPTH} levels, one in the other")


def check_value(value: Any, place: str) -> None:
    """ConfigError where a value that was said, or a key in it, holds more than references to other keys."""
    for text in _texts(value):
        if not _is_fit(text, references=True):
            raise ConfigError(f"{place}: {_ALLOWED}")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from map(str, value)
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def check_references(values: Mapping[str, Any], shown: str) -> None:
    """ConfigError where references that are followed would make more of the composed values than there may be.

    A value holds one reference at most, and a section that is referred to holds none: then each reference that is written
    copies once what it names.
    """
    total = _size(values)
    for keys, text in _referring(values, ()):
        place = f"{shown}/: {'.'.join(keys)[:80]} = {text[:200]!r}"
        if len(_REFERENCE.findall(text)) > 1:
            raise ConfigError(f"{place}: one reference in a value is allowed")
        for target in _followed(values, keys, text, place):
            if isinstance(target, Mapping | list) and any("${" in inner for inner in _texts(target)):
                raise ConfigError(f"{place}: refers to what holds references itself; write its values")
            total += _size(target)
        if total > MAX_VALUES:
            raise ConfigError(f"{place}: more than {MAX_VALUES:,} values, references followed; take it out")


def _followed(values: Any, keys: Sequence[str], text: str, place: str) -> Iterator[Any]:
    """What a reference names, what that one names, and so on."""
    for _ in range(MAX_CHAIN):
        keys = _absolute(keys, _REFERENCE.findall(text)[0])
        target = _at(values, keys)
        yield target
        if not isinstance(target, str) or "${" not in target:
            return
        text = target
    raise ConfigError(f"{place}: more than {MAX_CHAIN} references, one to the other, or a circle of them; write the value")


def _referring(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from _referring(inner, (*keys, str(name)))
    if isinstance(value, str) and "${" in value:
        yield keys, value


def _absolute(keys: Sequence[str], reference: str) -> list[str]:
    """The keys that a reference names: one dot is the section that it stands in, each further one the one above."""
    path = reference.lstrip(".")
    dots = len(reference) - len(path)
    return [*(keys[: len(keys) - dots] if dots else ()), *re.findall(r"[\w-]+", path)]


def _at(values: Any, keys: Sequence[str]) -> Any:
    """What stands at a path of keys; None where nothing does, which Hydra says."""
    for name in keys:
        if isinstance(values, list) and name.isdigit() and int(name) < len(values):
            values = values[int(name)]
        elif isinstance(values, Mapping) and name in values:
            values = values[name]
        else:
            return None
    return values


def _size(value: Any) -> int:
    """The number of values; a long text counts as many."""
    if isinstance(value, str):
        return 1 + len(value) // 100
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return 1 + sum(map(_size, inner))
