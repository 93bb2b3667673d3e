"""What the pipeline's own training takes: the prepared dataset and its copies, or the features of both."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.artifacts import stage_dir
from pipeline.data.dataset import Dataset, open_dataset
from pipeline.data.features import Made, check_views, features_of, made_by
from pipeline.data.views import Views, open_views
from pipeline.schema.model import ModelConfig
from pipeline.schema.train import TrainConfig
from pipeline.train.device import device_type
from pipeline.train.program import program_of


@dataclass(frozen=True)
class Prepared:
    """Open to be read."""

    prepared: Dataset
    made: Made | None
    """What a pretrained network makes of it; None: there is no such network."""
    data: Dataset
    """What is trained on: the prepared dataset or its features; likewise `views`."""
    views: Views


def opened(model: ModelConfig, train: TrainConfig) -> Prepared:
    """What lies in artifacts/; features are made where they are missing."""
    prepared, views = open_dataset(stage_dir("prepare")), open_views(stage_dir("augment"))
    check_views(model, views.policy)
    made = made_by(model, prepared.manifest, device_type(train.device))
    if made is None:
        return Prepared(prepared, None, prepared, views)
    program_of(model, train, prepared.manifest)  # what can't be trained is refused before features are made
    return Prepared(prepared, made, *features_of(made, prepared, stage_dir("augment")))
