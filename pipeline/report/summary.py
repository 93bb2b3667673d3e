"""The report in a few lines, for a terminal. Imports neither torch nor matplotlib."""

from __future__ import annotations

from pathlib import Path

from pipeline.report.run.records import read_records
from pipeline.report.run.verdict import verdict
from pipeline.report.study.studies import Study, studies
from pipeline.report.words import measure, measured, number

ALWAYS = ("baseline", "telling")
"""Rules whose findings the terminal has, whatever the verdict is about."""


def summary_lines(artifacts: Path) -> list[str]:
    """What belongs to other data, verdict, test accuracy with its interval, best epoch, what to do next, answers of studies.

    StorageError where a record is missing.
    """
    records = read_records(artifacts)
    run, said = records.run, verdict(records)
    name = records.curves.measure
    value = measure(f"val_{name}", run.best_val_measure)
    scores = f"validation loss {number(run.best_val_loss)}, {measured(name)} {value}"
    foreign = [f"{sentence} `regatta run` makes it anew." for sentence in records.foreign]
    means = [said.mean_of] if said.mean_of else []
    best = f"Best epoch {run.best_epoch} of {run.num_epochs}: {scores}."
    lines = [*foreign, said.headline, said.result, *means, best]
    lines += [f"{f.headline}: {f.detail.split(': ')[0].removesuffix('.')}." for f in said.findings if f.rule in ALWAYS]
    lines += [": ".join(filter(None, (said.next.text, said.next.command)))] if said.next else []
    return [*lines, *answer_lines(artifacts.parent, records.manifest.digest)]


def answer_lines(root: Path, dataset: str) -> list[str]:
    """Question and answer of each study of params.yaml that has one."""
    found = [study for study in studies(root, dataset, curves=False) if study.defined and study.answered]
    return [_answer(study) for study in found]


def _answer(study: Study) -> str:
    assert study.effects is not None
    stale = f" (made with other settings; `regatta study {study.name}` asks again)" if study.stale else ""
    return f"Study {study.name}: {study.question} {study.effects['answer']}{stale}"
