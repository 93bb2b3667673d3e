"""The pretrained network that a configuration names: a published one in its folder, or one of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.backbones import folder, own
from pipeline.backbones.folder import LAYOUT, Backbone, check_installed, refused
from pipeline.kinds.kind import Fit
from pipeline.kinds.pretrained import Fed, part_of

if TYPE_CHECKING:
    from pipeline.kinds.pretrained import Recipe


def opened(layout: str, path: Path, kind: str) -> Backbone:
    """For samples of a kind. layout: hf, or a name in BACKBONES; ConfigError says what of it can't be used."""
    return folder.opened(path, kind) if layout == LAYOUT else own.opened(layout, path, kind)


def fed(backbone: Backbone) -> Fed:
    """How it gets its inputs."""
    return feeding(backbone.kind, own_code=backbone.is_own)


def feeding(kind: str, *, own_code: bool) -> Fed:
    """The same by what of it is kept in a plan."""
    return own.Own(kind) if own_code else part_of(kind)


def fitted(backbone: Backbone, fit: Fit, shape: Sequence[int], lengths: Sequence[int] | None) -> Backbone:
    """The same for such rows; ConfigError where it can't take them. Imports torch for one of the user's own."""
    if why := fed(backbone).misfit(backbone.recipe, fit, shape):
        raise refused(backbone.path, why, backbone.layout if backbone.is_own else LAYOUT)
    if not backbone.is_own:
        return backbone
    known: Recipe = {**backbone.recipe, "fit": dict(fit)}
    form = own.Own(backbone.kind).taken(known, shape, lengths)
    return replace(backbone, recipe=known, input=form.shape, width=own.tried(backbone, form))


def check_library(layout: str) -> None:
    """ConfigError where the library is not there that builds a published network."""
    if layout == LAYOUT:
        check_installed()
