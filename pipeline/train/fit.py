"""One run in this process, from its configuration to the best weights: found, resumed or started, trained, recorded."""

from __future__ import annotations

import torch

from pipeline.data.dataset import Dataset
from pipeline.data.views import Views
from pipeline.errors import NumericsError
from pipeline.processes import busy_cores
from pipeline.runs.find import NOTHING, Asked, find_run
from pipeline.runs.folder import RunFolder
from pipeline.runs.identity import identity
from pipeline.runs.record import OpenTracker, Record, begin
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.device import chosen_device
from pipeline.train.keeper import Keeper
from pipeline.train.module import run_to_end
from pipeline.train.program import crowded_note, program_of, threads_for
from pipeline.train.training import Training
from pipeline.train.watching import Watching, tell_unwatched, watching


def fit(
    model: ModelConfig,
    train: TrainConfig,
    data: Dataset,
    views: Views,
    open_tracker: OpenTracker,
    asked: Asked = NOTHING,
) -> RunFolder:
    """Train one run to the end and return its folder.

    The same configuration, data and code find the same folder again: finished, it is returned as it is; interrupted, it
    goes on from its last saved step to the very bits that it would have reached. Raises Stopped, NumericsError,
    ConfigError, StorageError, BusyError.
    """
    device = chosen_device(train.device)
    program, lane = program_of(model, train, data.manifest)
    _set_threads(threads_for(program, train.threads, train.shards))
    about = data.manifest.kind, data.manifest.digest, views.digest, device.type
    this_run = identity(model, train, *about, prepared=data.manifest.features_of)
    folder, todo = find_run(this_run, asked)
    if todo == "done":
        tell_unwatched(train.callbacks, folder.read().get("callbacks", []), folder.id)
        return folder
    with folder.held():
        training = Training(program, [lane], data, [views], device)
        record = Record(folder, program, len(training.ids), torch.get_num_threads(), device.type)
        snapshot = begin(record, this_run, train, asked, resume=todo == "resume")
        if snapshot:
            training.restore(*snapshot)
        with record.shown(snapshot, open_tracker):
            keeper = RunKeeper(record, training, train.save_every_s)
            keeper.save()
            before = training.progress.num_logged
            _train(training, keeper, watching(train.callbacks, folder.log, before, train.profiler, folder.path))
    return folder


def _set_threads(num: int) -> None:
    if num > 1 and (note := crowded_note(num, busy_cores())):
        print(f"train: {note}", flush=True)
    torch.set_num_threads(num)


def _train(training: Training, keeper: RunKeeper, watched_by: Watching) -> None:
    try:
        run_to_end(training, keeper, watching=watched_by)
    except NumericsError:
        keeper.save()
        raise


class RunKeeper(Keeper):
    """Keeps a single run in its folder, mirrors its records and shows them."""

    def __init__(self, record: Record, training: Training, save_every_s: float) -> None:
        self.record, self.training, self.save_every_s = record, training, save_every_s

    def save(self) -> None:
        """The resume state, and a summary that says how far it goes."""
        self.record.save(self.training.state())

    def after_block(self, training: Training) -> None:
        self.record.step(training.progress)

    def after_epoch(self, training: Training) -> None:
        self.record.epoch(training.progress, training.latest_rows())
