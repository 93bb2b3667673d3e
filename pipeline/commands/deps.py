"""For developers: `python -m pipeline.commands.deps` writes every stage's import closure into dvc.yaml's deps."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.artifacts import write_bytes
from pipeline.closure import import_closure

PIPELINE = Path("dvc.yaml")


def main() -> None:
    """Renew dvc.yaml."""
    old = PIPELINE.read_text(encoding="utf-8")
    new = renewed(old)
    write_bytes(PIPELINE, new.encode())
    print("dvc.yaml is up to date" if new == old else "dvc.yaml: deps renewed")


def renewed(text: str) -> str:
    """dvc.yaml with the Python files of each stage's deps replaced by the import closure of the stage's file."""
    lines: list[str] = []
    stage = ""
    in_deps = False
    for line in text.splitlines():
        if in_deps and not line.startswith("      - "):
            lines += [f"      - {file}" for file in import_closure(stage_file(stage))]
            in_deps = False
        if found := re.match(r"  (\w+):$", line):
            stage = found[1]
        in_deps = in_deps or line == "    deps:"
        if not (in_deps and re.match(r"      - pipeline/.*\.py$", line)):
            lines.append(line)
    return "\n".join(lines) + "\n"


def stage_file(stage: str) -> str:
    """The file of a stage."""
    return f"pipeline/stages/{stage}.py"


if __name__ == "__main__":
    main()
