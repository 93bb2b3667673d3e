"""`regatta export [MODEL] --format onnx|torch`: a trained network as a file that runs elsewhere, tried on real samples."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import published_dir, read_json, stage_dir, write_bytes, write_json
from pipeline.commands.predict import folder_of, tell_code
from pipeline.commands.root import path_from_root, seen_from
from pipeline.data.dataset import Dataset, Manifest, open_dataset
from pipeline.errors import DataError, NumericsError
from pipeline.kinds.inputs import made_up

if TYPE_CHECKING:
    from pipeline.export.formats import Format

FOLDER = Path("exports")
SAMPLES = 64
"""Of the validation split, on which it is tried."""
KEPT = 16
"""So many of them go along, to check it where it is used."""


def export(options: argparse.Namespace) -> int:
    """Write the file and what belongs to it, as a folder, whole or not at all."""
    model = folder_of(options)
    from pipeline.export.formats import FORMATS
    from pipeline.model.predictor import load_predictor

    described = read_json(model / "model.json")
    predictor = load_predictor(model)
    tell_code()
    chosen, rows = FORMATS[options.format], tried_on(described, model, options)
    place = path_from_root(options.out, options.stood) if options.out else FOLDER / described["run"] / options.format
    with published_dir(place) as folder:
        said = write_and_try(predictor, described, chosen, rows, folder, samples=not options.no_samples)
    print(said, flush=True)
    print(f"The network is in {seen_from(options.stood, place / chosen.file)}", flush=True)
    return 0


class Tried(NamedTuple):
    """On what a file is tried."""

    rows: NDArray[Any]
    """As stored: at least two, since torch takes a batch of one for a shape that is always one."""
    words: str
    """What they are, after their number."""
    why: str = ""
    """What else to know of them."""


def tried_on(described: dict[str, Any], model: Path, options: argparse.Namespace) -> Tried:
    """Samples that were named, else those of validation that the network was trained beside, else made-up rows."""
    if options.try_on:
        return _of_files(described, model, options.stood / Path(options.try_on).expanduser(), options.try_on)
    places = (model.parent / stage_dir("prepare").name, stage_dir("prepare"))
    for data in filter(None, map(_dataset_at, places)):
        if is_data_of(described, data.manifest):
            return Tried(_two_or_more(np.array(data.split("val").inputs[:SAMPLES])), "validation samples")
    known = described["input"]
    rows = made_up(known["kind"], known["fit"], known["shape"], np.dtype(known["dtype"]), SAMPLES)
    why = (
        f"The samples that it was trained on are not here: `regatta restore {described['run']}` in its project brings them "
        "back, and --try-on PATH takes others."
    )
    return Tried(rows, "made-up rows", why)


def _of_files(described: dict[str, Any], model: Path, path: Path, name: str) -> Tried:
    """The first samples of a file or a folder that can be read; DataError where there is none."""
    from pipeline.prediction.reading import Reader

    rows: list[Any] = []
    problems: list[tuple[str, str]] = []
    try:
        for read in Reader.of(described, model / "model.json").read(path, name, 1):
            rows += [row for sample in read.samples for row in (sample if isinstance(sample, list) else [sample])]
            problems += read.problems
            if len(rows) >= SAMPLES:
                break
    except DataError as error:
        raise DataError(f"--try-on {name}: {str(error).removeprefix(f'{path}: ')}") from error
    if not rows:
        raise DataError(f"--try-on {name}: no sample that can be read" + "".join(f"; {': '.join(one)}" for one in problems[:3]))
    return Tried(_two_or_more(np.stack(rows[:SAMPLES])), f"samples of {name}")


def _dataset_at(place: Path) -> Dataset | None:
    return open_dataset(place) if (place / "dataset.json").exists() else None


def is_data_of(described: dict[str, Any], manifest: Manifest) -> bool:
    """Whether a network was trained on such data."""
    known = described["input"]
    same = known["fit"] == manifest.fit and known["shape"] == manifest.shape and described["classes"] == manifest.classes
    return bool(same and known["kind"] == manifest.kind)


def _two_or_more(rows: NDArray[Any]) -> NDArray[Any]:
    return rows if len(rows) > 1 else np.concatenate([rows, rows])


def write_and_try(
    predictor: Any, described: dict[str, Any], chosen: Format, tried: Tried, folder: Path, *, samples: bool
) -> str:
    """Fill a folder; how far the file's own answers are from the network's, in words. NumericsError where too far."""
    import torch

    from pipeline.export.answering import answering, answers, facts_of, outputs_of
    from pipeline.export.check import TOLERANCE
    from pipeline.export.formats import largest_difference
    from pipeline.model.net import FULL

    rows, on = tried.rows, f"{len(tried.rows)} {tried.words}"
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
            f"{chosen.file}: on {on} its answers differ by up to {same:.2g} from those of the "
            f"network ({TOLERANCE:g} is allowed), so it was not kept"
        )
    write_json(folder / "facts.json", facts)
    if samples:
        keep_samples(dict(zip(names, known, strict=True)), rows, folder, with_check=chosen.file == "model.onnx")
    mixed = "" if is_full else f"; as it multiplies in bfloat16 itself, and the file does not, from its own by {own:.2g}"
    in_full = "" if is_full else " in float32"
    said = f"On {on} its answers differ by at most {same:.2g} from those of the network{in_full}{mixed}."
    return f"{said} {tried.why}".strip()


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
