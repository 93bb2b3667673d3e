"""`regatta replay RUN [--epoch E] --step N`: one training step of a run again, with its samples, losses and gradients."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifacts import PARAMS, check_copy, make_dir, save_tensors
from pipeline.commands.root import seen_from
from pipeline.commands.runs import table
from pipeline.config import Config, checked, read_values
from pipeline.data.dataset import Dataset, label_name
from pipeline.data.views import Views
from pipeline.errors import ConfigError, StorageError
from pipeline.runs.find import run_named
from pipeline.runs.folder import RunFolder
from pipeline.runs.identity import training_code
from pipeline.train.prepared import opened

if TYPE_CHECKING:
    from pipeline.train.training import Training

SHOWN = 20
"""Samples of the batch in the table."""


class Reached(Exception):  # noqa: N818 - no error: the step before the one that is asked for has been taken
    """Stop here."""


@dataclass(frozen=True)
class Step:
    """One step of a single run: its batch of b samples, and what came of it."""

    ids: NDArray[np.uint64]
    labels: NDArray[Any]
    inputs: NDArray[Any]
    """(b, *shape), augmented and normalised, as the network saw them; of ragged ones all items, one sample after the other."""
    lengths: NDArray[np.int64] | None
    """(b,) how many of them are each sample's; None: inputs are of one shape."""
    logits: NDArray[np.float32]
    """(b, outputs) of the data as they are, also where training is balanced."""
    losses: NDArray[np.float32]
    gradient: dict[str, NDArray[np.float32]]
    before: dict[str, NDArray[np.float32]]
    """Parameters by name; likewise after."""
    after: dict[str, NDArray[np.float32]]


def replay(options: argparse.Namespace) -> int:
    """Print the step and keep its tensors beside the run."""
    folder = run_named(options.run)
    run, config = folder.read(), config_of(folder)
    on = opened(config.model, config.train)
    data, views = on.data, on.views
    check_data(run, data, views)
    training = rebuilt(folder, config, data, views)
    if run["hashes"]["code"] != training_code(data.manifest.kind, extended=training.program.own_network):
        print("replay: the code has changed since this run; its numbers may differ", flush=True)
    number = numbered(options, training.program.epochs, training.steps_per_epoch)
    go_to(training, folder, number - 1)
    step = take_step(training)
    path = folder.path / "replay" / f"step-{number}.safetensors"
    keep(step, path)
    for line in described(step, training, data, number):
        print(line)
    print(f"Inputs, logits, gradient and the parameters before and after are in {seen_from(options.stood, path)}")
    return 0


def numbered(options: argparse.Namespace, epochs: int, steps: int) -> int:
    """The step that is asked for, from 1 on over all epochs, each of so many steps; ConfigError where there is none."""
    if options.epoch is not None and not 1 <= options.epoch <= epochs:
        raise ConfigError(f"--epoch = {options.epoch}: the run has epochs 1 to {epochs}")
    first, last = (0, epochs * steps) if options.epoch is None else ((options.epoch - 1) * steps, steps)
    if not 1 <= options.step <= last:
        where = f"the run has steps 1 to {last} ({steps} an epoch)"
        where = where if options.epoch is None else f"epoch {options.epoch} has steps 1 to {last}"
        raise ConfigError(f"--step = {options.step}: {where}")
    return first + int(options.step)


def check_data(run: dict[str, Any], data: Dataset, views: Views) -> None:
    """StorageError where artifacts/ holds other data, or other copies of it, than the run was trained on."""
    for what, expected, present in (
        ("prepare", run["hashes"]["dataset"], data.manifest.prepared),
        ("augment", run["hashes"]["views"], views.digest),
    ):
        if expected != present:
            raise StorageError(
                f"artifacts/{what}: not what this run was trained on ({present[:8]} instead of {expected[:8]}); "
                f"bring it back with `regatta restore {run['id']}`"
            )


def config_of(folder: RunFolder) -> Config:
    """The configuration that a run has kept."""
    check_copy(folder.path / PARAMS.name, folder.read().get("files", {}).get(PARAMS.name))
    values = read_values(folder.path / PARAMS.name)
    if values is None:
        raise StorageError(f"{folder.path / PARAMS.name}: missing; a run can't be rebuilt without it")
    return checked(values)


