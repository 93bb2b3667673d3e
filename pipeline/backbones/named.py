"""The pretrained network that a configuration names: a published one in its folder, or one of the user's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.backbones import folder, own
from pipeline.backbones.folder import LAYOUT, Backbone, check_installed, refused
from pipeline.kinds.kind import Fit
from pipeline.kinds.pretrained import Fed, part_of

if TYPE_CHECKING:
    from pipeline.kinds.pretrained import Recipe


_TO_COME: ContextVar[Mapping[Path, Path]] = ContextVar("links to come", default={})  # noqa: B039 - it is never changed


@contextmanager
def leading_to(links: Mapping[Path, Path]) -> Iterator[None]:
    """Within it, networks that are named by links yet to be made are looked at where these will lead. links: their targets."""
    token = _TO_COME.set(links)
    try:
        yield
    finally:
        _TO_COME.reset(token)


def opened(layout: str, path: Path, kind: str) -> Backbone:
    """For samples of a kind. layout: hf, or a name in BACKBONES; ConfigError says what of it can't be used."""
    path = _TO_COME.get().get(path, path)
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
