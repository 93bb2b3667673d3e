"""`regatta study NAME --beside PROJECT`: what the study has found here and in other projects, in one matrix; runs nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipeline.artifacts import make_dir, read_json, runs_root, stage_dir, write_bytes
from pipeline.commands.root import seen_from
from pipeline.errors import ConfigError


def beside(options: argparse.Namespace) -> int:
    """Tell the cells, and write the page below `runs/`."""
    from pipeline.report.study.beside import page
    from pipeline.report.study.matrix import grid_of

    if options.name is None:
        raise ConfigError("--beside: of which study? `regatta study NAME --beside PROJECT`; `regatta study` lists them")
    places = [Path.cwd(), *((options.stood / Path(other).expanduser()).resolve() for other in options.beside)]
    found = {name: _effects(place, options.name) for name, place in _named(places).items()}
    grids = {name: grid for name, effects in found.items() if (grid := grid_of(effects)) is not None}
    if lacking := [name for name in found if name not in grids]:
        raise ConfigError(f"study {options.name} of {', '.join(lacking)}: no full grid of two factors, so it is no matrix")
    try:
        html, lines = page(options.name, next(iter(found.values()))["question"], grids)
    except ValueError as error:
        raise ConfigError(f"study {options.name}: {error}; ask the same in each project") from None
    place = runs_root() / "beside" / f"{options.name}.html"
    make_dir(place.parent)
    write_bytes(place, html.encode())
    print("\n".join([*lines, f"The page is {seen_from(options.stood, place)}"]), flush=True)
    return 0


def _named(places: list[Path]) -> dict[str, Path]:
    """By the folder's name, with its parent's where two are called alike."""
    names = [place.name for place in places]
    return {place.name if names.count(place.name) == 1 else f"{place.parent.name}/{place.name}": place for place in places}


def _effects(project: Path, name: str) -> dict[str, Any]:
    path = project / stage_dir("study") / name / "effects.json"
    if not path.exists():
        raise ConfigError(f"{project}: study {name} has no results there; run it first: cd {project} && regatta study {name}")
    effects: dict[str, Any] = read_json(path)
    return effects
