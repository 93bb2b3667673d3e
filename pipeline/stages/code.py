"""A digest of the code of each stage, on which DVC lets the stage depend: `artifacts/code`.

Not a stage of the pipeline: of the parameters it reads the data's kind alone, so that an edit of another kind's folder makes
nothing stale, and it is run anew by any edit in `pipeline/`, in about a second.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import yaml

from pipeline import extensions
from pipeline.artifacts import CODE, STAGES, copied_clone, published_dir, stage_dir, write_bytes
from pipeline.closure import stage_digest
from pipeline.errors import ConfigError, DataError
from pipeline.kinds.keys import kind_named
from pipeline.kinds.kind import BUILT_IN
from pipeline.schema.data import PATHS
from pipeline.stages.entry import read_params, run_program

TRAINING = ("train", "study")
"""The stages that run `extensions.py` to train; others read what these have made with it."""


def run() -> None:
    """Write a file per stage."""
    kind = kind_named(read_params())
    if clone := copied_clone():
        check_links(clone)
    check_extensions()
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
    """What the file of a stage holds for a kind of data: of those that train also a digest of the user's own code, and of all
    where the kind is the user's.
    """
    own = [extensions.digest()] if stage in TRAINING or kind not in BUILT_IN else []
    return "".join(f"{line}\n" for line in (stage_digest(stage, kind), *own)).encode()


def check_extensions() -> None:
    """ConfigError where `extensions.py` imports files of the user's own that no edit would make this stage see."""
    deps = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"][CODE]["deps"]
    unseen = [name for name in extensions.files() if not any(Path(name).is_relative_to(dep) for dep in deps)]
    if unseen:
        raise ConfigError(
            f"{extensions.FILE}: imports {', '.join(unseen)}, which dvc.yaml does not name; add `- {unseen[0]}` (or its "
            f"folder) to the deps of its stage {CODE}, so that an edit there is seen"
        )


def locked_digest(stage: str, kind: str) -> str:
    """What `dvc.lock` holds of that file."""
    return hashlib.md5(digest_file(stage, kind), usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    run_program(CODE, run)
