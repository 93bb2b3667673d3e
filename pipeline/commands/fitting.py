"""Whether networks, a study's too, fit their data: asked before anything is kept or long work begins, where it can be."""

from __future__ import annotations

from collections.abc import Callable, Collection

from pipeline.artifacts import read_json, stage_dir
from pipeline.config import Values, checked, read_values
from pipeline.data.dataset import Manifest
from pipeline.schema.study import SECTIONS, StudyDefinition

DECIDING = (*SECTIONS, "study")
"""Sections that decide it."""


def check_network(values: Values, studies: Collection[str]) -> None:
    """ConfigError where the network, or one of these studies, can't be trained on these data, as far as that is known before
    they are prepared anew.

    What the configuration has been before is not asked again: the stage itself says it.
    """
    before = read_values() or {}
    if all(before.get(name) == values[name] for name in DECIDING):
        return
    config = checked(values)
    if (stage_dir("prepare") / "dataset.json").exists() and _are_prepared(values):
        check_on_prepared(values, studies)
    elif config.model.init_from is not None:
        from pipeline.train.transfer import check_names

        check_names(config.model, config.data.kind)


def check_on_prepared(values: Values, studies: Collection[str]) -> None:
    """ConfigError where the network, or one of these studies, can't be trained on what is prepared."""
    from pipeline.study.plan import problems
    from pipeline.train.misfits import refuse
    from pipeline.train.program import program_of

    config, data = checked(values), Manifest(**read_json(stage_dir("prepare") / "dataset.json"))
    program_of(config.model, config.train, data)
    definitions = {name: StudyDefinition.model_validate(values["study"]["definitions"][name]) for name in studies}
    refuse(f"study {name}: {line}" for name, own in definitions.items() for line in problems(own, values, data))


def once_prepared(values: Values, studies: Collection[str]) -> Callable[[str], None]:
    """What is asked before each stage: whether networks fit, once the data are there and before their copies are made."""

    def ask(stage: str) -> None:
        if stage == "augment":
            check_on_prepared(values, studies)

    return ask


def studies_on_run(values: Values) -> list[str]:
    """The studies that `regatta run` brings up to date."""
    on_run = values["study"]["on_run"]
    return [name for name in values["study"]["definitions"] if on_run is None or name in on_run]


def _are_prepared(values: Values) -> bool:
    from pipeline.commands.plan import stale_stages

    return not stale_stages(values).get("prepare", ["not known"])
