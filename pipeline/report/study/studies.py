"""What the page shows of studies: their effects and curves, which were made with other settings, which were not run yet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.artifacts import PARAMS, read_json, read_parquet
from pipeline.evaluation.classes import Floats, Ints
from pipeline.schema.reading import flat, read_parameters
from pipeline.schema.study import FROM_NOTHING
from pipeline.schema.train import NOT_IDENTITY

NO_DIFFERENCE = tuple(f"train.{name}" for name in NOT_IDENTITY)
SECTIONS = ("prepare", "augment", "model", "train")
GRADIENT_KEYS = ("model.activation", "model.init", "model.norm", "model.widths", "model.channels")
"""What decides whether gradients reach the first layer."""
SHOWN_CHANGES = 6
BESIDE = ("val_loss", "val_accuracy", "val_mae", "gap", "best_epoch", "test_loss", "test_accuracy", "test_mae", "seconds")
"""Metrics beside the study's own that its table shows."""


@dataclass(frozen=True)
class Runs:
    """The curves of one variant's S runs that have not failed: E epochs, L layers; NaN where a run had ended."""

    epochs: Ints
    val_loss: Floats
    """(S, E)"""
    layers: list[str]
    norms: Floats
    """(L, E) gradient norms, the mean of the seeds' logarithms as a power of ten."""


@dataclass(frozen=True)
class Study:
    """One study, run or not."""

    name: str
    question: str
    finding: str | None
    effects: dict[str, Any] | None
    runs: dict[str, Runs]
    """By variant, the baseline first; those without a finished run are left out."""
    stale: list[str]
    """What of params.yaml and the data is not as it was when the study was run."""
    defined: bool = True
    """Whether params.yaml still has it."""

    @property
    def answered(self) -> bool:
        """Whether the records have the answer and the advice: those of older versions do not."""
        return self.effects is not None and "answer" in self.effects

    @property
    def sentences(self) -> list[str]:
        """The effects in words, but for what the page says first: the expected finding, and an only variant's, the answer."""
        assert self.effects is not None
        said: list[str] = self.effects["sentences"]
        only = self.answered and len(self.effects["variants"]) == 1
        return said[1 if only else 0 : -1 if self.effects["agreement"] else None]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The baseline and the variants, each with name, mean and others."""
        assert self.effects is not None
        own = {"name": "baseline", "verdict": "", **self.effects["baseline"], "changes": baseline_changes(self.effects)}
        return [own, *self.effects["variants"]]

    @property
    def agreement_level(self) -> str:
        """How much the reader should care: a class of report.css."""
        assert self.effects is not None
        answers = [variant["as_expected"] for variant in self.effects["variants"] if variant["expected"] is not None]
        return "warn" if False in answers else "note" if None in answers else "good"

    @property
    def beside(self) -> list[str]:
        """The metrics of `BESIDE` that the study has."""
        assert self.effects is not None
        return [metric for metric in BESIDE if metric in self.effects["baseline"]["others"]]

    @property
    def unit(self) -> str:
        """Over what differences are taken."""
        return "fold" if self.effects is not None and self.effects.get("folds") else "seed"

    @property
    def paired_by(self) -> str:
        """How the column is called that counts runs."""
        return "Folds x seeds" if self.unit == "fold" else "Seeds"

    @property
    def runs_of_baseline(self) -> str:
        """How many there are for comparison."""
        assert self.effects is not None
        seeds = len(self.effects["seeds"])
        if self.unit == "fold":
            return f"{self.effects['folds']} x {seeds}"
        return str(seeds - self.effects["baseline"]["num_failed"])

    def runs_of_variant(self, variant: Mapping[str, Any]) -> str:
        """How many were compared."""
        folds = f"{variant['num_folds']} x " if self.unit == "fold" else ""
        return f"{folds}{variant['num_seeds']}"

    def means(self, metric: str) -> list[float | None]:
        """A metric's mean in each of `rows`; None where there is none."""
        assert self.effects is not None
        own = metric == self.effects["metric"]
        return [row["mean"] if own else row["others"].get(metric, {"mean": None})["mean"] for row in self.rows]


def studies(root: Path, dataset: str, curves: bool = True) -> list[Study]:
    """The studies of params.yaml in their order, then those that were run and are no longer there; with their curves or not."""
    params, folder = read_parameters(root / PARAMS), root / "artifacts" / "study"
    definitions = params.get("study", {}).get("definitions", {})
    done = {path.parent.name for path in folder.glob("*/effects.json")}
    names = [*definitions, *sorted(done - definitions.keys())]
    return [_study(name, folder / name, params, dataset, curves) for name in names]


