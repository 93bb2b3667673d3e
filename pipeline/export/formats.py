"""The two formats: ONNX, which many programs run, and torch.export, which torch runs without this code."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.artifacts import write_bytes
from pipeline.errors import ConfigError
from pipeline.export import check
from pipeline.export.answering import INPUT, Answering, answers, as_text

_MISSING = (
    "the format onnx needs the packages of an extra: `pip install 'regatta[export]'`, in a clone `pip install -e '.[export]'`"
)


class Format(Protocol):
    """How a network is written, and how the file itself is asked."""

    file: str

    def write(self, module: Answering, rows: Tensor, outputs: tuple[str, ...], facts: dict[str, Any], path: Path) -> None:
        """Write the file, for batches of any size. rows: at least two of them, as stored."""

    def ask(self, path: Path, rows: NDArray[Any]) -> list[NDArray[Any]]:
        """What the file says to rows (B, *shape), each output as an array."""


class Onnx:
    """ONNX, with the facts in its metadata."""

    file = "model.onnx"

    def write(self, module: Answering, rows: Tensor, outputs: tuple[str, ...], facts: dict[str, Any], path: Path) -> None:
        _check_installed()
        with _quiet():
            program = torch.onnx.export(
                _exported(module, rows), dynamo=True, verbose=False, input_names=[INPUT], output_names=list(outputs)
            )
        assert program is not None
        program.model.metadata_props.update(as_text(facts))
        program.save(path)

    def ask(self, path: Path, rows: NDArray[Any]) -> list[NDArray[Any]]:
        return check.answers(path, rows)


class Torch:
    """torch.export's program, with the facts beside it in the file."""

    file = "model.pt2"

    def write(self, module: Answering, rows: Tensor, outputs: tuple[str, ...], facts: dict[str, Any], path: Path) -> None:
        content = io.BytesIO()
        with _quiet():
            torch.export.save(_exported(module, rows), content, extra_files={"facts.json": json.dumps(facts)})
        write_bytes(path, content.getvalue())

    def ask(self, path: Path, rows: NDArray[Any]) -> list[NDArray[Any]]:
        with _quiet():
            return answers(torch.export.load(path).module(), torch.from_numpy(rows))


FORMATS: dict[str, Format] = {"onnx": Onnx(), "torch": Torch()}


def _exported(module: Answering, rows: Tensor) -> torch.export.ExportedProgram:
    """The module as a graph; ConfigError where torch can't follow it."""
    try:
        return torch.export.export(module, (rows,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    except Exception as error:  # of many kinds: what the user's own module does that can't be followed
        said = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"torch.export can't follow this network: {type(error).__name__}: {said}; the forward of a network of your own may "
            "not branch on values or on the size of a batch (x.shape[0], not len(x))"
        ) from error


def _check_installed() -> None:
    """ConfigError where what writes or runs ONNX is not installed."""
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"{_MISSING} ({error.name} is not there)") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch says of itself on the way: packages that it could use, and what is going to change in it."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def largest_difference(one: list[NDArray[Any]], other: list[NDArray[Any]]) -> float:
    """Over all outputs."""
    return max(check.largest_difference(*pair) for pair in zip(one, other, strict=True))
