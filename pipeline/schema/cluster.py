"""Where runs are computed. Of these keys only `reduce` can change a result."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.schema.base import Section

Positive = Annotated[int, Field(ge=1)]


class ClusterConfig(Section):
    """`cluster.*`."""

    kind: Literal["local", "ray"]
    """local: processes on this machine; ray: resident actors on a Ray cluster."""
    address: str | None
    """Of a running cluster's head, HOST:PORT, or "auto" for the one that this machine belongs to; null: start one here."""
    token_path: str | None
    """File with the cluster's token; null: what Ray's own environment says (RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH)."""
    workers: Positive
    """Processes that share each batch of a training; of a GPU each, where it trains on GPUs."""
    min_workers: Positive
    """So many are enough to go on with when a node does not come back."""
    gpus_per_worker: Annotated[float, Field(gt=0.0)]
    """Where it trains on GPUs; a fraction shares one GPU between workers."""
    max_gpus: Annotated[float, Field(gt=0.0)] | None
    """Never take more GPUs than this; null: as many as the workers need."""
    reduce: Literal["exact", "fast"]
    """exact: one worker's weights, bit for bit, on any number of them (train.shards >= workers); fast: but for rounding."""
    timeout_s: Annotated[float, Field(ge=5.0, le=3600.0)]
    """A worker that has been silent for so long is given up: it is frozen, or its network is cut."""

    @model_validator(mode="after")
    def _fits(self) -> ClusterConfig:
        problems = []
        if self.kind == "local" and self.workers > 1:
            problems.append(
                f"workers = {self.workers} needs kind = 'ray' (say cluster=ray); kind = 'local' trains in one process"
            )
        if self.min_workers > self.workers:
            problems.append(f"min_workers = {self.min_workers} must not exceed workers = {self.workers}")
        if self.gpus_per_worker > 1:
            problems.append(f"gpus_per_worker = {self.gpus_per_worker:g} must be at most 1: a worker trains on one GPU")
        if problems:
            raise ValueError("\n".join(problems))
        return self
