"""`regatta study NAME`: add a study, and run those of its runs that have no result yet; alone: which studies there are."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.artifacts import check_free, held, read_json, stage_dir
from pipeline.backbones.named import leading_to
from pipeline.commands.compose import Change, apply, change
from pipeline.commands.fitting import check_network
from pipeline.commands.reproduce import REPORT, reproduce
from pipeline.commands.root import seen_from
from pipeline.commands.run import LOCK, check_data, clear_old_studies, pass_on
from pipeline.config import CONF, Values, checked, choices, read_values
from pipeline.errors import ConfigError, RegattaError
from pipeline.overrides import Overrides, chosen, read_file
from pipeline.schema.base import nearest
from pipeline.schema.study import StudyDefinition
from pipeline.study.effects import told
from pipeline.wording import counted, first_of

if TYPE_CHECKING:
    from pipeline.study.job import Job
    from pipeline.train.program import Program

NONE = "none"
TRIED = "by trying some steps on this machine just now"


def study(options: argparse.Namespace) -> int:
    """Compose, reproduce `study@NAME` and what it needs, then the report if there is a model to report on."""
    if options.name is None:
        print("\n".join(listed()))
        return 0
    if not options.dry_run:
        check_free(LOCK)
    new = planned_change(options.name, options.overrides)
    with leading_to(new.targets):
        _study(options, new)
    return 0


def _study(options: argparse.Namespace, new: Change) -> None:
    if options.dry_run:
        for line in [*new.recognised, *dry_run(options.name, new)]:
            print(line)
        return
    with held(LOCK):
        check_data(new.values, to_come=new.targets)
        check_network(new.values, [options.name])
        for line in apply(new, options.force):
            print(line, flush=True)
        for line in clear_old_studies(new.values):
            print(line, flush=True)
        pass_on(options)
        done = reproduce([f"study@{options.name}"])
        trained = (stage_dir("evaluate") / "metrics.json").exists() and (stage_dir("train") / "model.json").exists()
        elsewhere = trained and predicts_else()
        if trained and not elsewhere:
            reproduce(None, then=["report"])
    if f"study@{options.name}" not in done.stages:
        print("Nothing had to be run again.")
        for line in told(read_json(stage_dir("study") / options.name / "effects.json")):
            print(f"study {options.name}: {line}")
    if elsewhere:
        print("The trained model answers something else than this data asks, so the report is left as it was.", flush=True)
    print(
        f"The report is {seen_from(options.stood, REPORT)}"
        if REPORT.exists() and not elsewhere
        else "`regatta run` trains the model and makes the report.",
        flush=True,
    )


def predicts_else() -> bool:
    """Whether the trained model predicts other classes or numbers than those of the data as it is prepared: there is no page
    of both."""
    data, model = read_json(stage_dir("prepare") / "dataset.json"), read_json(stage_dir("train") / "model.json")
    return any(data.get(name) != model.get(name) for name in ("task", "classes", "targets"))


def planned_change(name: str, arguments: list[str]) -> Change:
    """The configuration with the study added; `study.KEY=VALUE` is a key of this study."""
    return change(own_keys(name, arguments), finish=lambda before, overrides: with_study(before, overrides, name))


def own_keys(name: str, arguments: Sequence[str]) -> list[str]:
    """The arguments with `study.KEY` as a key of this study's definition."""
    return [f"study.definitions.{name}.{word.removeprefix('study.')}" if _is_own(word) else word for word in arguments]


def _is_own(word: str) -> bool:
    key = word.partition("=")[0]
    return key.startswith("study.") and key.removeprefix("study.").split(".")[0] in StudyDefinition.model_fields


def with_study(before: Overrides, overrides: Overrides, name: str) -> Overrides:
    """The overrides with one more study, which `regatta run` leaves alone: it brings up to date what it did before.

    before: those that were in force; a study that they define themselves needs no file.
    """
    taken = chosen(overrides)["study"]
    files = [file for file in (taken if isinstance(taken, list) else [taken]) if file != NONE]
    if name in files or name in before.values.get("study", {}).get("definitions", {}):
        return overrides
    if name not in available():
        near = nearest(name, available())
        hint = f"; did you mean {near}?" if near else ""
        raise ConfigError(f"study {name}: there is no {CONF}/study/{name}.yaml; allowed: {', '.join(available())}{hint}")
    on_run = overrides.values.get("study", {}).get("on_run")
    values = overrides.values | {
        "study": {"on_run": _now(before, files) if on_run is None else on_run} | _without_none(overrides)
    }
    return Overrides({**overrides.files, "study": [*files, name]}, values)


def _now(before: Overrides, files: Sequence[str]) -> list[str]:
    """The studies of params.yaml that stay, by these files or by the overrides."""
    now = (read_values() or {}).get("study", {}).get("definitions", {})
    stay = {*before.values.get("study", {}).get("definitions", {})}.union(*(_defined_in(file) for file in files))
    return [study for study in now if study in stay]


def _defined_in(file: str) -> Values:
    definitions: Values = read_file(CONF / "study" / f"{file}.yaml").get("definitions", {})
    return definitions


