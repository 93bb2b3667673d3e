"""All the studies that a configuration defines."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pipeline.errors import ConfigError
from pipeline.schema.base import nearest, validated
from pipeline.schema.model import LEFT_OUT
from pipeline.schema.study import StudyConfig
from pipeline.study.plan import configuration, left_out_words, problems


def wrong_studies(values: Mapping[str, Any], said: Collection[str] = ()) -> Iterator[str]:
    """What is wrong with the studies themselves and, where the rest of the configuration is right, with their variants.

    said: what is wrong with the configuration itself.
    """
    try:
        study = validated(StudyConfig, values["study"], "study")
    except (ConfigError, KeyError):
        return
    for name in study.on_run or []:
        if name not in study.definitions:
            near = nearest(name, study.definitions)
            yield f"study.on_run: there is no study {name}{f'; did you mean {near}?' if near else ''}"
    for name in sorted(study.definitions.keys() & set(LEFT_OUT)):
        yield f"study {name}: {left_out_words(name)}"
    try:
        configuration(values)
    except (ConfigError, KeyError):
        return
    for name, definition in study.definitions.items():
        yield from (f"study {name}: {line}" for line in problems(definition, values, said=said))
