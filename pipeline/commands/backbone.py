"""`regatta backbone get hf:NAME@REVISION`: a published network below `data/`, from where there is a network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline.artifacts import read_json
from pipeline.backbones.folder import KEY, LAYOUT, SOURCE
from pipeline.backbones.hub import COMMIT, Offered, fetched, named, offered, there_already
from pipeline.commands.data import DATA
from pipeline.errors import ConfigError
from pipeline.wording import bytes_told


def backbone(options: argparse.Namespace) -> int:
    name, revision = named(options.network)
    place = Path(options.into) if options.into else DATA / name.rpartition("/")[2]
    pinned = revision is not None and COMMIT.fullmatch(revision) is not None
    if not (pinned and there_already(name, str(revision), place)):
        found = offered(name, revision)
        if not pinned:
            print(f"{name}: {revision or 'the newest'} is {LAYOUT}:{name}@{found.revision}", flush=True)
        if fetched(found, place, lambda kind, num_bytes: _agreed(found, kind, num_bytes, yes=options.yes)) is None:
            raise ConfigError(f"{LAYOUT}:{name}: not fetched; say --yes where nobody can be asked")
    print(f"{place} is {LAYOUT}:{name}@{read_json(place / SOURCE)['revision']}; say `regatta run {KEY}={LAYOUT}:{place}`")
    return 0


def _agreed(found: Offered, kind: str, num_bytes: int, *, yes: bool) -> bool:
    """Show what it is, and ask."""
    licence = found.licence or "none is stated"
    print(f"{found.name}: takes data of kind {kind}; licence: {licence}; {bytes_told(num_bytes)} to fetch", flush=True)
    if yes:
        return True
    return sys.stdin.isatty() and input("Fetch it? [y/N] ").strip().lower() in ("y", "yes")
