"""`regatta predict MODEL INPUT... [--out predictions.csv]`: what a trained network says of files, folders and tables."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import extensions
from pipeline.artifacts import read_json, stage_dir
from pipeline.commands.root import root_above
from pipeline.errors import ConfigError, DataError, StorageError
from pipeline.processes import one_line
from pipeline.progress import Display
from pipeline.wording import counted, first_of, share

if TYPE_CHECKING:
    from pipeline.prediction.model import Model, Predicted

STDIN = "-"


def predict(options: argparse.Namespace) -> int:
    """Predicted to all inputs, one after the other; 3 where there is none to some, each of which is named."""
    folder = folder_of(options)
    if options.top < 1:
        raise ConfigError(f"--top {options.top}: at least one class is named")
    from pipeline.kinds.inputs import unseen_words
    from pipeline.prediction.model import Model
    from pipeline.prediction.output import table_at

    model = Model.load(folder)
    tell_code()
    if model.rule:
        print(f"regatta: answers by evaluate.threshold = {model.rule}", file=sys.stderr, flush=True)
    if together := _num_together(model, folder):
        print(f"regatta: answers of one network alone; artifacts/train answers with the mean of {together}, of which it is one",
              file=sys.stderr, flush=True)  # fmt: skip
    out = options.stood / Path(options.out).expanduser() if options.out else None
    with table_at(out, model, options.top, sys.stdout) as write, _shown(out) as display:
        num, failed, unseen, others = 0, 0, 0, list[str]()
        for answers in _answers(model, options):
            write(answers)
            num, failed, unseen = num + len(answers), failed + len(answers.problems), unseen + answers.unseen
            others += answers.passed_over
            for name, said in answers.problems:
                display.say(f"regatta: {one_line(name)}: {one_line(said)}")
            display.advance(len(answers))
        if others:
            named = first_of([one_line(name) for name in others], 3)
            display.say(f"regatta: {counted(len(others), 'file')} of another kind passed over: {named}")
        if not num:  # within: a file that is not whole is not written
            said = f"no answer for any of {failed:,}" if failed else "no samples: there is nothing to predict"
            raise DataError(f"{said}; {options.out} is not written" if out else said)
    if out:
        print(f"{num:,} answers are in {options.out}", flush=True)
    if unseen:
        print(f"regatta: {share(unseen, num)} have {unseen_words(model.predictor.kind)}", file=sys.stderr, flush=True)
    if failed:
        print(f"regatta: no answer for {failed:,} of {num + failed:,}", file=sys.stderr, flush=True)
    return DataError.exit_code if failed else 0


def tell_code() -> None:
    """Say whose code answers, where it came along with the network."""
    if place := extensions.came_along():
        print(f"regatta: runs {place / extensions.FILE}, with which the network was trained", file=sys.stderr, flush=True)


def _num_together(model: Model, folder: Path) -> int:
    """Of how many networks the answer of the folder's project is the mean, where this one is one of them; else 0."""
    own = (root_above(folder.absolute()) or Path()) / stage_dir("train") / "model.json"
    members = read_json(own).get("members", []) if own.exists() else []
    alone = len(model.predictor.nets) == 1
    return len(members) if alone and model.described["run"] in [one["id"] for one in members] else 0


def folder_of(options: argparse.Namespace) -> Path:
    """The folder of the network that is named; ConfigError where there is no such folder, StorageError where it holds none."""
    folder = Path(os.path.abspath(options.stood / Path(options.model).expanduser()))
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        raise ConfigError(
            f"{options.model}: {what}; name the folder of a trained network, such as artifacts/train, which `regatta run` makes"
        )
    if not (folder / "model.json").is_file():
        raise StorageError(
            f"{options.model}: no model.json in it; name the folder of a trained network, such as artifacts/train"
        )
    return folder


def _answers(model: Model, options: argparse.Namespace) -> Iterator[Predicted]:
    for word in options.inputs:
        with _place(word, options.stood) as path:
            name = "stdin" if word == STDIN else word.rstrip(os.sep) or word
            yield from model.named(path, name, calibrated=options.calibrated)


def _shown(out: Path | None) -> Display:
    """How far it is, beside the answers; where they themselves go to a terminal they show it."""
    display = Display("predict", "sample", None, stream=sys.stderr)
    if out is None and sys.stdout.isatty():
        display.close()
        display.bar, display.every_s = None, float("inf")
    return display


@contextmanager
def _place(word: str, stood: Path) -> Iterator[Path]:
    """Where an input lies; the standard input in a file of its own, so that it may be of any size."""
    if word != STDIN:
        yield stood / Path(word).expanduser()
        return
    with tempfile.TemporaryDirectory(prefix="regatta-") as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path