def _without_none(overrides: Overrides) -> Values:
    return {key: value for key, value in overrides.values.get("study", {}).items() if value is not None}


def available() -> list[str]:
    """The studies in conf/study/."""
    return [name for name in choices(CONF, "study") if name != NONE]


def listed() -> Iterator[str]:
    """Each study with its question and how it stands."""
    values = read_values() or {}
    defined = values.get("study", {}).get("definitions", {})
    for name in sorted({*available(), *defined}):
        definition = defined.get(name) or _from_file(name)
        effects = stage_dir("study") / name / "effects.json"
        state = "has results" if effects.exists() else "chosen, not run yet" if name in defined else "not chosen"
        yield f"{name:16s} {state:20s} {definition.get('question', '')}"
        if name not in defined and (refused := _refused(definition, values)):
            yield f"{'':37s} can't run on what is configured now: {refused}"
        if effects.exists() and (said := read_json(effects).get("answer")):
            yield f"{'':37s} {said}"
    yield "`regatta study NAME` runs one, with --dry-run it says what it would run; docs/studies.md: how to ask your own"


def _refused(definition: Values, values: Values) -> str | None:
    """Why a study that is not chosen would be refused, in one line; None also where what is configured is wrong itself."""
    from pipeline.study.plan import problems

    try:
        checked(values)
    except ConfigError:
        return None
    found = problems(StudyDefinition.model_validate(definition), values)
    return found[0].partition(", or leave the study out")[0] if found else None


def _from_file(name: str) -> Values:
    definition: Values = _defined_in(name).get(name, {})
    return definition


def dry_run(name: str, new: Change) -> Iterator[str]:
    """Runs, those known already, groups, memory and expected time. Writes nothing."""
    from pipeline.progress import duration
    from pipeline.study.forecast import tried
    from pipeline.study.plan import configuration, variants
    from pipeline.study.run import open_materials, plan

    definition = StudyDefinition.model_validate(new.values["study"]["definitions"][name])
    every = variants(definition)
    yield f"study {name}: {definition.question}"
    yield f"{len(every)} variants ({', '.join(variant.name for variant in every)}) x {so_many(definition)}"
    try:
        materials = open_materials(new.values)
    except RegattaError:
        yield "the rest is known once prepare and augment have run: regatta run"
        return
    old = read_values() or {}
    if any(new.values[part] != old.get(part) for part in ("data", "prepare")) or materials.own != configuration(new.values):
        yield "the data would be prepared again; what follows is about the data as it is now"
    todo = plan(name, definition, new.values, materials, stage_dir("study") / name, make=False)
    yield f"{counted(len(todo.cells), 'run')}, {len(todo.cells) - todo.num_missing} of them known already"
    if new.values["cluster"]["kind"] == "ray":
        yield "cut for this machine's cores; on the cluster, which a dry run does not connect to, there may be other groups"
    yield from groups(todo.jobs, {own.run: cell.variant for cell, own in zip(todo.cells, todo.names, strict=True)})
    if todo.jobs:
        yield f"expected time: about {duration(tried(todo, materials.manifest))}, {TRIED}"


def so_many(definition: StudyDefinition) -> str:
    """Runs of a variant."""
    seeds = f"{definition.seeds} seed{'s' if definition.seeds > 1 else ''}"
    return seeds + (f" x {definition.folds} folds" if definition.folds else "")


def groups(jobs: Sequence[Job], variant_of: Mapping[str, str]) -> Iterator[str]:
    """What is trained side by side, a line for each shape and start. variant_of: by hash of the run."""
    from pipeline.study.job import bytes_of_one

    alike: dict[tuple[Program, int], list[Job]] = {}
    for job in jobs:
        alike.setdefault((job.program, job.threads), []).append(job)
    for (program, threads), own in alike.items():
        sizes = [len(job.cells) for job in own]
        memory = max(bytes_of_one(job) for job in own) * max(sizes) / 1e6
        names = dict.fromkeys(variant_of[cell.hash] for job in own for cell in job.cells)
        yield (
            f"  {counted(sum(sizes), 'run')} ({first_of([*names], 4)}) in {counted(len(own), 'group')} side by side: "
            f"{program.spec}, batch {program.batch_size}, {program.epochs} epochs, {memory:,.0f} MB a group, threads {threads}"
        )


def expected_time(name: str, values: Values) -> str:
    """Of a study on the data as it is prepared now. Writes nothing."""
    from pipeline.progress import duration
    from pipeline.study.forecast import tried
    from pipeline.study.run import open_materials, plan

    definition, materials = StudyDefinition.model_validate(values["study"]["definitions"][name]), open_materials(values)
    try:
        todo = plan(name, definition, values, materials, stage_dir("study") / name, make=False)
    except RegattaError as error:
        return f"would be refused: {error}"
    num = f"{counted(len(todo.cells), 'run')}, {len(todo.cells) - todo.num_missing} of them known already"
    return f"about {duration(tried(todo, materials.manifest))}, {num}" if todo.jobs else num
