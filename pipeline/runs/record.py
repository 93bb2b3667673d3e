"""What is kept and shown of one run: its folder from the first line to the published weights. Imports no torch."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline import artifacts, extensions
from pipeline.backbones.folder import FOLDER, copy_backbone
from pipeline.data.dataset import Manifest
from pipeline.data.features import Made
from pipeline.errors import ENDS, NumericsError, Stopped, StorageError
from pipeline.metrics import in_row
from pipeline.model.members import joined_weights
from pipeline.model.net import Spec
from pipeline.runs.display import EpochDisplay
from pipeline.runs.facts import commit, now, versions
from pipeline.runs.find import Asked, shorter_run
from pipeline.runs.folder import RunFolder
from pipeline.runs.identity import Identity
from pipeline.runs.state import ROWS_PER_EPOCH, Progress, Row, Snapshot
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig

if TYPE_CHECKING:
    from pipeline.model.balance import Balance  # which imports torch

MODEL_FORMAT = 6
"""5: without pretrained networks. 4: of one network's plain answers alone. 3: without how samples are read. 2: of rows of one
shape, one for each sample. 1: of built-in networks alone, so without the name of a module and the digest of its code."""


class Tracker(Protocol):
    """A mirror of the records."""

    def log(self, epoch: int, rows: list[Row]) -> None:
        """One epoch's rows."""

    def finish(self, summary: Row, exit_code: int) -> None:
        """The run has ended."""


OpenTracker = Callable[[RunFolder], Tracker]


class Told(Protocol):
    """What is told of itself in a record."""

    def told(self, unfreeze_epoch: int | None) -> dict[str, Any]: ...


class Whole(Protocol):
    """What makes whole networks of what a state keeps of them."""

    def tensors(self, part: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]: ...


class Outline(Protocol):
    """What a record needs of a training program."""

    @property
    def loss(self) -> str: ...
    @property
    def measure(self) -> str: ...
    @property
    def balance(self) -> Balance | None: ...
    @property
    def precision(self) -> str: ...
    @property
    def tta(self) -> str: ...
    @property
    def spec(self) -> Spec: ...
    @property
    def extended(self) -> bool: ...
    @property
    def kept(self) -> Whole: ...
    @property
    def start(self) -> Told | None: ...
    @property
    def unfreeze_epoch(self) -> int | None: ...
    @property
    def plan(self) -> Mapping[str, Any] | None: ...
    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...


