"""What all sections share: frozen, strict, no defaults (they live in `conf/`), every error at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import ConfigError


class Section(BaseModel):
    """One section of `params.yaml`. Unknown keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)

ALIASES = {
    **dict.fromkeys(("lr", "lr0", "base_lr", "max_lr", "step_size"), "train.learning_rate"),
    **dict.fromkeys(("bs", "batch", "batchsize", "train_batch_size"), "train.batch_size"),
    **dict.fromkeys(("epoch", "num_epochs", "max_epochs", "n_epochs", "nb_epochs"), "train.epochs"),
    **dict.fromkeys(("wd", "decay", "l2"), "train.weight_decay"),
    **dict.fromkeys(("seed", "random_seed", "random_state", "manual_seed"), "train.seed"),
    **dict.fromkeys(("optim", "opt", "solver"), "train.optimizer"),
    **dict.fromkeys(("scheduler", "lr_scheduler", "lr_schedule"), "train.schedule"),
    **dict.fromkeys(("warmup", "num_warmup_epochs", "lr_warmup_epochs"), "train.warmup_epochs"),
    **dict.fromkeys(("patience", "early_stopping"), "train.early_stop"),
    **dict.fromkeys(("grad_clip", "clip_grad", "gradient_clip_val", "max_grad_norm"), "train.clip_norm"),
    **dict.fromkeys(("accumulate_grad_batches", "gradient_accumulation_steps"), "train.accumulate"),
    **dict.fromkeys(("smoothing",), "train.label_smoothing"),
    **dict.fromkeys(("mixup_alpha", "mix_up"), "train.mixup"),
    **dict.fromkeys(("cutmix_alpha", "cut_mix"), "train.cutmix"),
    **dict.fromkeys(("ema_decay", "weight_averaging", "swa", "polyak"), "train.ema"),
    **dict.fromkeys(("test_time_augmentation",), "train.tta"),
    **dict.fromkeys(("ensemble", "num_models", "n_estimators"), "train.members"),
    **dict.fromkeys(("drop", "dropout_rate", "drop_rate", "p_dropout"), "model.dropout"),
    **dict.fromkeys(("hidden", "hidden_sizes", "hidden_units", "hidden_layer_sizes"), "model.widths"),
    **dict.fromkeys(("architecture", "backbone", "model_name"), "model.arch"),
    **dict.fromkeys(("imgsz", "img_size", "image_size", "input_size", "resolution"), "data.size"),
    **dict.fromkeys(("data_dir", "data_path", "dataset", "root"), "data.path"),
    **dict.fromkeys(("workers", "num_workers", "gpus", "num_gpus", "devices"), "cluster.workers"),
}
"""What other frameworks call a key, for the hint alone: none of these is taken."""


Known = Callable[[str], str | None]
"""What else is known of a key that a section lacks, by its full name."""


def validated(schema: type[S], values: Mapping[str, Any], place: str, known: Known = lambda key: None) -> S:
    """The section, or one ConfigError that lists every wrong key with its value, what is allowed and the nearest key."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_lines(schema, values, error.errors(), place, known))) from None


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name that a mistyped one most likely meant."""
    return next(iter(difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.6)), None)


def alias(path: str, allowed: Iterable[str]) -> str | None:
    """The allowed path of a key that bears the name it has in other frameworks."""
    meant = ALIASES.get(path.rpartition(".")[2].lower().replace("-", "_"))
    return meant if meant in set(allowed) else None


