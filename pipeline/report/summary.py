"""The report in a few lines, for a terminal. Imports neither torch nor matplotlib."""

from __future__ import annotations

from pathlib import Path

from pipeline.report.records import read_records
from pipeline.report.verdict import verdict
from pipeline.report.words import number, percent


def summary_lines(artifacts: Path) -> list[str]:
    """What belongs to other data, verdict, test accuracy with its interval, best epoch, what to do next.

    StorageError where a record is missing.
    """
    records = read_records(artifacts)
    run, said = records.run, verdict(records)
    scores = f"validation loss {number(run.best_val_loss)}, accuracy {percent(run.best_val_accuracy)}"
    foreign = [f"{sentence} `regatta run` makes it anew." for sentence in records.foreign]
    lines = [*foreign, said.headline, said.result, f"Best epoch {run.best_epoch} of {run.num_epochs}: {scores}."]
    return [*lines, *([f"{said.next.text}: {said.next.command}"] if said.next else [])]
