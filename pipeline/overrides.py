"""`conf/overrides.yaml`: what `regatta run GROUP=FILE KEY=VALUE` has set, last in the defaults of `conf/config.yaml`."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.artifacts import write_bytes
from pipeline.config import CONF, Values, choices, groups, key_names, with_key
from pipeline.errors import ConfigError
from pipeline.schema.base import nearest
from pipeline.schema.reading import check_argument, check_file, check_value, flat

FILE = "overrides.yaml"
TABLES, PHOTOS = ("csv", "parquet"), "preset=photos data.channels=rgb data.size=64"
"""Data that may be photos or not, and the words for photos: what data=folder takes by itself."""
BACKBONE, BACKBONE_KEY = "backbone", "model.backbone"
"""The file of conf/model, and of conf/preset, for a pretrained network, and the key that takes the latter along."""
OF_BACKBONE = (
    BACKBONE_KEY, "model.backbone_path", "model.backbone_kept", "model.freeze", "model.init_from",
    "train.transferred_rate", "train.unfreeze_epoch",
)  # fmt: skip
"""Keys that, said beside a pretrained network, are about it alone."""
_HEADER = """# @package _global_
# What `regatta run GROUP=FILE KEY=VALUE` has set; it comes last in config.yaml. `regatta run --reset` clears it.
"""

_PLAIN = re.compile(r"\+*([a-z][\w.-]*)=((?:[<>]=|[^='\"\[\]{}()$\\,\s])+|[;,])")
"""A key and a value that Hydra's grammar has no place for, such as precision>=0.9, and that can mean nothing but itself."""


@dataclass(frozen=True)
class Overrides:
    """Chosen files by group, and nested values by section."""

    files: dict[str, Any] = field(default_factory=dict)
    values: Values = field(default_factory=dict)

    def text(self) -> str:
        """The file's content: a defaults list for the chosen files, then the values."""
        from omegaconf import OmegaConf

        defaults = {"defaults": [{f"override /{group}": file} for group, file in self.files.items()]} if self.files else {}
        content = defaults | self.values
        return _HEADER + (OmegaConf.to_yaml(OmegaConf.create(content)) if content else "")

    def words(self) -> list[str]:
        """The overrides as they would be said to `regatta run`."""
        files = [
            f"{group}={'[' + ','.join(file) + ']' if isinstance(file, list) else file}" for group, file in self.files.items()
        ]
        return files + [f"{key}={'null' if value is None else value}" for key, value in flat(self.values)]


def read_overrides(conf: Path = CONF) -> Overrides:
    """The overrides that are in force."""
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    path = conf / FILE
    try:
        if path.exists():
            check_file(path)
        content: Any = OmegaConf.to_container(OmegaConf.load(path)) if path.exists() else {}
    except (yaml.YAMLError, OmegaConfBaseException, OSError, UnicodeError) as error:
        raise _unreadable(path, " ".join(str(error).split())) from None
    if not isinstance(content, dict):
        raise _unreadable(path, "it must hold sections")
    files: dict[str, Any] = {}
    for entry in content.pop("defaults", None) or []:
        [(name, file)] = entry.items() if isinstance(entry, Mapping) and len(entry) == 1 else [(str(entry), None)]
        group = str(name).removeprefix("override /")
        if group == name or file is None:
            raise _unreadable(path, f"its defaults may hold `- override /GROUP: FILE` only, not {entry!r}")
        files[group] = file
    return Overrides(files, content)


def _unreadable(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"{path}: can't be read ({reason}); mend it or say `regatta run --reset`")


def write_overrides(overrides: Overrides, conf: Path = CONF) -> None:
    """Write `conf/overrides.yaml` whole or not at all."""
    write_bytes(conf / FILE, overrides.text().encode())


@contextmanager
def candidate(overrides: Overrides, conf: Path = CONF) -> Iterator[Path]:
    """A copy of `conf/` with these overrides, to compose from before anything is written."""
    with tempfile.TemporaryDirectory(prefix="regatta-conf-") as folder:
        copy = Path(folder) / "conf"
        shutil.copytree(conf, copy)
        (copy / FILE).write_text(overrides.text(), encoding="utf-8")
        yield copy