def key_paths(schema: type[Section], place: str) -> Iterable[str]:
    """The full names of all keys below a section."""
    for name, field in schema.model_fields.items():
        path = _dotted(place, name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from key_paths(field.annotation, path)
        else:
            yield path


def _lines(schema: type[Section], values: Mapping[str, Any], issues: Sequence[Any], place: str, known: Known) -> list[str]:
    """One line per wrong key; what the alternatives of a union say about it is joined."""
    found: dict[str, list[str]] = {}
    rules: list[str] = []
    for issue in issues:
        keys = _keys(values, issue)
        if issue["type"] == "value_error" and isinstance(issue["input"], Mapping):
            rules += _rules(issue, list(_section_at(schema, keys).model_fields), _dotted(place, *keys))
            continue
        said = found.setdefault(_dotted(place, *keys) or "params.yaml", [])
        if issue["type"] == "extra_forbidden":
            hint = known(_dotted(place, *keys)) or _hint(schema, keys, place)
            said.append(f": unknown key (value {issue['input']!r}); {hint}")
        else:
            said.append(_message(issue, first=not said))
    return [*(f"{where}{', or '.join(dict.fromkeys(said))}" for where, said in found.items()), *rules]


def _rules(issue: Any, fields: Sequence[str], place: str) -> Iterator[str]:
    """What rules between a section's keys say, a line each, by its key where it begins with one."""
    for line in issue["msg"].removeprefix("Value error, ").split("\n"):
        key = re.match(r"[a-z_]+(?=[.:]| = )", line)
        yield f"{place}.{line}" if place and key and key[0] in fields else f"{place or 'params.yaml'}: {line}"


def _message(issue: Any, first: bool) -> str:
    if issue["type"] == "missing":
        return ": missing; add it, or compose params.yaml again with `regatta compose`"
    text = issue["msg"].removeprefix("Value error, ").replace("String should", "should")
    text = text.replace("Input should be ", "should be " if first else "")
    if issue["type"] == "literal_error" and isinstance(issue["input"], str):
        near = nearest(issue["input"], (part for part in issue["ctx"]["expected"].split("'") if part.isidentifier()))
        text += f"; did you mean {near}?" if near else ""
    return f" = {issue['input']!r}: {text}" if first else text


def _keys(values: Any, issue: Any) -> list[str]:
    """The keys of an error's location, without the names that pydantic gives to the alternatives of a union."""
    keys: list[str] = []
    for part in issue["loc"]:
        inside = part in values if isinstance(values, Mapping) else isinstance(values, list) and isinstance(part, int)
        if inside:
            values = values[part]
        if inside or issue["type"] == "missing":
            keys.append(str(part))
    return keys


def _hint(schema: type[Section], keys: list[str], place: str) -> str:
    """What another framework's name means, else where the key belongs or the nearest one, else all siblings."""
    section = _section_at(schema, keys[:-1])
    siblings = list(section.model_fields)
    everything = list(key_paths(schema, place))
    if named := _named_below(section, keys[-1]):
        return f"did you mean {_dotted(place, *keys[:-1], named)}?"
    near = alias(keys[-1], everything) or _near(_dotted(place, *keys), siblings, everything)
    if near:
        return f"did you mean {near}?"
    above = _dotted(place, *keys[:-1])
    return f"allowed: {', '.join(_dotted(above, sibling) for sibling in siblings)}"


def _named_below(section: type[Section], name: str) -> str | None:
    """Such as definitions.NAME.seeds, where a key stands one name too high."""
    for field, info in section.model_fields.items():
        inner = (get_args(info.annotation) or (None,))[-1]
        if isinstance(inner, type) and issubclass(inner, Section) and name in inner.model_fields:
            return f"{field}.NAME.{name}"
    return None


def _near(path: str, siblings: Iterable[str], everything: Iterable[str]) -> str | None:
    """The same name in another section, else the nearest sibling, else the nearest key anywhere."""
    above, _, name = path.rpartition(".")
    elsewhere = [other for other in everything if other.rpartition(".")[2] == name]
    if elsewhere:
        return elsewhere[0]
    sibling = nearest(name, siblings)
    return _dotted(above, sibling) if sibling else nearest(path, everything)


def _section_at(schema: type[Section], keys: Sequence[str]) -> type[Section]:
    """The section that holds the values below a path of keys; the values of a dict of sections are one kind."""
    found: Any = schema
    for key in keys:
        fields = getattr(found, "model_fields", None)
        found = fields[key].annotation if fields else get_args(found)[-1]
    section: type[Section] = found
    return section


def _dotted(*parts: str) -> str:
    return ".".join(part for part in parts if part)