def _study(name: str, folder: Path, params: Mapping[str, Any], dataset: str, curves: bool) -> Study:
    definition = params["study"]["definitions"].get(name)
    if not (folder / "effects.json").exists():
        return Study(name, definition["question"], definition.get("finding"), None, {}, [])
    effects = read_json(folder / "effects.json")
    runs = runs_of(folder / "curves.parquet", effects) if curves else {}
    stale = [] if definition is None else changes(effects["basis"], params, definition, dataset, baseline_changes(effects))
    return Study(name, effects["question"], effects["finding"], effects, runs, stale, definition is not None)


def baseline_changes(effects: Mapping[str, Any]) -> dict[str, Any]:
    """What a study's baseline says itself: its own keys, and the first level of each factor."""
    definition = effects["basis"]["study"]
    first: list[dict[str, Any]] = [next(iter(levels.values()), {}) for levels in (definition.get("factors") or {}).values()]
    first += [FROM_NOTHING] if definition.get("sources") else []
    every = [effects["baseline"]["changes"], definition.get("baseline") or {}, *first]
    return {key: value for changed in every for key, value in changed.items()}


def changes(
    basis: Mapping[str, Any],
    params: Mapping[str, Any],
    definition: Mapping[str, Any],
    dataset: str,
    own: Mapping[str, Any],
) -> list[str]:
    """ "train.learning_rate 0.002 → 0.01" for each key whose value has changed; the study's `own` keys are its definition's."""
    old, new = ({name: values[name] for name in SECTIONS} for values in (basis, params))
    skipped = {*own, *NO_DIFFERENCE}
    found = [text for key, text in _differences(old, new) if key not in skipped]
    found += [f"study.{text}" for _, text in _differences(basis["study"], definition)]
    found += ["other data"] if basis["dataset"] != dataset else []
    more = len(found) - SHOWN_CHANGES
    return found if more <= 0 else [*found[:SHOWN_CHANGES], f"and {more} more"]


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    before, after = dict(flat(old)), dict(flat(new))
    for key in dict.fromkeys([*before, *after]):
        # A key that is not there is one of value null.
        if before.get(key) != after.get(key):
            yield key, f"{key} {_value(before.get(key))} → {_value(after.get(key))}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def about_gradients(effects: Mapping[str, Any]) -> bool:
    """Whether a study changes what decides if gradients reach the first layer."""
    changed = {key for variant in effects["variants"] for key in variant["changes"]}
    return "activation" in effects["name"] or not changed.isdisjoint(GRADIENT_KEYS)


def runs_of(path: Path, effects: Mapping[str, Any]) -> dict[str, Runs]:
    """The curves of `curves.parquet` by variant, without failed runs."""
    keys = ["variant", "seed", *(["fold"] if effects.get("folds") else [])]
    names = [*keys, "epoch", "split", "loss"] + (["layer_grad_norms"] if about_gradients(effects) else [])
    table = read_parquet(path, names)
    columns = [table[name].to_pylist() for name in names]
    failed = {tuple(failure[key] for key in keys) for failure in effects["failures"]}
    lines: dict[str, list[Any]] = {"baseline": []}
    for line in zip(*columns, strict=True):
        run, rest = line[: len(keys)], line[len(keys) :]
        if run not in failed:
            lines.setdefault(run[0], []).append((run[0], run, *rest))
    return {name: _runs(own) for name, own in lines.items() if own}


def _runs(lines: list[Any]) -> Runs:
    """Of the lines (variant, run, epoch, split, loss, maybe gradient norms) of one variant."""
    runs = {run: i for i, run in enumerate(sorted({line[1] for line in lines}))}
    epochs = {epoch: i for i, epoch in enumerate(sorted({line[2] for line in lines}))}
    layers = list(next((dict(line[5]) for line in lines if len(line) > 5 and line[5]), {}))
    val = np.full((len(runs), len(epochs)), np.nan)
    norms = np.full((len(runs), len(layers), len(epochs)), np.nan)
    for _, run, epoch, split, loss, *more in lines:
        if split == "val" and loss is not None:
            val[runs[run], epochs[epoch]] = loss
        if more and more[0]:
            values = dict(more[0])
            norms[runs[run], :, epochs[epoch]] = [values[layer] for layer in layers]
    return Runs(np.array(list(epochs), dtype=np.int64), val, layers, _geometric_mean(norms))


def _geometric_mean(norms: Floats) -> Floats:
    """Over the seeds that are finite; a norm of zero makes it zero."""
    known = np.isfinite(norms)
    logs = np.log(norms, where=norms > 0, out=np.where(known, -np.inf, 0.0))
    num = known.sum(axis=0)
    mean: Floats = np.exp(logs.sum(axis=0) / np.maximum(num, 1))
    return np.where(num > 0, mean, np.nan)