class Record:
    """A run's folder, mirror and display; `progress` is how far it is, by its latest state or more."""

    def __init__(self, folder: RunFolder, program: Outline, num_train: int, num_threads: int, device: str) -> None:
        self.folder, self.program, self.num_train = folder, program, num_train
        self.num_threads, self.device = num_threads, device
        self.steps_per_epoch = math.ceil(num_train / program.batch_size)
        self.num_parameters = program.spec.layout().num_parameters
        self.progress = Progress.of(1)

    @contextmanager
    def shown(self, snapshot: Snapshot | None, open_tracker: OpenTracker) -> Iterator[None]:
        """Mirror and show what happens in the block, and write how it ends, by an error or without."""
        self.tracker = open_tracker(self.folder)
        self.progress = _progress(snapshot)
        log, monitor = self.folder.path / "log.txt", self.folder.read()["monitor"]
        self.display = EpochDisplay(log, self.program.epochs, self.steps_per_epoch, self.progress, monitor)
        self.display.say(self._headline())
        try:
            yield
        except NumericsError as error:
            self._end(error.exit_code, state="failed", stop_reason="not_finite", error=str(error))
            self.save_best()
            raise
        except Stopped as error:
            self._end(error.exit_code, state="stopped", stop_reason="signal", error=str(error))
            raise
        except BaseException as error:
            code = error.exit_code if isinstance(error, ENDS) else 1
            with contextlib.suppress(StorageError):  # the error itself says more than that its record can't be written
                self._end(code, state="stopped", stop_reason="error", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            self.display.close()
        self.save_best()
        self.folder.forget_older_state()
        self._end(0, state="finished", stop_reason=self.progress.ended[0] or "epochs", error=None)

    def save(self, snapshot: Snapshot) -> None:
        """The resume state, and a summary that says how far it goes."""
        progress = Progress.read(snapshot[1])
        self.folder.save_state(*snapshot, ended=progress.epoch >= self.program.epochs or all(progress.ended))
        self.folder.write(**self._summary(progress))
        if (progress.epoch, progress.step) >= (self.progress.epoch, self.progress.step):
            self.progress = progress

    def step(self, progress: Progress) -> None:
        """Show how far it is."""
        self.display.step(progress)

    def epoch(self, progress: Progress, rows: list[Row]) -> None:
        """Record, mirror and show an epoch that has ended; one that failed has no rows."""
        self.progress = progress
        if rows:
            artifacts.append_jsonl(self.folder.metrics, rows)
            self.tracker.log(progress.epoch, rows)
            self.display.epoch(progress, rows)

    def go_back(self, snapshot: Snapshot | None, reason: str) -> None:
        """Note and say that the run goes on from a state, or where there is none from its beginning; the records end there."""
        self.progress = _progress(snapshot)
        before, entry = self.folder.read(), _interruption(reason, self.progress)
        self.folder.write(restarts=before["restarts"] + 1, interruptions=[*before["interruptions"], entry])
        self.folder.cut_records(self.progress.num_rows[0])
        self.folder.cut_log(self.progress.num_logged)
        where = f"epoch {self.progress.epoch + 1}, step {self.progress.step}"
        self.display.say(f"train: {reason}; goes on from the last save, {where}")

    def save_best(self) -> None:
        """Write the weights of the best epoch, if there is one, out of the newest state."""
        tensors, progress = self.folder.load_state()
        if progress["best"][0] is not None:
            weights = self.program.kept.tensors(tensors["best"][0])
            artifacts.save_tensors(self.folder.path / "best.safetensors", weights, {"run": self.folder.read()["hashes"]["run"]})

    def _end(self, exit_code: int, **outcome: Any) -> None:
        summary = self.folder.write(**self._summary(self.progress), **outcome, finished=now())
        self.tracker.finish({k: v for k, v in summary.items() if isinstance(v, int | float | str)}, exit_code)

    def _summary(self, progress: Progress) -> Row:
        best = progress.best[0]
        seconds, num_epochs = progress.step_seconds, progress.num_rows[0] // ROWS_PER_EPOCH
        return {
            "num_epochs": progress.epoch,
            "best_epoch": best and best["epoch"],
            "best_val_loss": best and best["loss"],
            f"best_val_{self.program.measure}": best and best[self.program.measure],
            "best_monitored": best and best[in_row(self.folder.read()["monitor"])],
            "samples_per_s": self.num_train * num_epochs / seconds if seconds else None,
            "wall_s": progress.seconds + seconds + progress.epoch_seconds,
        }

    def _headline(self) -> str:
        done = self.progress
        where = f"goes on from epoch {done.epoch + 1}, step {done.step + 1}" if done.epoch or done.step else "starts"
        return (
            f"train: {self.folder.path} {where}: {self.num_parameters:,} parameters, {self.num_train:,} samples, "
            f"{self.program.epochs} epochs of {self.steps_per_epoch} steps on {self.device}"
        )


def begin(
    record: Record, identity: Identity, train: TrainConfig, asked: Asked, *, resume: bool, **more: Any
) -> Snapshot | None:
    """Write the facts of a run that starts or goes on, and give what it goes on from. more: further facts."""
    folder = record.folder
    shorter = shorter_run(identity, train.epochs, asked) if not resume and train.schedule == "constant" else None
    snapshot = folder.load_state() if resume else shorter.load_state() if shorter else None
    for left in folder.path.glob("*.partial-*"):  # by a writer that was killed
        left.unlink()
    if shorter:
        for this, its in ((folder.metrics, shorter.metrics), (folder.logged, shorter.logged)):
            if its.exists():
                artifacts.copy_whole(its, this)
    folder.cut_records(_progress(snapshot).num_rows[0])
    folder.cut_log(_progress(snapshot).num_logged)
    lost = [_interruption(asked.lost, _progress(snapshot))] if asked.lost else []
    new = {"restarts": len(lost) - 1, "started": now(), "continued_from": shorter and shorter.id}
    before: Row = folder.read() if resume else new
    facts = {
        "id": folder.id,
        "state": "running",
        "hashes": asdict(identity),
        "seed": train.seed,
        "commit": commit(),
        "versions": versions(),
        "device": record.device,
        "num_threads": record.num_threads,
        "monitor": train.monitor,
        "start": record.program.start and record.program.start.told(record.program.unfreeze_epoch),
        "callbacks": sorted({*before.get("callbacks", []), *train.callbacks}),
        "num_parameters": record.num_parameters,
        "num_train": record.num_train,
        "max_epochs": train.epochs,
        "restarts": before["restarts"] + 1,
        "interruptions": [*before.get("interruptions", []), *lost],
        **more,
    }
    if resume:
        older = [before["hashes"]["code"]] if before["hashes"]["code"] != identity.code else []
        folder.write(**facts, accepted_code=[*before.get("accepted_code", []), *older])
        _compare_threads(before["num_threads"], record.num_threads)
        return snapshot
    start = {"num_epochs": _progress(snapshot).epoch, "wall_s": 0.0, "fresh": asked.fresh}
    names = [name for name in (artifacts.PARAMS, Path("conf/overrides.yaml")) if name.exists()]
    files = {name.name: artifacts.copy_whole(name, folder.path / name.name) for name in names}
    if record.program.extended:
        files |= extensions.copy_to(folder.path)
    folder.write(**before | facts | start, files=files)
    return snapshot


def _progress(snapshot: Snapshot | None) -> Progress:
    """Of the one run that a snapshot holds."""
    return Progress.read(snapshot[1]) if snapshot else Progress.of(1)


def _interruption(reason: str, progress: Progress) -> Row:
    return {"time": now(), "reason": reason, "epoch": progress.epoch, "step": progress.step}


def _compare_threads(before: int, threads: int) -> None:
    if before != threads:
        print(f"train: begun with {before} threads, goes on with {threads}: the last bits may differ", flush=True)


def publish(
    folder: RunFolder,
    target: Path,
    model: ModelConfig,
    manifest: Manifest,
    program: Outline,
    others: Sequence[RunFolder] = (),
    made: Made | None = None,
) -> None:
    """Put a finished run's best weights, and all that prediction needs, into the stage's artifacts.

    manifest: of the prepared dataset; made: the features that a pretrained network makes of it, whose files go along where
    model.backbone_kept says so. others: runs that differ in their seeds alone, whose answers are averaged with its own. Records
    are the first run's.
    """
    every = [folder, *others]
    with artifacts.published_dir(target) as place:
        for name in ("metrics.jsonl", "run.json", *(() if others else ("best.safetensors",))):
            with artifacts.storage_errors(place / name):
                shutil.copyfile(folder.path / name, place / name)
        if others:
            weights = [artifacts.load_tensors(own.path / "best.safetensors")[0] for own in every]
            about = {"run": folder.read()["hashes"]["run"]}
            artifacts.save_tensors(place / "best.safetensors", dict(joined_weights(weights)), about)
        artifacts.load_tensors(place / "best.safetensors")  # whole, or StorageError
        members = [_member(own) for own in every] if others else []
        backbone = _backbone(made) if made else {"plan": program.plan} if program.plan else None
        if made and model.backbone_kept == "whole":
            copy_backbone(made.backbone, place / FOLDER)
        described = _described(folder, place / "best.safetensors", model, manifest, program, backbone)
        artifacts.write_json(place / "model.json", {**described, "members": members})
        if program.extended:  # the folder is all that an answer needs, wherever it is taken
            extensions.copy_to(place)
    for own in every:  # beside its own weights, for who starts from them
        described = _described(own, own.path / "best.safetensors", model, manifest, program, backbone)
        artifacts.write_json(own.path / "model.json", described)


def _backbone(made: Made) -> Row:
    """What is told of a pretrained network: which one it is, where it was, and how its features are standardised."""
    own = made.backbone
    fit = artifacts.read_json(made.path() / "dataset.json")["fit"]
    return {"layout": own.layout, "path": own.path.as_posix(), "digest": own.digest, "width": own.width, "fit": fit}


def _described(
    folder: RunFolder, weights: Path, model: ModelConfig, manifest: Manifest, program: Outline, backbone: Row | None
) -> dict[str, Any]:
    """What prediction needs beside a file of weights."""
    return {
        "format": MODEL_FORMAT,
        "model": {**model.model_dump(), "loss": program.loss, "precision": program.precision},
        "extensions": extensions.digest() if program.extended else None,
        "input": {
            "kind": manifest.kind,
            "shape": manifest.shape,
            "dtype": manifest.dtype,
            "fit": manifest.fit,
            "lengths": manifest.lengths,
            "windows": manifest.windows,
            "data": manifest.data,
            "details": manifest.details,
        },
        "classes": manifest.classes,
        "task": manifest.task,
        "targets": manifest.targets,
        "target_fit": manifest.target_fit,
        "balance": program.balance and {"mode": program.balance.mode, "shares": program.balance.shares},
        "tta": program.tta,
        "members": [],
        "num_outputs": program.spec.num_outputs,
        "num_parameters": program.spec.layout().num_parameters,
        "start": program.start and program.start.told(program.unfreeze_epoch),
        "backbone": backbone,
        "weights_sha256": artifacts.file_digest(weights),
        "run": folder.id,
    }


def _member(folder: RunFolder) -> Row:
    """What is told of one of several networks."""
    run = folder.read()
    return {name: run[name] for name in ("id", "seed", "best_epoch", "best_val_loss")}
