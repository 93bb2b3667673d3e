"""How a network's answers on the test split compare with simpler ones: a part of `metrics.json`, and that in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.baselines.comparison import compared, measure_of, scored, trivial_answer, units_of
from pipeline.baselines.fitting import Fitted, fitted_baselines
from pipeline.data.dataset import Dataset

WINNER = {
    "network": "the network is better",
    "baseline": "the baseline is better",
    "neither": "no evidence that the network is better",
}


def against_baselines(dataset: Dataset, answers: NDArray[Any]) -> dict[str, Any]:
    """Of a network's answers on the test split (labels, or numbers in the data's units).

    `name` is null where the kind has no baseline, or samples own several rows: the trivial answer is then alone.
    """
    task: str = dataset.manifest.task
    train, labels = (np.asarray(dataset.split(name).labels) for name in ("train", "test"))
    units = units_of(train, task)
    trivial, words = trivial_answer(train, task, dataset.manifest.classes)
    of_trivial = float(scored(labels, np.broadcast_to(trivial, labels.shape), task, units).mean())
    found = {"measure": measure_of(task), "trivial": words, "trivial_score": abs(of_trivial)}
    fitted = fitted_baselines(dataset)
    if fitted is None:
        return {**found, "name": None}
    own, other = (scored(labels, each.reshape(labels.shape), task, units) for each in (np.asarray(answers), fitted.answers))
    return {**found, **_described(fitted), **compared(own, other, task)}


def _described(fitted: Fitted) -> dict[str, Any]:
    chosen = fitted.chosen
    about = {"name": chosen.name, "words": chosen.words, "num_rows": chosen.num_rows, "whole": chosen.whole}
    return {**about, "tried": {one.words: abs(one.val) for one in fitted.candidates if one.val is not None}}


def in_words(found: Mapping[str, Any]) -> str:
    """A line for the terminal."""
    measure = {"accuracy": "accuracy", "mae": "mean absolute error"}[found["measure"]]
    trivial = f"{found['trivial']}: {measure} {found['trivial_score']:.4f}"
    if found["name"] is None:
        return f"this kind of data has no baseline; {trivial}"
    part = "" if found["whole"] else f", fitted on {found['num_rows']:,} training samples"
    interval = f"{found['difference']:+.4f} [{found['difference_low']:+.4f}, {found['difference_high']:+.4f}]"
    p = "" if found["p"] is None else f", p = {found['p']:.2g}"
    return (
        f"{found['words']}{part}: {measure} {found['score']:.4f}, the network's less that {interval}{p}: "
        f"{WINNER[found['better']]}; {trivial}"
    )
