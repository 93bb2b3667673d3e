"""One run from its configuration to the best weights: found, resumed or started, trained to the end, recorded."""

from __future__ import annotations

import contextlib
import datetime
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch

from pipeline import artifacts
from pipeline.data.dataset import Dataset
from pipeline.data.views import Views
from pipeline.errors import NumericsError, RegattaError, Stopped, StorageError
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.identity import Identity, chosen_device, commit, identity, versions
from pipeline.train.module import Keeper, run_to_end
from pipeline.train.program import planned, threads_for
from pipeline.train.progress import ProgressDisplay
from pipeline.train.runs import RunFolder, find_run, shorter_run
from pipeline.train.training import Row, Training

MODEL_FORMAT = 1


class Tracker(Protocol):
    """A mirror of the records."""

    def log(self, epoch: int, rows: list[Row]) -> None:
        """One epoch's rows."""

    def finish(self, summary: Row, exit_code: int) -> None:
        """The run has ended."""


def fit(
    model: ModelConfig, train: TrainConfig, data: Dataset, views: Views, open_tracker: Callable[[RunFolder], Tracker]
) -> RunFolder:
    """Train one run to the end and return its folder.

    The same configuration, data and code find the same folder again: finished, it is returned as it is; interrupted, it
    goes on from its last saved step to the very bits that it would have reached. Raises Stopped, NumericsError,
    ConfigError, StorageError, BusyError.
    """
    device = chosen_device(train.device)
    program, lane = planned(model, train, data.manifest)
    torch.set_num_threads(threads_for(program, train.threads))
    own = identity(model, train, data.manifest.digest, views.digest, device.type)
    folder, todo = find_run(own)
    if todo == "done":
        mixed = ", though it was begun under other code" if folder.read().get("accepted_code") else ""
        print(f"train: this run is finished already ({folder.path}){mixed}; its results are taken as they are", flush=True)
        return folder
    with artifacts.held(folder.path / ".lock"):
        training = Training(program, [lane], data, [views], device)
        _start(folder, own, train, training, resume=todo == "resume")
        _train(folder, training, train, open_tracker(folder))
    return folder


def _start(folder: RunFolder, own: Identity, train: TrainConfig, training: Training, *, resume: bool) -> None:
    continued = None
    if resume:
        _restore(folder, training)
    elif train.schedule == "constant" and (shorter := shorter_run(own, train.epochs)):
        _restore(shorter, training)
        continued = shorter.id
    facts = {
        "id": folder.id,
        "state": "running",
        "hashes": asdict(own),
        "seed": train.seed,
        "commit": commit(),
        "versions": versions(),
        "device": training.device.type,
        "num_threads": torch.get_num_threads(),
        "monitor": train.monitor,
        "num_parameters": training.network.num_parameters,
        "num_train": len(training.ids),
        "max_epochs": train.epochs,
    }
    for left in folder.path.glob("*.partial-*"):  # by a writer that was killed
        left.unlink()
    if resume:
        before = folder.read()
        older = [before["hashes"]["code"]] if before["hashes"]["code"] != own.code else []
        folder.write(**facts, restarts=before["restarts"] + 1, accepted_code=[*before.get("accepted_code", []), *older])
        if before["num_threads"] != (threads := facts["num_threads"]):
            print(
                f"train: begun with {before['num_threads']} threads, goes on with {threads}: the last bits may differ",
                flush=True,
            )
        return
    artifacts.save_tensors(folder.state, *training.state())
    folder.write(**facts, restarts=0, started=_now(), continued_from=continued, num_epochs=training.progress.epoch, wall_s=0.0)
    for name in (artifacts.PARAMS, Path("conf/overrides.yaml")):
        if name.exists():
            shutil.copyfile(name, folder.path / name.name)


def _restore(folder: RunFolder, training: Training) -> None:
    tensors, progress = artifacts.load_tensors(folder.state)
    training.restore(tensors, progress)


