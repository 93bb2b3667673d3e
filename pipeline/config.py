"""The whole configuration: `conf/` composed by Hydra, used as a library, checked, and kept as `params.yaml`.

`params.yaml` is Hydra's composition and nothing else, in the form in which DVC's own Hydra support writes it, so that
`regatta run`, `dvc repro` and `dvc exp run -S KEY=VALUE` agree. Its first line holds a digest of its values: a file whose
values differ from it was written by somebody else and is not overwritten without a word.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from pydantic import create_model

from pipeline.artifacts import PARAMS, digest, write_bytes
from pipeline.errors import ConfigError
from pipeline.kinds.keys import key_of_others, keys_of, kind_named
from pipeline.schema.augment import AugmentConfig
from pipeline.schema.base import Section, nearest, validated
from pipeline.schema.cluster import ClusterConfig
from pipeline.schema.data import PATHS, DataConfig, is_descriptor
from pipeline.schema.evaluate import EvaluateConfig
from pipeline.schema.model import ModelConfig
from pipeline.schema.prepare import PrepareConfig
from pipeline.schema.reading import check_conf, check_references, flat, read_parameters
from pipeline.schema.report import ReportConfig
from pipeline.schema.study import SECTIONS, StudyConfig
from pipeline.schema.tracking import TrackingConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.misfits import misfits

CONF = Path("conf")
Values = dict[str, Any]


class Config(Section):
    """All of `params.yaml`."""

    data: DataConfig
    prepare: PrepareConfig
    augment: AugmentConfig
    model: ModelConfig
    train: TrainConfig
    evaluate: EvaluateConfig
    study: StudyConfig
    report: ReportConfig
    cluster: ClusterConfig
    tracking: TrackingConfig


def composed(conf: Path = CONF, overrides: Sequence[str] = ()) -> Values:
    """The values of `conf/`, composed as DVC would compose them. Reads `conf/overrides.yaml`; checks no value.

    ConfigError where a file holds a resolver, or more than a configuration can need.
    """
    check_conf(conf, str(CONF))  # before the imports: what is not fit is refused at once
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        with initialize_config_dir(str(conf.resolve()), version_base=None):
            made = compose("config", list(overrides))
        raw = OmegaConf.to_container(made)
        assert isinstance(raw, dict)
        check_references({str(name): section for name, section in raw.items()}, str(CONF))
        values = OmegaConf.to_container(made, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise ConfigError(_worded(error, conf)) from None
    assert isinstance(values, dict)
    return {str(name): section for name, section in values.items()}


@cache
def config_of(kind: str) -> type[Config]:
    """The whole configuration with the keys of a kind of data."""
    own = keys_of(kind)
    return create_model("Config", __base__=Config, data=(own.DATA, ...), augment=(own.POLICY, ...))


def checked(values: Mapping[str, Any]) -> Config:
    """The configuration, or one ConfigError with all that is wrong in any section and between sections.

    What the studies' runs change is not looked at: `pipeline.commands.checks` does.
    """
    if problems := wrong(values):
        raise ConfigError("\n".join(problems))
    return validated(config_of(kind_named(values)), values, "")


def wrong(values: Mapping[str, Any]) -> list[str]:
    """All that is wrong in any section and between sections, a line each."""
    problems = [*_problems(values), *_data_problems(values.get("data"))]
    return problems or [*_unfit(validated(config_of(kind_named(values)), values, ""))]


def check_sections(values: Mapping[str, Any], names: Collection[str]) -> None:
    """ConfigError with all that is wrong in some sections alone, for who reads no others."""
    lines = [*_problems(values), *_data_problems(values.get("data"))]
    problems = [line for line in lines if re.match(r"\w*", line)[0] in names]  # type: ignore[index]
    if problems:
        raise ConfigError("\n".join(problems))


def write_params(values: Values, path: Path = PARAMS) -> None:
    """Write `params.yaml` whole or not at all."""
    write_bytes(path, params_text(values).encode())


def params_text(values: Values) -> str:
    """`params.yaml`: after the first line exactly what DVC's Hydra support writes."""
    from omegaconf import OmegaConf

    body = OmegaConf.to_yaml(OmegaConf.create(values))
    return f"{_HEADER.format(digest(yaml.safe_load(body)))}\n{body}"


def read_values(path: Path = PARAMS) -> Values | None:
    """The values of a parameter file as they stand; None where there is no file, or it is not fit to be one."""
    try:
        return read_parameters(path)
    except (ConfigError, OSError):
        return None


def edited(path: Path = PARAMS) -> bool:
    """Whether a parameter file holds other values than those that were composed into it."""
    if not path.exists():
        return False
    found = _DIGEST.match(path.read_text(encoding="utf-8", errors="replace"))
    try:
        return found is None or found[1] != digest(read_values(path))
    except (TypeError, ValueError):
        return True


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> Values:
    """Old values with new ones over them, mapping by mapping."""
    return {
        **old,
        **{k: merged(old[k], v) if isinstance(v, Mapping) and isinstance(old.get(k), Mapping) else v for k, v in new.items()},
    }


