"""A study's runs: every variant of the configuration with every seed. Imports no torch."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.data.dataset import Manifest
from pipeline.errors import ConfigError, RegattaError
from pipeline.kinds.keys import data_section, keys_of, kind_named, policy_section
from pipeline.prepare.folds import TIMELESS
from pipeline.runs.weights import runs_of_other_data
from pipeline.schema.augment import AugmentConfig
from pipeline.schema.base import Section, alias, key_paths, nearest, validated
from pipeline.schema.data import DataConfig
from pipeline.schema.model import BUILT_IN, LEFT_OUT, MODULE, ModelConfig, keys_taken, switched, unread_keys
from pipeline.schema.prepare import PrepareConfig
from pipeline.schema.study import SCRATCH, SECTIONS, START, StudyDefinition
from pipeline.schema.train import NOT_IDENTITY, TrainConfig
from pipeline.study.samples import WHY, certain_problems
from pipeline.train.misfits import misfits, refuse
from pipeline.train.program import program_of
from pipeline.wording import first_of

BASELINE = "baseline"
FIXED = ("train.seed", "prepare.fold", *(f"train.{name}" for name in NOT_IDENTITY))
"""Seeds are the study's own, and these change no result."""
KEYS = "model.keys."
"""Below it stands what a module's own function takes."""
LEFT_OUT_STUDY = ", or leave the study out with `regatta run study=none` (another: study=NAME)"
"""What helps where a study that came along does not suit what the user has chosen."""
Values = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Configuration:
    """The sections that decide a run."""

    data: DataConfig
    prepare: PrepareConfig
    augment: AugmentConfig
    model: ModelConfig
    train: TrainConfig


@dataclass(frozen=True)
class Variant:
    """A named difference in configuration, and the variant that it is compared with ("" for the baseline itself)."""

    name: str
    changes: Mapping[str, Any]
    against: str
    start: str | None = None
    """In a study with sources: the source that it starts from, SCRATCH for none; None: it is none of the factors' own."""


@dataclass(frozen=True)
class Cell:
    """One run of a study."""

    variant: str
    seed: int
    config: Configuration
    fold: int | None = None
    """From 1 on; None: the study has no folds."""


def schemas(values: Mapping[str, Any]) -> dict[str, type[Section]]:
    """The schema of each section, for the kind of data that params.yaml names."""
    own = keys_of(kind_named(values))
    found: tuple[type[Section], ...] = (own.DATA, PrepareConfig, own.POLICY, ModelConfig, TrainConfig)
    return dict(zip(SECTIONS, found, strict=True))


def variants(definition: StudyDefinition) -> list[Variant]:
    """The baseline, the named variants, those of the factors.

    In a full grid a combination is compared with the one that differs in the first factor alone, at its first level; those
    at that level are compared with the baseline.
    """
    found = [Variant(BASELINE, {}, "")]
    found += [Variant(name, changes, BASELINE) for name, changes in definition.variants.items()]
    factors = list(definition.every_factor.values())
    first = [next(iter(levels), "") for levels in factors]
    if definition.grid == "one_at_a_time":
        for levels in factors:
            of_start = bool(definition.sources) and levels is factors[0]
            found += [
                Variant(name, changes, BASELINE, _start_of(definition, name if of_start else SCRATCH))
                for name, changes in list(levels.items())[1:]
            ]
        return found
    for names in itertools.product(*factors):
        if list(names) == first:
            continue
        changes = {key: value for levels, name in zip(factors, names, strict=True) for key, value in levels[name].items()}
        other = [first[0], *names[1:]]
        against = "-".join(other) if names[0] != first[0] and other != first else BASELINE
        found.append(Variant("-".join(names), changes, against, _start_of(definition, names[0])))
    return found


def _start_of(definition: StudyDefinition, level: str) -> str | None:
    return level if definition.sources else None