def added(overrides: Overrides, arguments: Sequence[str], conf: Path = CONF) -> tuple[Overrides, list[str]]:
    """The overrides with arguments in Hydra's grammar added, and what should be said about it; all errors at once.

    `GROUP=FILE` chooses a file and forgets the values that were set over another file of that group; `KEY=VALUE` sets
    a value; `~KEY` and `~GROUP` forget an override.
    """
    notes: list[str] = []
    problems: list[str] = []
    before, known, in_force = overrides.files, groups(conf), chosen(overrides, conf)
    start = overrides
    # Files first, so that a value said beside its section's file is not forgotten with the values of the file before.
    for argument in sorted(arguments, key=lambda argument: argument.partition("=")[0] not in known):
        try:
            if not _gone_already(argument, start, overrides):
                overrides = _with(overrides, argument, known, in_force, conf, notes)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    overrides = _without_backbone(start, overrides, arguments, conf, notes)
    said = [(group, file) for group, file in overrides.files.items() if before.get(group) != file]
    return overrides, notes + _brought(said, overrides, conf)


def _gone_already(argument: str, start: Overrides, overrides: Overrides) -> bool:
    """Whether a key of a pretrained network is to be forgotten that has just gone with its file."""
    key = argument.removeprefix("~")
    return argument != key in OF_BACKBONE and key in dict(flat(start.values)) and key not in dict(flat(overrides.values))


def _without_backbone(
    start: Overrides, overrides: Overrides, arguments: Sequence[str], conf: Path, notes: list[str]
) -> Overrides:
    """The overrides without all that is about a pretrained network, where it was forgotten or another file is in its place."""
    said = {argument.lstrip("+~").partition("=")[0] for argument in arguments}
    old, now = dict(flat(start.values)), dict(flat(overrides.values))
    if BACKBONE_KEY in old and BACKBONE_KEY not in now:
        files = {group: file for group, file in overrides.files.items() if file != BACKBONE or group in said}
        overrides = Overrides(files, overrides.values)
    elif not chosen(start, conf).get("model") == BACKBONE != chosen(overrides, conf).get("model"):
        return overrides
    going = [key for key in OF_BACKBONE if key in now and key not in said and now[key] == old.get(key)]
    if going:
        words = [word for word in overrides.words() if word.partition("=")[0] in going]
        notes.append(f"forgot {' '.join(words)}, set for the pretrained network that is left")
    for key in going:
        overrides = without(overrides, key)
    return overrides


def _with(
    overrides: Overrides, argument: str, known: Sequence[str], in_force: Values, conf: Path, notes: list[str]
) -> Overrides:
    key, value, forget = parsed(argument)
    if forget:
        return _without(overrides, key, argument)
    if key in known:
        return _with_file(overrides, key, value, argument, in_force, conf, notes)
    return Overrides(overrides.files, with_key(overrides.values, key, value))


