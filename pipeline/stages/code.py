"""A digest of the code of each stage, on which DVC lets the stage depend: `artifacts/code`.

Not a stage of the pipeline: of the parameters it reads the data's kind alone, so that an edit of another kind's folder makes
nothing stale, and it is run anew by any edit in `pipeline/`, in about a second.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.artifacts import CODE, STAGES, copied_clone, published_dir, stage_dir, write_bytes
from pipeline.closure import stage_digest
from pipeline.errors import DataError
from pipeline.kinds.keys import kind_named
from pipeline.schema.data import PATHS
from pipeline.stages.entry import read_params, run_program


def run() -> None:
    """Write a file per stage."""
    kind = kind_named(read_params())
    if clone := copied_clone():
        check_links(clone)
    with published_dir(stage_dir(CODE)) as folder:
        for stage in STAGES:
            write_bytes(folder / stage, digest_file(stage, kind))


def check_links(clone: Path) -> None:
    """DataError where DVC has copied the clone without the links to the data, on which it would fail with "[Errno 2]"."""
    data = read_params()["data"]
    for key in PATHS:
        if (clone / data[key]).exists() and not Path(data[key]).exists():
            raise DataError(
                f"data.{key} = {data[key]}: a link of the clone, not of the copy that `dvc exp run --temp` makes of it; say "
                f"`regatta run --isolated KEY=VALUE` instead, or `dvc exp run --temp --copy-paths {data[key]}` to copy the data"
            )


def digest_file(stage: str, kind: str) -> bytes:
    """What the file of a stage holds for a kind of data."""
    return f"{stage_digest(stage, kind)}\n".encode()


def locked_digest(stage: str, kind: str) -> str:
    """What `dvc.lock` holds of that file."""
    return hashlib.md5(digest_file(stage, kind), usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    run_program(CODE, run)
