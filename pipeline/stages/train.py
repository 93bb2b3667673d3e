"""Train the network on the prepared data; publish the weights of the epoch with the best validation score."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.artifacts import stage_dir
from pipeline.mirror import Mirror, open_tracker
from pipeline.runs.find import NOTHING, Asked
from pipeline.runs.folder import RunFolder
from pipeline.runs.record import publish
from pipeline.schema.cluster import ClusterConfig
from pipeline.schema.model import ModelConfig
from pipeline.schema.tracking import TrackingConfig
from pipeline.schema.train import TrainConfig
from pipeline.stages.entry import read_params, run_stage, section
from pipeline.stages.supervised import supervise
from pipeline.train.prepared import opened
from pipeline.train.program import batch_note, program_of


def run(asked: Asked = NOTHING) -> None:
    """Read artifacts/prepare and artifacts/augment, write artifacts/train."""
    params = read_params()
    model, train = section(params, "model", ModelConfig), section(params, "train", TrainConfig)
    tracking = section(params, "tracking", TrackingConfig)
    note_warmup(train)
    on = opened(model, train)
    data, views = on.data, on.views
    cluster = section(params, "cluster", ClusterConfig)
    program, _ = program_of(model, train, data.manifest)
    if note := batch_note(train, program, data.manifest):
        print(note, flush=True)
    notes = [*program.spec.notes(), *([program.start.words(program.unfreeze_epoch)] if program.start else [])]
    print("".join(f"train: {note}\n" for note in notes), end="", flush=True)

    def mirrored(run: RunFolder) -> Mirror:
        return open_tracker(tracking, run.id, run.path, params)

    def fitted(member: TrainConfig) -> RunFolder:
        if cluster.workers > 1:
            from pipeline.distributed.training import fit_on_cluster

            return fit_on_cluster(model, member, data, views, mirrored, cluster, asked)
        from pipeline.train.fit import fit

        return fit(model, member, data, views, mirrored, asked)

    first, *others = [fitted(member) for member in members_of(train)]
    publish(first, stage_dir("train"), model, on.prepared.manifest, program, others, on.made)


def members_of(train: TrainConfig) -> Iterator[TrainConfig]:
    """The networks that are trained, each a run of its own that is found again, one after the other."""
    for i in range(train.members):
        seed = train.seed + i
        if train.members > 1:
            print(f"train: network {i + 1} of {train.members}, train.seed={seed}", flush=True)
        yield train.model_copy(update={"seed": seed, "members": 1})


def note_warmup(train: TrainConfig) -> None:
    """Say it where a run is too short for its warm-up."""
    if train.warmup_taken < train.warmup_epochs:
        print(
            f"train.warmup_epochs = {train.warmup_epochs:g}: {train.warmup_taken:g} are taken, "
            f"half of train.epochs = {train.epochs}",
            flush=True,
        )


if __name__ == "__main__":
    run_stage("train", lambda: supervise("train", run))