class RunKeeper(Keeper):
    """Keeps a single run in its folder, mirrors its records and shows them."""

    def __init__(self, folder: RunFolder, training: Training, train: TrainConfig, tracker: Tracker) -> None:
        self.folder, self.training, self.tracker = folder, training, tracker
        self.save_every_s = train.save_every_s
        self.display = ProgressDisplay(folder.path / "log.txt", training)

    def save(self) -> None:
        """The resume state, and a summary that says how far it goes."""
        tensors, values = self.training.state()
        artifacts.save_tensors(self.folder.state, tensors, values)
        self.folder.write(**_summary(self.training))

    def after_step(self, training: Training) -> None:
        """Show it."""
        self.display.step(training)

    def after_epoch(self, training: Training) -> None:
        """Record, mirror and show it; an epoch that failed has no rows."""
        epoch = training.progress.epoch
        if rows := [row for row in training.progress.rows[0] if row["epoch"] == epoch]:
            artifacts.append_jsonl(self.folder.metrics, rows)
            self.tracker.log(epoch, rows)
            self.display.epoch(training)

    def end(self, exit_code: int, **outcome: Any) -> None:
        """Write how the run has ended."""
        summary = self.folder.write(**_summary(self.training), **outcome, finished=_now())
        self.tracker.finish(_scalars(summary), exit_code)


def _train(folder: RunFolder, training: Training, train: TrainConfig, tracker: Tracker) -> None:
    _rewrite_records(folder, training.progress.rows[0])
    keeper = RunKeeper(folder, training, train, tracker)
    keeper.display.say(_headline(folder, training))
    try:
        run_to_end(training, keeper)
        save_best(folder, training)
    except NumericsError as error:
        keeper.end(error.exit_code, state="failed", stop_reason="not_finite", error=str(error))
        keeper.save()
        save_best(folder, training)
        raise
    except Stopped as error:
        keeper.end(error.exit_code, state="stopped", stop_reason="signal", error=str(error))
        raise
    except BaseException as error:
        code = error.exit_code if isinstance(error, RegattaError) else 1
        with contextlib.suppress(StorageError):  # the error itself says more than that its record can't be written
            keeper.end(code, state="stopped", stop_reason="error", error=f"{type(error).__name__}: {error}")
        raise
    finally:
        keeper.display.close()
    keeper.end(0, state="finished", stop_reason=training.progress.ended[0] or "epochs", error=None)


def _headline(folder: RunFolder, training: Training) -> str:
    done = training.progress
    where = f"goes on from epoch {done.epoch + 1}, step {done.step + 1}" if done.epoch or done.step else "starts"
    return (
        f"train: {folder.path} {where}: {training.network.num_parameters:,} parameters, {len(training.ids):,} samples, "
        f"{training.program.epochs} epochs of {training.steps_per_epoch} steps on {training.device.type}"
    )


def _rewrite_records(folder: RunFolder, rows: list[Row]) -> None:
    """The records as far as the state goes: what was written after the last save happens again."""
    folder.metrics.unlink(missing_ok=True)
    artifacts.append_jsonl(folder.metrics, rows)


def _summary(training: Training) -> Row:
    progress = training.progress
    rows = [row for row in progress.rows[0] if row["split"] == "train"]
    seconds = sum(row["seconds"] for row in rows)
    best = progress.best[0]
    return {
        "num_epochs": progress.epoch,
        "best_epoch": best and best["epoch"],
        "best_val_loss": best and best["loss"],
        "best_val_accuracy": best and best["accuracy"],
        "samples_per_s": len(training.ids) * len(rows) / seconds if seconds else None,
        "wall_s": progress.seconds + seconds + progress.epoch_seconds,
    }


def _scalars(summary: Row) -> Row:
    return {name: value for name, value in summary.items() if isinstance(value, int | float | str)}


def save_best(folder: RunFolder, training: Training) -> None:
    """Write the weights of the best epoch of a single run, if there is one."""
    if training.progress.best[0] is not None:
        artifacts.save_tensors(
            folder.path / "best.safetensors", training.best_weights(0), {"run": folder.read()["hashes"]["run"]}
        )


def publish(folder: RunFolder, target: Path, model: ModelConfig, training_data: Dataset, loss: str) -> None:
    """Put a finished run's best weights, and all that prediction needs, into the stage's artifacts."""
    manifest = training_data.manifest
    with artifacts.published_dir(target) as place:
        for name in ("best.safetensors", "metrics.jsonl", "run.json"):
            shutil.copyfile(folder.path / name, place / name)
        weights, _ = artifacts.load_tensors(place / "best.safetensors")
        description: dict[str, Any] = {
            "format": MODEL_FORMAT,
            "model": {**model.model_dump(), "loss": loss},
            "input": {"shape": manifest.shape, "dtype": manifest.dtype, "mean": manifest.mean, "std": manifest.std},
            "classes": manifest.classes,
            "task": manifest.task,
            "num_outputs": int(weights["output.bias"].size),
            "num_parameters": int(sum(array.size for array in weights.values())),
            "weights_sha256": artifacts.file_digest(place / "best.safetensors"),
            "run": folder.id,
        }
        artifacts.write_json(place / "model.json", description)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
