"""What is counted of test samples, as tables: names of columns, and rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation import classes as ev
from pipeline.evaluation.thresholds import Thresholds

if TYPE_CHECKING:
    import pyarrow as pa

Table = tuple[list[str], list[Sequence[Any]]]


@dataclass(frozen=True)
class Samples:
    """The samples of a split in stored order."""

    ids: NDArray[np.uint64]
    sources: Sequence[str]
    labels: NDArray[Any]


def predictions_table(
    samples: Samples,
    classes: Sequence[str],
    task: str,
    predictions: ev.Ints,
    probabilities: NDArray[np.float32],
    left_open: ev.Mask | None,
) -> pa.Table:
    """One row per sample in stored order; the class names are in the table's metadata.

    left_open: which answers are not given; the prediction is then what it would have been. None: all are.
    """
    import pyarrow as pa

    columns = {
        "id": pa.array(samples.ids, pa.uint64()),
        "source": pa.array(samples.sources, pa.string()),
        "label": _column(samples.labels.astype(np.int64)),
        "prediction": _column(predictions),
        "confidence": pa.array(ev.sample_confidence(probabilities, predictions).astype(np.float32)),
        "probabilities": _column(probabilities),
        "abstained": _column(np.zeros(predictions.shape, bool) if left_open is None else left_open),
    }
    return pa.table(columns).replace_schema_metadata({"classes": json.dumps(classes), "task": task})


def numbers_table(samples: Samples, targets: Sequence[str], task: str, predicted: NDArray[Any]) -> pa.Table:
    """One row per sample in stored order, in the data's own units; the names of the numbers are in the table's metadata."""
    import pyarrow as pa

    columns = {
        "id": pa.array(samples.ids, pa.uint64()),
        "source": pa.array(samples.sources, pa.string()),
        "label": _column(samples.labels),
        "prediction": _column(predicted.reshape(np.shape(samples.labels))),
    }
    return pa.table(columns).replace_schema_metadata({"targets": json.dumps(targets), "task": task})


def _column(values: NDArray[Any]) -> Any:
    import pyarrow as pa

    if values.ndim == 1:
        return pa.array(values)
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values).ravel()))


def confusion_table(labels: NDArray[Any], predictions: ev.Ints, classes: Sequence[str]) -> Table:
    """One row per pair (actual, predicted) that occurs; where a sample has several labels, a row per label as well."""
    if labels.ndim == 1:
        matrix = ev.confusion_matrix(labels, predictions, len(classes))
        pairs = [[classes[i], classes[j], matrix[i, j]] for i, j in np.argwhere(matrix)]
        return ["actual", "predicted", "count"], [*pairs]
    counts = ev.label_confusion(labels, predictions)
    rows = [[classes[c], i, j, counts[c, i, j]] for c, i, j in np.ndindex(counts.shape)]
    return ["label", "actual", "predicted", "count"], [*rows]


def thresholds_table(thresholds: Thresholds, classes: Sequence[str]) -> Table:
    """One row per label, or one for the second of two classes."""
    rows = [
        (
            name,
            cut.threshold,
            int(thresholds.positives[i]),
            "yes" if i in thresholds.shared else "no",
            "yes" if cut.kept else "no",
            cut.open_above,
            cut.open_to,
        )
        for i, (name, cut) in enumerate(zip(_names(thresholds, classes), thresholds.cuts, strict=True))
    ]
    return ["class", "threshold", "positives", "shared", "kept", "open_above", "open_to"], [*rows]


def missed_in_words(thresholds: Thresholds, classes: Sequence[str]) -> str | None:
    """For which labels no threshold keeps the rule; None: there is one for each."""
    missed = [_names(thresholds, classes)[i] for i in thresholds.missed]
    if not missed:
        return None
    more = ", ..." if len(missed) > 5 else ""
    return f"no threshold keeps the rule on validation samples for {', '.join(missed[:5])}{more}; the nearest ones are taken"


def _names(thresholds: Thresholds, classes: Sequence[str]) -> Sequence[str]:
    return classes if len(thresholds.cuts) == len(classes) else classes[1:]
