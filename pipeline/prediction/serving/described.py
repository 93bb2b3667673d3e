"""What a server says of its network: what it takes, what it answers, what is allowed, and an example to paste."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.artifacts import read_json
from pipeline.kinds.fields import Field, fields_of
from pipeline.kinds.showing import showing_of
from pipeline.kinds.words import is_number
from pipeline.metrics import METRICS
from pipeline.prediction.model import Model
from pipeline.prediction.serving.refused import Limits
from pipeline.prediction.serving.samples import TABLES, Taken

_MOST_VALUES = 200
"""Of a category, that are told to choose from."""
_MOST_NUMBERS = 1024
"""Of an array that is an example."""


def schema_of(model: Model, taken: Taken, limits: Limits, address: str, *, with_token: bool) -> dict[str, Any]:
    """As JSON-like data, in which no place of this machine occurs but the address."""
    predictor, fields = model.predictor, fields_of(model.predictor.kind, model.predictor.fit)
    example = _example(taken, fields)
    return {
        "model": _named(model),
        "kind": predictor.kind,
        "samples": showing_of(predictor.kind).NOUN,
        "task": predictor.task,
        "shape": list(taken.shape),
        "dtype": str(taken.dtype),
        "form": model.reader.data().form(taken.shape, model.described["input"]["lengths"]),
        "classes": model.classes,
        "targets": model.targets,
        "rule": model.rule,
        "calibrated": model.answers.fitted is not None,
        "columns": [_column(field) for field in fields],
        "takes": {"json": taken.json, "files": taken.alone, "tables": list(TABLES) if taken.tables else []},
        "limits": {**{key: value for key, value in limits._asdict().items() if key != "body_s"}, **model.reader.limits()},
        "example": {"json": example, "command": _command(example, address, with_token)},
    }


def _named(model: Model) -> dict[str, Any]:
    """Which network it is, and how good it was on validation samples, where the record of its run came along."""
    own, run = model.described["model"], model.file.parent / "run.json"
    kept = read_json(run) if run.exists() else {}
    monitor = _monitored(kept) if kept.get("best_monitored") is not None else None
    return {
        "name": own["name"] or own["arch"],
        "run": model.described["run"],
        "num_parameters": model.described["num_parameters"] * len(model.predictor.nets),
        "members": len(model.predictor.nets),
        "mirrored": model.predictor.mirror is not None,
        "weights_sha256": model.predictor.weights,
        "monitor": monitor,
    }


def _monitored(run: Mapping[str, Any]) -> dict[str, Any]:
    name, value = run["monitor"], run["best_monitored"]
    return {"name": name, "words": METRICS[name].words, "unit": METRICS[name].unit, "value": value, "epoch": run["best_epoch"]}


def _column(field: Field) -> dict[str, Any]:
    return {**field._asdict(), "values": list(field.values[:_MOST_VALUES])}


def _example(taken: Taken, fields: list[Field]) -> dict[str, Any] | None:
    """A body that is answered; None where files are the only or the shorter way to ask."""
    if taken.json == "rows":
        return {"rows": [{field.name: _cell(field) for field in fields}]}
    if taken.json == "arrays" and math.prod(taken.shape) <= _MOST_NUMBERS:
        return {"arrays": np.zeros((1, *taken.shape), taken.dtype).tolist()}
    return {"texts": ["a text"]} if taken.json == "texts" else None


def _cell(field: Field) -> str | float:
    """A number as JSON writes it, unless it has a comma before its decimals."""
    if field.type != "number" or not is_number(field.example):
        return field.example
    number = float(field.example)
    return int(number) if number.is_integer() else number


def _command(example: dict[str, Any] | None, address: str, with_token: bool) -> str:
    token = ' -H "Authorization: Bearer $REGATTA_TOKEN"' if with_token else ""
    if example is None or "arrays" in example:
        return f"curl{token} -F file=@FILE {address}predict"
    said = shlex.quote(json.dumps(example, ensure_ascii=False))
    return f"curl{token} -H 'Content-Type: application/json' -d {said} {address}predict"
