"""`regatta export [MODEL] --format onnx|torch`: a trained network as a file that runs elsewhere, tried on real samples."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import published_dir, read_json, stage_dir, write_bytes, write_json
from pipeline.commands.root import path_from_root, seen_from
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.errors import NumericsError, RegattaError, StorageError

if TYPE_CHECKING:
    from pipeline.export.formats import Format

FOLDER = Path("exports")
SAMPLES = 64
"""Of the validation split, on which it is tried."""
KEPT = 16
"""So many of them go along, to check it where it is used."""


def export(options: argparse.Namespace) -> int:
    """Write the file and what belongs to it, as a folder, whole or not at all."""
    from pipeline.export.formats import FORMATS
    from pipeline.model.predictor import load_predictor

    model = path_from_root(options.model, options.stood)
    described = read_json(model / "model.json")
    predictor = load_predictor(model)
    data, chosen = tried_on(described), FORMATS[options.format]
    rows = first_rows(data)
    place = path_from_root(options.out, options.stood) if options.out else FOLDER / described["run"] / options.format
    with published_dir(place) as folder:
        said = write_and_try(predictor, described, chosen, rows, folder, samples=not options.no_samples)
    print(said, flush=True)
    print(f"The network is in {seen_from(options.stood, place / chosen.file)}", flush=True)
    return 0


def tried_on(described: dict[str, Any]) -> Dataset:
    """The data that the network was trained on; StorageError where they are not what lies here."""
    here = "the samples that the network was trained on are not there to try it on; bring them back with `regatta restore "
    here += f"{described['run']}`"
    try:
        data = open_dataset(stage_dir("prepare"))
    except RegattaError as error:
        raise StorageError(f"{error}; {here}") from error
    known, manifest = described["input"], data.manifest
    same = known["fit"] == manifest.fit and known["shape"] == manifest.shape and described["classes"] == manifest.classes
    if not same or known["kind"] != manifest.kind:
        raise StorageError(f"{stage_dir('prepare')}: other data: {here}")
    return data


def first_rows(data: Dataset) -> NDArray[Any]:
    """As stored, of validation: at least two, since torch takes a batch of one for a shape that is always one."""
    split = data.split("val")
    rows = np.array(split.inputs[: min(SAMPLES, len(split.inputs))])
    return rows if len(rows) > 1 else np.concatenate([rows, rows])


def write_and_try(
    predictor: Any, described: dict[str, Any], chosen: Format, rows: NDArray[Any], folder: Path, *, samples: bool
) -> str:
    """Fill a folder; how far the file's own answers are from the network's, in words. NumericsError where too far."""
    import torch

    from pipeline.export.answering import answering, answers, facts_of, outputs_of
    from pipeline.export.check import TOLERANCE
    from pipeline.export.formats import largest_difference
    from pipeline.model.net import FULL

    module, names = answering(predictor), outputs_of(predictor)
    facts = facts_of(predictor, str(rows.dtype), described["run"])
    chosen.write(module, torch.from_numpy(rows[:2]), names, facts, folder / chosen.file)
    known, found = answers(module, torch.from_numpy(rows)), chosen.ask(folder / chosen.file, rows)
    alone = chosen.ask(folder / chosen.file, rows[:1])
    is_full = described["model"].get("precision", FULL) == FULL
    own = largest_difference(original(predictor, rows), found)
    same = max(largest_difference(known, found), largest_difference([each[:1] for each in known], alone), own * is_full)
    if not same <= TOLERANCE:
        raise NumericsError(
            f"{chosen.file}: on {len(rows)} validation samples its answers differ by up to {same:.2g} from those of the "
            f"network ({TOLERANCE:g} is allowed), so it was not kept"
        )
    write_json(folder / "facts.json", facts)
    if samples:
        keep_samples(dict(zip(names, known, strict=True)), rows, folder, with_check=chosen.file == "model.onnx")
    mixed = "" if is_full else f"; as it multiplies in bfloat16 itself, and the file does not, from its own by {own:.2g}"
    in_full = "" if is_full else " in float32"
    return (
        f"On {len(rows)} validation samples its answers differ by at most {same:.2g} from those of the network{in_full}{mixed}."
    )


def original(predictor: Any, rows: NDArray[Any]) -> list[NDArray[Any]]:
    """What the network itself says, by the way that evaluation takes."""
    import torch

    inputs = torch.from_numpy(rows)
    logits = predictor.sample_logits(inputs, None)
    if predictor.scale:
        return [predictor.numbers(logits).numpy()]
    return [logits.numpy(force=True), predictor.probabilities(logits).numpy(force=True)]


def keep_samples(known: dict[str, NDArray[Any]], rows: NDArray[Any], folder: Path, *, with_check: bool) -> None:
    """A few rows and their answers and, of ONNX, the program that compares."""
    import io

    from pipeline.export import check

    content = io.BytesIO()
    np.savez(content, rows=rows[:KEPT], **{name: answers[:KEPT] for name, answers in known.items()})  # type: ignore[arg-type]
    write_bytes(folder / "samples.npz", content.getvalue())
    if with_check:
        write_bytes(folder / "check.py", Path(check.__file__).read_bytes())