def rebuilt(folder: RunFolder, config: Config, data: Dataset, views: Views) -> Training:
    """The training at its start, as one worker does it: several take the same steps."""
    import torch

    from pipeline.train.device import chosen_device
    from pipeline.train.program import program_of
    from pipeline.train.training import Training

    run = folder.read()
    torch.set_num_threads(run["num_threads"])
    own = config.train.model_copy(update={"seed": run["seed"]})  # of train.members each run has its own
    program, lane = program_of(config.model, own, data.manifest, run["device"])
    return Training(program, [lane], data, [views], chosen_device(run["device"]))


def go_to(training: Training, folder: RunFolder, num_steps: int) -> None:
    """Take steps until so many have been taken, from the newest state of the run that is not beyond, or from the start."""
    for path in folder.states:
        try:
            tensors, progress = folder.loaded(path)
        except StorageError as error:
            print(f"replay: {error}", flush=True)
            continue
        if progress["epoch"] * training.steps_per_epoch + progress["step"] <= num_steps:
            training.restore(tensors, progress)
            break

    def steps() -> int:
        return training.progress.epoch * training.steps_per_epoch + training.progress.step

    def check() -> None:
        if steps() == num_steps:
            raise Reached

    try:
        while steps() < num_steps:
            training.train_epoch(check)
            training.end_epoch({name: training.evaluate(name) for name in ("train_clean", "val")})
    except Reached:
        if training.progress.step == training.steps_per_epoch:
            training.end_epoch({name: training.evaluate(name) for name in ("train_clean", "val")})


def take_step(training: Training) -> Step:
    """Take the next step and look at it."""
    from pipeline.kinds.ragged import Ragged

    epoch, step, layout = training.progress.epoch, training.progress.step, training.net.layout
    order = training.batches.order(training.lanes[0].seed, epoch)
    size = training.program.batch_size
    block = training.batches.of_epoch(epoch)(range(step, step + 1))
    inputs = block.inputs
    before = training.net.flat[0].numpy(force=True).copy()
    training.meter.pending.clear()
    gradient = training.gradient(block, step)
    logits, _, losses = training.meter.met()
    training.update(step, gradient)
    return Step(
        ids=training.ids[order[step * size : (step + 1) * size]],
        labels=block.targets.labels[0].numpy(force=True),
        inputs=(inputs.items if isinstance(inputs, Ragged) else inputs[0]).numpy(force=True),
        lengths=inputs.lengths.numpy() if isinstance(inputs, Ragged) else None,
        logits=logits[0].numpy(force=True),
        losses=losses[0].numpy(force=True),
        gradient=layout.named(gradient[0].numpy(force=True)),
        before=layout.named(before),
        after=layout.named(training.net.flat[0].numpy(force=True)),
    )


def keep(step: Step, path: Path) -> None:
    """All of a step's tensors in one file."""
    names = ("ids", "labels", "inputs", "lengths", "logits", "losses")
    tensors: dict[str, NDArray[Any]] = {name: array for name in names if (array := getattr(step, name)) is not None}
    for part in ("gradient", "before", "after"):
        tensors |= {f"{part}.{name}": array for name, array in getattr(step, part).items()}
    make_dir(path.parent)
    save_tensors(path, tensors, {})


def described(step: Step, training: Training, data: Dataset, number: int) -> Iterator[str]:
    """The step in words, and the samples with the largest losses."""
    epoch, place = divmod(number - 1, training.steps_per_epoch)
    yield f"step {number}: step {place + 1} of {training.steps_per_epoch} in epoch {epoch + 1}, {len(step.ids)} samples"
    norms = {name: float(np.linalg.norm(array)) for name, array in step.gradient.items() if name.endswith(".weight")}
    yield f"mean loss {float(step.losses.mean()):.6f}; gradient norms: " + ", ".join(f"{k} {v:.4g}" for k, v in norms.items())
    train, sources = data.split("train"), data.sources("train")
    places = {sample: i for i, sample in enumerate(np.asarray(train.ids).tolist())}
    rows = [("sample", "source", "label", "loss", "logits")]
    for i in np.argsort(-step.losses, kind="stable")[:SHOWN]:
        sample = int(step.ids[i])
        label = label_name(train.labels[places[sample]], data.manifest)
        logits = " ".join(f"{value:.2f}" for value in step.logits[i])
        rows.append((f"{sample:016x}", sources[places[sample]], label, f"{step.losses[i]:.4f}", logits))
    yield from table(rows)
    if len(step.ids) > SHOWN:
        yield f"and {len(step.ids) - SHOWN} more"