def cells(definition: StudyDefinition, values: Mapping[str, Any]) -> list[Cell]:
    """All runs, the baseline's first, from the sections of params.yaml; ConfigError lists all that is wrong."""
    problems, configurations = _checked(definition, values)
    if problems:
        raise ConfigError("\n".join(problems))
    seed = values["train"]["seed"]
    return [
        Cell(name, seed + i, configuration(_of_cell(own, seed + i, fold, definition.folds)), fold)
        for name, own in configurations.items()
        for fold in (range(1, definition.folds + 1) if definition.folds else [None])
        for i in range(definition.seeds)
    ]


def _of_cell(own: Values, seed: int, fold: int | None, folds: int | None) -> Values:
    """A variant's values with a run's own seed and fold."""
    part = {} if fold is None else {"prepare": {**own["prepare"], "fold": [fold, folds]}}
    return {**own, **part, "train": {**own["train"], "seed": seed}}


def contrasts(definition: StudyDefinition, values: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """What each variant that is right differs in from the one that it is compared with, and the baseline from the project.

    Of its network what it reads itself: a module has no widths.
    """
    _, configurations = _checked(definition, values)
    found = {}
    for variant in variants(definition):
        own, other = configurations.get(variant.name), configurations.get(variant.against, values)
        if own is None:
            continue
        mine, theirs, now = _by_path(own), _by_path(other), _by_path(values)
        unread = {f"model.{key}" for key in unread_keys(own["model"]["arch"])}
        found[variant.name] = {
            path: {"variant": value, "reference": theirs.get(path), "now": now.get(path)}
            for path, value in mine.items()
            if path not in unread and value != theirs.get(path)
        }
    return found


def _by_path(values: Mapping[str, Any]) -> dict[str, Any]:
    """Every key of the sections under its dotted name, those of a module too."""
    found = {f"{section}.{key}": value for section in SECTIONS for key, value in values[section].items()}
    keys = found.pop(KEYS.removesuffix("."), {})
    return found | {f"{KEYS}{key}": value for key, value in keys.items()}


def problems(
    definition: StudyDefinition, values: Mapping[str, Any], data: Manifest | None = None, said: Collection[str] = ()
) -> list[str]:
    """All that is wrong with a study: in itself, and for the prepared data if that is known.

    said: what is known to be wrong with the configuration itself, which is not said of the study's baseline again.
    """
    found, configurations = _checked(definition, values, said)
    every = {variant.name: variant.changes for variant in variants(definition)}
    unfit: dict[str, list[str]] = {}
    for name, own in configurations.items():
        if data is None:
            break
        config = configuration(own)
        if line := _too_large(every[name], config.train, data):
            unfit.setdefault(line, []).append(name)
        try:
            program_of(config.model, config.train, data)
        except RegattaError as error:
            unfit.setdefault(str(error), []).append(name)
    named = {line: f"variant{'s' * (len(names) > 1)} {first_of(names, 6)}" for line, names in unfit.items()}
    return [*found, *(f"{names}: {line}" for line, names in named.items())]


def _too_large(changes: Mapping[str, Any], train: TrainConfig, data: Manifest) -> str | None:
    """Why a variant would not be what it says: its batches would have fewer samples than that.

    One that asks for fewer training samples, not for a batch, gets the batches that as small a dataset gets.
    """
    num_train = data.num_train(train.limit, train.per_class)
    if train.batch_size <= num_train or "train.batch_size" not in changes:
        return None
    return f"train.batch_size = {train.batch_size}: there are {num_train} training samples; choose at most that"


def _checked(
    definition: StudyDefinition, values: Mapping[str, Any], said: Collection[str] = ()
) -> tuple[list[str], dict[str, Values]]:
    """What is wrong, and the values of each variant that is right."""
    every = variants(definition)
    base = _first_levels(definition)
    wrong = [*_source_problems(definition, values), *_name_problems(definition, every)]
    configurations: dict[str, Values] = {}
    shared = set(said)
    for variant in every:
        way_out = ""
        try:
            own = _changed(values, {**definition.baseline, **base}, variant.changes)
            lines, way_out = [*_misfits(own)], LEFT_OUT_STUDY
        except ConfigError as error:
            lines = str(error).splitlines()
        if not lines:
            configurations[variant.name] = own
        new = [line for line in lines if line not in shared]
        shared |= set() if variant.against else set(new)  # the baseline's own are said once
        wrong += [f"{f'variant {variant.name}' if variant.against else BASELINE}: {line}{way_out}" for line in new]
    for name, other in itertools.combinations(configurations, 2):
        if configurations[name] == configurations[other]:
            wrong.append(f"variant {other}: the same as {name}; give it a difference or take it out")
    wrong += [TIMELESS] if definition.folds and values["data"].get("time") is not None else []
    wrong += certain_problems(every, configurations, definition.folds)
    return wrong, configurations


def _misfits(own: Values) -> Iterator[str]:
    """What does not go together in a variant's sections, each of which is right."""
    config = configuration(own)
    return misfits(config.data, config.augment, config.model, config.train)


def _first_levels(definition: StudyDefinition) -> dict[str, Any]:
    levels = [next(iter(levels.values()), {}) for levels in definition.every_factor.values()]
    return {key: value for changes in levels for key, value in changes.items()}


def _name_problems(definition: StudyDefinition, every: list[Variant]) -> Iterator[str]:
    names = [variant.name for variant in every]
    levels_named = {level for levels in definition.every_factor.values() for level in levels}
    for name in sorted({*names, *definition.factors, *levels_named} & set(LEFT_OUT)):
        yield f"{name}: {left_out_words(name)}"
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        taken = "the baseline itself has this name" if name == BASELINE else "two variants have this name"
        yield f"variant {name}: {taken}; choose another"
    for name in definition.expected:
        if name not in names[1:]:
            near = nearest(name, names[1:])
            hint = f"did you mean {near}?" if near else f"there are {', '.join(names[1:]) or 'none'}"
            yield f"expected.{name}: there is no such variant; {hint}"
    for name, levels in definition.factors.items():
        if len(levels) < 2:
            yield f"factors.{name}: has {len(levels)} levels; a factor needs two"
    if len(names) < 2 and definition.sources != {}:
        yield "it has neither variants nor factors; say what is compared with the baseline"


def _source_problems(definition: StudyDefinition, values: Mapping[str, Any]) -> Iterator[str]:
    if definition.sources == {}:
        yield f"sources: names no run to start from; {_how_named(values)}"
    if SCRATCH in (definition.sources or ()):
        yield f"sources.{SCRATCH}: so are the runs called that start from none; choose another name"
    if definition.sources and START in definition.factors:
        yield f"factors.{START}: the sources are the factor of this name; call yours otherwise"


def _how_named(values: Mapping[str, Any]) -> str:
    """What to say: a run of this network on other data, or how one is made."""
    if found := runs_of_other_data(values["model"], kind_named(values)):
        more = f", or another of {', '.join(found[1:4])}" if found[1:] else ""
        return f"say study.sources.NAME=RUN beside it, such as study.sources.other={found[0]}{more}"
    data = values["data"]
    back = f"data.path={data['path']}" if data["source"] != "digits" else "data=digits"
    return (
        f"none here is of this network on other data, so make one (`regatta run data.path=OTHER`, then `regatta run {back}` "
        "again), or take one from elsewhere (`cp -r THEIRS/artifacts/train runs/NAME`), and say study.sources.NAME=RUN"
    )


def left_out_words(name: str) -> str:
    """Why a variant, a factor, a level or a study can't have this name."""
    return (
        f"DVC's run cache takes no notice of what is named {name}, so an old result could come back; "
        f"choose another name, such as by-{name}"
    )


def _changed(values: Mapping[str, Any], baseline: Mapping[str, Any], own: Mapping[str, Any]) -> Values:
    """The sections with the baseline's changes and a variant's own, checked."""
    changed: Values = {section: dict(values[section]) for section in SECTIONS}
    every, varied = schemas(values), keys_of(kind_named(values)).VARIED
    known = [path for section, schema in every.items() for path in key_paths(schema, section)]
    allowed = [path for path in known if path not in FIXED and (not path.startswith("data.") or path in varied)]
    for changes in (baseline, own):  # one after the other: a variant's network may be of another kind
        known_ones = [path for path in changes if path in allowed or path.startswith(KEYS)]
        of_model = {path.removeprefix("model."): changes[path] for path in known_ones if path.startswith("model.")}
        changed["model"] = switched(changed["model"], _as_read(changed["model"], of_model))
    wrong = []
    for path, value in {**baseline, **own}.items():
        if path in allowed or path.startswith(KEYS):
            section, key = path.split(".", 1)
            changed[section] |= {} if section == "model" else {key: value}
        elif path in FIXED:
            wrong.append(f"{path} = {value!r}: a variant may not change it ({', '.join(FIXED)} are the study's own)")
        elif path in known:
            wrong.append(f"{path} = {value!r}: {WHY}; of data.* only {', '.join(varied)}")
        elif path in SECTIONS and isinstance(value, Mapping):
            wrong.append(
                f"{path} = {value!r}: keys are dotted; write {', '.join(f'{path}.{k}: {v!r}' for k, v in value.items())}"
            )
        else:
            wrong.append(f"{path} = {value!r}: unknown key; {_nearest_or_all(path, allowed)}")
    wrong += _unread(changed["model"])
    for section, schema in every.items():
        try:
            validated(schema, changed[section], section)
        except ConfigError as error:
            wrong += str(error).splitlines()
    refuse(wrong)
    return changed


def _nearest_or_all(path: str, allowed: list[str]) -> str:
    """What an unknown key was to be, or what there is."""
    section, _, name = path.partition(".")
    siblings = [key for key in allowed if key.startswith(f"{section}.")]
    elsewhere = [key for key in allowed if key.partition(".")[2] == name]
    near = next(iter(elsewhere), None) or alias(path, allowed)
    if siblings and not near:
        near = nearest(name, [key.partition(".")[2] for key in siblings])
        return f"did you mean {section}.{near}?" if near else f"allowed: {', '.join(siblings)}"
    near = near or nearest(path, allowed)
    return f"did you mean {near}?" if near else f"a study's runs differ in keys of {', '.join(SECTIONS)}"


def _as_read(model: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes with a built-in network's key, such as dropout, as the module's own of that name where it takes one."""
    if changes.get("arch", model["arch"]) != MODULE or not BUILT_IN.keys() & changes.keys():
        return dict(changes)
    taken = {*keys_taken(changes.get("name", model["name"]))} & BUILT_IN.keys()
    return {f"keys.{key}" if key in taken else key: value for key, value in changes.items()}


def _unread(model: dict[str, Any]) -> list[str]:
    """What a study says of a network that does not read it; in the section it then stands as if never said."""
    found = []
    for key, neutral in unread_keys(model["arch"]).items():
        if model[key] != neutral:
            rather = _own_keys(key, model["name"]) if model["arch"] == MODULE else "model.arch: module beside it"
            found.append(f"model.{key} = {model[key]!r}: a {model['arch']} does not read it; say {rather}{LEFT_OUT_STUDY}")
            model[key] = neutral
    return found


def _own_keys(key: str, name: str | None) -> str:
    """What a study may say of a module instead of a built-in network's key."""
    taken = keys_taken(name)
    near = nearest(key, taken)
    every = ", ".join(f"model.keys.{each}" for each in taken) or "nothing, since its function takes no keys"
    return f"model.keys.{near} in a study of your own" if near else f"in a study of your own what it has: {every}"


def configuration(values: Mapping[str, Any]) -> Configuration:
    """The sections of params.yaml that decide a run; the strength of the augmentation is taken into its operations."""
    return Configuration(
        data=data_section(values),
        prepare=validated(PrepareConfig, values["prepare"], "prepare"),
        augment=policy_section(values).scaled(),
        model=validated(ModelConfig, values["model"], "model"),
        train=validated(TrainConfig, values["train"], "train"),
    )
