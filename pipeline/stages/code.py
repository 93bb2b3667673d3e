"""A digest of the code of each stage, on which DVC lets the stage depend: `artifacts/code`.

Not a stage of the pipeline: it reads no parameters and is run anew by any edit in `pipeline/`, in about a second.
"""

from __future__ import annotations

from pipeline.artifacts import CODE, STAGES, published_dir, stage_dir, write_bytes
from pipeline.closure import stage_digest
from pipeline.stages.entry import run_program


def run() -> None:
    """Write a file per stage."""
    with published_dir(stage_dir(CODE)) as folder:
        for stage in STAGES:
            write_bytes(folder / stage, digest_file(stage))


def digest_file(stage: str) -> bytes:
    """What the file of a stage holds."""
    return f"{stage_digest(stage)}\n".encode()


if __name__ == "__main__":
    run_program(CODE, run)