def key_names(key: str) -> list[str]:
    """The names on the way to a value. What a study's runs change are keys with dots in them: one name each."""
    found = _CHANGED.fullmatch(key)
    if not found:
        return key.split(".")
    study, what, name, factor, level, changed = found.groups()
    below = ["baseline"] if what == "baseline" else ["variants", name] if name else ["factors", factor, level]
    return ["study", "definitions", study, *below, changed]


def with_key(values: Mapping[str, Any], key: str, value: Any) -> Values:
    """The values with one dotted key set; a mapping is merged into a mapping that is there."""
    for name in reversed(key_names(key)):
        value = {name: value}
    return merged(values, value)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changes from old to new, as lines `key: old -> new`."""
    before, after = dict(flat(old)), dict(flat(new))
    keys = [*before, *(key for key in after if key not in before)]
    gone = object()
    pairs = [(key, before.get(key, gone), after.get(key, gone)) for key in keys]
    return [f"{key}: {_shown(a, gone)} -> {_shown(b, gone)}" for key, a, b in pairs if a != b or type(a) is not type(b)]


def _shown(value: Any, gone: object) -> str:
    return "(none)" if value is gone else "null" if value is None else str(value)


_HEADER = "# Composed from conf/ (digest {}): change it with `regatta run KEY=VALUE`, not by hand."
_CHANGED = re.compile(
    r"study\.definitions\.(.+?)\.(baseline|variants\.(.+?)|factors\.(.+?)\.(.+?))"
    rf"\.((?:{'|'.join(SECTIONS)})\.[a-z_]+(?:\.\w+)?)"
)
_DIGEST = re.compile(re.escape(_HEADER).replace(r"\{\}", "([0-9a-f]{32})"))


def _problems(values: Mapping[str, Any]) -> list[str]:
    kind = kind_named(values)
    try:
        validated(config_of(kind), values, "", partial(key_of_others, kind))
    except ConfigError as error:
        return str(error).splitlines()
    return []


def _unfit(config: Config) -> Iterator[str]:
    """What does not suit the kind of data, or the target, as far as these are known before the data is prepared."""
    yield from misfits(config.data, config.augment.scaled(), config.model, config.train)
    if config.data.target == "number" and config.evaluate.threshold is not None:
        yield (
            f"evaluate.threshold = {config.evaluate.threshold!r}: data.target = number predicts numbers, which are over no "
            "threshold; forget it with `regatta run '~evaluate.threshold'`"
        )


def _data_problems(data: Any) -> Iterator[str]:
    """What is wrong with the paths and the source that they belong to."""
    if not isinstance(data, Mapping):
        return
    for key in PATHS:
        if key in data and data[key] is None:
            yield f"data.{key} = null: DVC can't depend on nothing; leave the key out, which means not given, or say a path"
    given = {key: data[key] for key in PATHS if isinstance(data.get(key), str) and not is_descriptor(data[key])}
    for key, path in given.items():
        if Path(path).is_absolute() or path.startswith("~") or ".." in Path(path).parts:
            yield (
                f"data.{key} = {path!r}: params.yaml holds no path of one machine; `regatta run data.{key}={path}` makes a "
                "link to it in data/ and uses that"
            )
    source = data.get("source")
    if source == "digits" and given:
        yield (
            f"data.{next(iter(given))} = {next(iter(given.values()))!r}: data=digits is embedded and reads no path; choose "
            f"data=folder, data=idx, data=parquet or data=csv, or forget it with `regatta run '~data.{next(iter(given))}'`"
        )
    if source in ("folder", "idx", "parquet", "csv", "table") and not {"path", "train_path"} & given.keys():
        what = "FOLDER" if source in ("folder", "idx") else "FILE"
        yield f"data.path is not given: data={source} needs it; say data.path={what}"


def _worded(error: Exception, conf: Path) -> str:
    """What Hydra, OmegaConf or YAML has to say, with the files to choose from and the nearest of them."""
    from hydra.errors import MissingConfigException, OverrideParseException

    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        allowed = choices(conf, group)
        near = nearest(choice, allowed)
        hint = f"; did you mean {near}?" if near else ""
        return f"{group}={choice}: there is no {CONF}/{group}/{choice}.yaml; allowed: {', '.join(allowed) or 'nothing'}{hint}"
    if isinstance(error, OverrideParseException):
        return f"{error.override}: not GROUP=FILE or KEY=VALUE ({error.message.splitlines()[0]})"
    return f"{CONF}/: {' '.join(str(error).split())}"


def choices(conf: Path, group: str) -> list[str]:
    """The files that may be chosen for a section; those whose names end with `base` are what they share."""
    return sorted(path.stem for path in (conf / group).glob("*.yaml") if not path.stem.endswith("base"))


def groups(conf: Path) -> list[str]:
    """The sections whose file can be chosen."""
    return sorted(path.name for path in conf.iterdir() if path.is_dir() and any(path.glob("*.yaml")))
