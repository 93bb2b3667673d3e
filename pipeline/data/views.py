"""A training set's augmented copies: stored in a folder, or drawn by the policy as batches need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline import artifacts
from pipeline.data.dataset import Dataset, Stored, mapped
from pipeline.data.intact import check_intact, digests
from pipeline.errors import StorageError
from pipeline.kinds.keys import keys_of
from pipeline.kinds.kind import DEFAULT
from pipeline.kinds.views import policy_digest, told, views_of
from pipeline.schema.augment import AugmentConfig
from pipeline.schema.base import validated

if TYPE_CHECKING:
    import torch

RECORD = "augment.json"


@dataclass(frozen=True)
class Views:
    """Augmented copies of all training rows by number, and the policy that made them or, if there are none, draws them."""

    arrays: list[Stored]
    policy: AugmentConfig
    digest: str

    @property
    def drawn(self) -> bool:
        """Whether the policy draws them while training."""
        return self.policy.active and not self.arrays


def views_digest(policy: AugmentConfig, device: str) -> str:
    """The identity of a scaled policy's copies, stored ones made on a kind of device; "none" where nothing is on."""
    if not policy.active:
        return "none"
    return artifacts.digest([policy_digest(policy.kind, policy), policy.views, device if policy.views else None])


def write_view_folder(dataset: Dataset, policy: AugmentConfig, folder: Path, device: torch.device) -> int:
    """Write the copies that a scaled policy asks for, and what `open_views` needs; how many there are per sample."""
    from pipeline.data.view_files import write_views

    train = dataset.split("train")
    number = policy.views if policy.active else 0
    if number:
        every = np.arange(len(train))
        owners = every if train.rows is None else np.repeat(every, train.num_rows)
        ids = train.row_ids(owners, train.rows_of(every))
        write_views(train.stored, ids, policy, dataset.manifest.fit, folder, device)
    kind = views_of(dataset.manifest.kind)
    record = {
        "kind": dataset.manifest.kind,
        "digest": policy_digest(dataset.manifest.kind, policy),
        "engine": "kornia",
        "versions": kind.engine_versions(),
        "views": number,
        "policy": policy.model_dump(),
        "dataset": dataset.manifest.digest,
        "device": device.type if number else None,
        "told": told(dataset.manifest.kind, policy, dataset.manifest.fit),
        "stored_bytes": sum(path.stat().st_size for path in folder.glob("views-*")),
        "files": digests(folder),
    }
    artifacts.write_json(folder / RECORD, record)
    return number


def open_views(path: Path) -> Views:
    """What `write_view_folder` has written. StorageError where it is no longer that."""
    values: dict[str, Any] = artifacts.read_json(path / RECORD)
    policy = validated(keys_of(values.get("kind", DEFAULT)).POLICY, values["policy"], f"{path}/{RECORD}: policy")
    files = [artifacts.view_path(path, v) for v in range(policy.views if policy.active else 0)]
    if missing := [file for file in files if not file.exists()]:
        raise StorageError(f"{missing[0]}: missing; run `dvc repro augment` again")
    check_intact(path, values["files"], "augment")
    arrays = [_opened(path, v, values["files"]) for v in range(len(files))]
    made = artifacts.digest([values["digest"], len(files), values["device"]]) if policy.active else "none"
    return Views(arrays, policy, made)


def _opened(path: Path, view: int, files: Mapping[str, str]) -> Stored:
    """A view's rows; files: what the folder has."""
    offsets = artifacts.offsets_path(path, view)
    values = mapped(artifacts.view_path(path, view), "augment")
    return Stored(values, mapped(offsets, "augment") if offsets.name in files else None)
