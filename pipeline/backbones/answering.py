"""A pretrained network as a published model names it: its files beside that, or in a folder of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.backbones.folder import FOLDER, KEY, LAYOUT, WEIGHTS
from pipeline.backbones.loading import Extractor
from pipeline.backbones.named import fitted, opened
from pipeline.errors import ConfigError, StorageError
from pipeline.kinds.inputs import inputs_of
from pipeline.kinds.kind import FEATURES


class Featured(nn.Module):
    """Rows as stored to standardised features (B, width): the cast of a model whose network takes these."""

    def __init__(self, extract: Extractor, fit: Mapping[str, Any], device: torch.device | str) -> None:
        super().__init__()
        self.extract = extract
        self.standardise = inputs_of(FEATURES).to_input(dict(fit), [extract.backbone.width], device)

    def forward(self, rows: Any) -> Tensor:
        found = self.standardise(self.extract(rows))
        assert isinstance(found, Tensor)
        return found


def featured(model: Path, layout: str, described: Mapping[str, Any], data: Mapping[str, Any], device: str) -> Featured:
    """The cast of a model in a folder, whose model.json describes the network and the data's rows.

    ConfigError where that can't be used, StorageError where it is another one, or neither beside the model nor where it was.
    """
    beside, shape = model / FOLDER, tuple(data["shape"])
    path = Path(described["path"])
    if beside.is_dir():
        path = beside if layout == LAYOUT else beside / WEIGHTS
    try:
        backbone = fitted(opened(layout, path, data["kind"]), data["fit"], shape, data["lengths"])
    except ConfigError as error:
        if path.exists():
            raise
        raise StorageError(
            f"{model}/model.json: its features are made by {described['layout']} in {path}, which is not there; make the link "
            f"again with `regatta data link {path.name} FOLDER`, or train with model.backbone_kept=whole ({error})"
        ) from None
    if backbone.digest != described["digest"]:
        raise StorageError(
            f"{path}: another network than the one that {model}/model.json was trained with ({backbone.digest[:8]}, that was "
            f"{described['digest'][:8]}); take its files back, or say `regatta run {KEY}={layout}:{path}`"
        )
    return Featured(Extractor(backbone, shape, device), described["fit"], device)
