"""Whether the network of a configuration fits its data: asked before anything is kept or long work begins, where it can be."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.artifacts import read_json, stage_dir
from pipeline.config import Values, checked, read_values
from pipeline.data.dataset import Manifest

DECIDING = ("model", "train", "data", "prepare")
"""Sections that decide it."""


def check_network(values: Values) -> None:
    """ConfigError where the network can't be trained on these data, as far as that is known before they are prepared anew.

    What the configuration has been before is not asked again: the stage itself says it.
    """
    before = read_values() or {}
    if all(before.get(name) == values[name] for name in DECIDING):
        return
    config = checked(values)
    if (stage_dir("prepare") / "dataset.json").exists() and _are_prepared(values):
        check_on_prepared(values)
    elif config.model.init_from is not None:
        from pipeline.train.transfer import check_names

        check_names(config.model, config.data.kind)


def check_on_prepared(values: Values) -> None:
    """ConfigError where the network can't be trained on what is prepared."""
    from pipeline.train.program import program_of

    config = checked(values)
    program_of(config.model, config.train, Manifest(**read_json(stage_dir("prepare") / "dataset.json")))


def once_prepared(values: Values) -> Callable[[str], None]:
    """What is asked before each stage: whether the network fits, once the data are there and before their copies are made."""

    def ask(stage: str) -> None:
        if stage == "augment":
            check_on_prepared(values)

    return ask


def _are_prepared(values: Values) -> bool:
    from pipeline.commands.plan import stale_stages

    return not stale_stages(values).get("prepare", ["not known"])