def parsed(argument: str) -> tuple[str, Any, bool]:
    """Key, value, and whether the key's override is to be forgotten."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import OverrideType
    from hydra.errors import HydraException

    check_argument(argument)
    try:
        [override] = OverridesParser.create().parse_overrides([argument])
        value = override.value()
        if not override.key_or_group:
            raise HydraException("no key")
    except HydraException as error:
        if found := _PLAIN.fullmatch(argument):
            return found[1], found[2], False
        reason = " ".join(str(error).partition("See https")[0].split())
        raise ConfigError(
            f"{argument}: not GROUP=FILE, KEY=VALUE or ~KEY ({reason}); quote a value with spaces or commas: \"KEY='a, b'\""
        ) from None
    if override.is_sweep_override() or not isinstance(value, str | int | float | bool | list | dict | None):
        raise ConfigError(f'{argument}: one run takes one value; write a list as "KEY=[a,b]", and compare several in a study')
    check_value({override.key_or_group: value}, argument)
    return override.key_or_group, value, override.type == OverrideType.DEL


def _with_file(
    overrides: Overrides, group: str, file: Any, argument: str, in_force: Values, conf: Path, notes: list[str]
) -> Overrides:
    """in_force: the files of all groups before, whoever chose them."""
    allowed = choices(conf, group)
    for name in file if isinstance(file, list) else [file]:
        if name not in allowed:
            near = nearest(str(name), allowed)
            hint = f"; did you mean {near}?" if near else ""
            raise ConfigError(f"{argument}: there is no {CONF}/{group}/{name}.yaml; allowed: {', '.join(allowed)}{hint}")
    if in_force.get(group) != file and group in overrides.values:
        forgotten = " ".join(Overrides(values={group: overrides.values[group]}).words())
        notes.append(f"{argument}: forgot {forgotten}, set for another file of {CONF}/{group}/")
        overrides = Overrides(overrides.files, _dropped(overrides.values, [group]))
    return Overrides({**overrides.files, group: file}, overrides.values)


def _brought(said: Sequence[tuple[str, Any]], overrides: Overrides, conf: Path) -> list[str]:
    """What chosen files bring for other groups that nothing said chooses a file of, and how to have another; what two of them
    bring alike once."""
    by_others: dict[str, list[str]] = {}
    notes: list[str] = []
    taken = chosen(overrides, conf)
    for group, file in said:
        free = {name: of for name, of in _choices_in(conf, f"{group}/{file}").items() if name not in overrides.files}
        if not free:
            notes += _about_photos(file, overrides) if group == "data" else []
        if words := " ".join(f"{name}={of}" for name, of in free.items() if taken[name] == of):
            by_others.setdefault(words, []).append(f"{group}={file}")
    for words, files in by_others.items():
        name, take = words.partition("=")[0], "takes" if len(files) == 1 else "take"
        other = f"{name}={defaults(conf)[name]}"
        notes.append(f"{' and '.join(files)} {take} {words} along; to overrule it say another, such as {other}")
    return notes


def _about_photos(file: Any, overrides: Overrides) -> list[str]:
    """What to say for photos where the data's kind takes no preset along, since a table may list other pictures as well."""
    if file not in TABLES or {"preset", "model"} & overrides.files.keys():
        return []
    return [f"data={file} takes no preset along; for photos say {PHOTOS} (a convolutional net and its augmentation)"]


def chosen(overrides: Overrides, conf: Path = CONF) -> Values:
    """The file of each group that is in force: said, brought along by one that is in force, or the default.

    As Hydra takes them: whoever comes later in config.yaml's defaults chooses first, and a file before what it starts from.
    """
    taken, by_default = dict(overrides.files), defaults(conf)
    for group in reversed(by_default):
        file = taken.setdefault(group, by_default[group])
        for name in file if isinstance(file, list) else [file]:
            taken = _choices_in(conf, f"{group}/{name}") | taken
    return taken


def _choices_in(conf: Path, name: str) -> Values:
    """The files that the defaults of `conf/NAME.yaml` choose for other groups, by itself and through what it starts from."""
    path = conf / f"{name}.yaml"
    content = read_file(path) if path.exists() else {}
    own: Values = {}
    below: Values = {}
    for entry in content.get("defaults", []):
        if isinstance(entry, dict):
            own |= {key.removeprefix("override /"): file for key, file in entry.items() if key.startswith("override /")}
        elif entry != "_self_":
            start = entry.partition("@")[0]
            below |= _choices_in(conf, start[1:] if start.startswith("/") else f"{name.rpartition('/')[0]}/{start}")
    return below | own


def read_file(path: Path) -> Values:
    """One file of `conf/`, as it stands."""
    import yaml

    check_file(path)
    content: Values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return content


def defaults(conf: Path = CONF) -> Values:
    """The file of each group that `conf/config.yaml` takes."""
    entries = read_file(conf / "config.yaml").get("defaults", [])
    return {group: file for entry in entries if isinstance(entry, dict) for group, file in entry.items()}


def without(overrides: Overrides, key: str) -> Overrides:
    """The overrides but for the one of a key."""
    return _without(overrides, key, f"~{key}")


def _without(overrides: Overrides, key: str, argument: str) -> Overrides:
    if key in overrides.files:
        return Overrides(_dropped(overrides.files, [key]), _dropped(overrides.values, [key]))
    kept = _dropped(overrides.values, key_names(key))
    if kept == overrides.values:
        now = ", ".join(overrides.words()) or "nothing"
        raise ConfigError(f"{argument}: {key} is not overridden (overridden: {now})")
    return Overrides(overrides.files, kept)


def _dropped(values: Mapping[str, Any], keys: list[str]) -> Values:
    """The values without the one under a path of keys, and without mappings that this leaves empty."""
    name, *rest = keys
    inner = values.get(name)
    below = _dropped(inner, rest) if rest and isinstance(inner, Mapping) else inner
    return {k: below if k == name else v for k, v in values.items() if k != name or (rest and below != {})}
