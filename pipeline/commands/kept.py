"""What overrides of earlier data do to others: keys that these do not have give way, and what stays in the way is named."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from pipeline.config import Values
from pipeline.errors import ConfigError
from pipeline.kinds.keys import keys_of, kind_named
from pipeline.overrides import Overrides, chosen, without
from pipeline.schema.base import validated
from pipeline.schema.model import ModelConfig
from pipeline.schema.reading import flat

FORGET = re.compile(r"forget it(?:, if it was said,)? with `regatta run '~([^' `]+)'`")
"""How a message that knows no overrides says to take a key back."""


def kept_keys(before: Overrides, overrides: Overrides, arguments: Sequence[str]) -> list[str]:
    """The keys that are overridden since earlier, not by one of these arguments."""
    said = {word.lstrip("+~").partition("=")[0] for word in arguments}
    old = dict(flat(before.values))
    now = [key for key, value in flat(overrides.values) if key in old and old[key] == value]
    return [key for key in now if not any(key == each or key.startswith(f"{each}.") for each in said)]


def unfit(before: Overrides, overrides: Overrides, kept: Sequence[str], values: Values) -> list[str]:
    """Of the kept keys those that were set for other data, and are none of these data or of the network they take along."""
    if chosen(before)["data"] == chosen(overrides)["data"]:
        return []
    own = keys_of(kind_named(values))
    fields = {"data": own.DATA.model_fields, "augment": own.POLICY.model_fields}
    found = [key for key in kept if key.split(".")[0] in fields and key.split(".")[1] not in fields[key.split(".")[0]]]
    return found + ([key for key in kept if key.startswith("model.")] if _is_wrong(values) else [])


def _is_wrong(values: Values) -> bool:
    try:
        validated(ModelConfig, values["model"], "model")
    except ConfigError:
        return True
    return False


def given_way(overrides: Overrides, keys: Sequence[str], kind: str) -> tuple[Overrides, list[str]]:
    """The overrides without these keys, and what is said of it."""
    left = overrides
    for key in keys:
        left = without(left, key)
    words = [word for word in overrides.words() if word.partition("=")[0] in keys]
    return left, [f"{word}: forgot, set for other data; it does not fit data of the kind {kind}" for word in words]


def named_kept(error: ConfigError, kept: Collection[str]) -> ConfigError:
    """The error with how to forget an override of earlier that it is about, where it does not say so, and of no other."""
    return ConfigError("\n".join(_with_way_out(line, kept) for line in str(error).splitlines()))


def _with_way_out(line: str, kept: Collection[str]) -> str:
    of_study = line.startswith("study ")
    line = FORGET.sub(lambda found: found[0] if found[1] in kept and not of_study else "leave it out", line)
    keys = [key for key in kept if line.startswith((f"{key}:", f"{key} "))]
    if not keys or f"'~{keys[0]}'" in line:
        return line
    return f"{line}; it is kept in conf/overrides.yaml: forget it with `regatta run '~{keys[0]}'`"
