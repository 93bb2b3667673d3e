"""The datasets and augmented copies of a study's runs: the pipeline's own, or others kept by digest in `runs/data/`."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import artifacts
from pipeline.closure import stage_digest
from pipeline.data.dataset import Dataset, Manifest, open_dataset
from pipeline.data.features import TESTED, TRAINED, as_features, check_views, dataset_features, made_by, views_features
from pipeline.data.views import RECORD, views_digest, write_view_folder
from pipeline.errors import DataError
from pipeline.kinds.extended import code_for
from pipeline.kinds.kind import FEATURES
from pipeline.prepare.build import build_dataset, dataset_digest
from pipeline.study.plan import Configuration
from pipeline.wording import counted


@dataclass(frozen=True)
class Material:
    """What a run is trained on, known before it is made."""

    kind: str
    """Of its rows: the data's own, or features of them."""
    dataset: str
    """Digest; likewise `views`."""
    views: str
    data_path: Path
    views_path: Path | None
    """None: no copies are stored."""


class Materials:
    """Finds, and where they are missing makes, what the runs of a study are trained on."""

    def __init__(self, own: Configuration, prepare: Path, augment: Path, device: str) -> None:
        """own: the pipeline's configuration, whose dataset and copies are in the folders `prepare` and `augment`."""
        self.splits: tuple[str, ...] = TRAINED
        self.own, self.prepare, self.augment, self.device = own, prepare, augment, device
        self.manifest = open_dataset(prepare).manifest
        self.made_on = artifacts.read_json(augment / RECORD)["device"] or device
        self.code = code_for(own.data.kind, stage_digest("prepare", own.data.kind))

    def reading(self, test: bool) -> Materials:
        """The same for a study that reads the test split, too, or does not."""
        found = copy(self)
        found.splits = TESTED if test else TRAINED
        return found

    def of(self, config: Configuration) -> Material:
        """Where what a run is trained on is, or will be: its dataset and copies, or features of them."""
        own = self._stored(config)
        made = made_by(config.model, replace(self.manifest, digest=own.dataset), self.device)
        if made is None:
            return own
        check_views(config.model, config.augment)
        return Material(FEATURES, made.digest, own.views, made.path(self.splits), own.views_path and made.views_path(own.views))

    def _stored(self, config: Configuration) -> Material:
        """Its dataset and copies themselves."""
        dataset, data_path = self.manifest.digest, self.prepare
        if (config.data, config.prepare) != (self.own.data, self.own.prepare):
            dataset = dataset_digest(config.data, config.prepare, self.manifest.source_digest, self.code)
            data_path = artifacts.runs_root() / "data" / dataset
        views, views_path = views_digest(config.augment, self.made_on), None
        if config.augment.active and config.augment.views:
            same = dataset == self.manifest.digest and config.augment == self.own.augment
            views_path = self.augment if same else artifacts.runs_root() / "data" / artifacts.digest([dataset, views])
        return Material(config.data.kind, dataset, views, data_path, views_path)

    def dataset(self, config: Configuration) -> Dataset:
        """Open a run's dataset, or the features of it; made where it is missing."""
        found = self._dataset(config)
        made = made_by(config.model, found.manifest, self.device)
        return dataset_features(made, found, self.splits) if made else found

    def _dataset(self, config: Configuration) -> Dataset:
        material = self._stored(config)
        path = material.data_path
        if not (path / "dataset.json").exists():
            with artifacts.held(path.with_name(f".{path.name}.lock")):
                self._prepare(config, material)
        return open_dataset(path)

    def foreseen(self, config: Configuration) -> Manifest:
        """Of a dataset that is not there, or of features of it: the pipeline's own stands for it, but for a fold's counts."""
        data = replace(self.manifest, counts=self._counts(config))
        made = made_by(config.model, data, self.device)
        return as_features(data, made.backbone.width) if made else data

    def _counts(self, config: Configuration) -> dict[str, int]:
        counts = self.manifest.counts
        if config.prepare.fold is None:
            return counts
        whole = counts["train"] + counts["val"] + (counts["test"] if self.own.prepare.fold else 0)
        test = round(whole / config.prepare.fold[1])
        val = round((whole - test) * config.prepare.val_fraction)
        return {"train": whole - test - val, "val": val, "test": test}

    def differences(self, config: Configuration, folds: bool = True) -> str:
        """In what a run's data differs from the pipeline's own, in words. folds: also in which part of it is tested."""
        pairs = [
            f"{section}.{key} = {value}"
            for section in ("data", "prepare", "augment")
            for key, value in getattr(config, section).model_dump().items()
            if value != getattr(getattr(self.own, section), key) and (folds or key != "fold")
        ]
        return ", ".join(pairs) or "the configuration"

    def _prepare(self, config: Configuration, material: Material) -> None:
        if (material.data_path / "dataset.json").exists():  # made by another runner just now
            return
        print(f"study: preparing the data as {self.differences(config)} asks", flush=True)
        with artifacts.published_dir(material.data_path) as folder:
            manifest = build_dataset(config.data, config.prepare, folder, self.code)
            if manifest.digest != material.dataset:
                raise DataError("the data has changed since `prepare` ran; run `regatta run` and then the study again")

    def make_views(self, config: Configuration) -> None:
        """Write a run's augmented copies where they are to be stored and are missing."""
        path = self._stored(config).views_path
        if path is None:
            return
        dataset = self._dataset(config)
        if not (path / RECORD).exists():
            with artifacts.held(path.with_name(f".{path.name}.lock")):
                self._write_views(config, dataset, path)
        if made := made_by(config.model, dataset.manifest, self.device):
            views_features(made, path)

    def _write_views(self, config: Configuration, dataset: Dataset, path: Path) -> None:
        if (path / RECORD).exists():  # made by another runner just now
            return
        import torch

        copies = counted(config.augment.views, "augmented copy")
        print(f"study: {copies} as {self.differences(config)} asks", flush=True)
        with artifacts.published_dir(path) as folder:
            write_view_folder(dataset, config.augment, folder, torch.device(self.made_on))
