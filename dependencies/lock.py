"""`make lock`: what pyproject.toml asks for, every version pinned, with a hash for every file that may be installed.

Versions stay those of the lock files as long as pyproject.toml allows them; `make lock UPGRADE=1` takes the newest.
Hashes are always read anew: one that changes though its version did not is a reason to stop and look.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPU = Path("requirements-cpu.lock")
"""Kept by hand: uv does not see torch's own index."""
BUILD, BASE, CUDA, DEV = (Path(f"requirements{kind}.lock") for kind in ("-build", "", "-cuda", "-dev"))
HEADER = "# Made by `make lock`, installed by `make` (docs/dependencies.md).\n"
CPU_NOTE = f"# PyPI's hashes, and those of torch's own CPU builds, which are in {CPU}\n"
INCLUDED = {BASE: f"-r {BUILD}\n", DEV: f"-r {BASE}\n"}
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_PIN = re.compile(r"^[A-Za-z0-9._-]+(?:\[[^]]*\])?==[^\\\n]*", re.MULTILINE)
Entries = Mapping[str, str]
"""The text of each pin with its hashes, by its first line."""


def main() -> int:
    """Write the four files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--torch", required=True, metavar="VERSION")
    parser.add_argument("--upgrade", action="store_true")
    options = parser.parse_args()
    for path, text in locked(options.torch, upgrade=options.upgrade).items():
        (ROOT / path).write_text(text, encoding="utf-8")
    return 0


def locked(torch: str, *, upgrade: bool) -> dict[Path, str]:
    """The text of every lock file."""
    now = "" if upgrade else "\n".join(map(pins, (BUILD, BASE, CUDA, DEV)))
    base = resolved(now, f"torch=={torch}\n")
    versions = "".join(f"{line.rstrip()}\n" for line in base)
    both = resolved(now, versions, "--extra", "dev")
    parts: dict[Path, dict[str, str]] = {BUILD: {}, BASE: {}, CUDA: {}, DEV: {}}
    for line, entry in both.items():
        name = _NAME.match(line)
        assert name, line
        parts[place(name[0]) if line in base else DEV][line] = entry
    parts[BASE] = {
        line: with_hashes(entry, cpu_hashes(torch)) if line.startswith("torch==") else entry
        for line, entry in parts[BASE].items()
    }
    return {path: HEADER + INCLUDED.get(path, "") + "".join(part.values()) for path, part in parts.items()}


def pins(path: Path) -> str:
    """The versions of a lock file, without its hashes."""
    file = ROOT / path
    return "\n".join(_PIN.findall(file.read_text(encoding="utf-8"))) if file.exists() else ""


def place(name: str) -> Path:
    """The lock file of a package: what only a CUDA build of torch needs is apart, and what builds the others."""
    if name == "setuptools":
        return BUILD
    return CUDA if name.startswith(("nvidia-", "cuda-")) or name == "triton" else BASE


def resolved(now: str, constraints: str, *options: str) -> dict[str, str]:
    """What pyproject.toml needs on all its Pythons and platforms, preferring the versions that are locked now."""
    with tempfile.TemporaryDirectory(prefix="regatta-lock-") as folder:
        limits, result = Path(folder) / "limits", Path(folder) / "result"
        limits.write_text(constraints, encoding="utf-8")
        result.write_text(now, encoding="utf-8")
        subprocess.run(
            [
                Path(sys.executable).with_name("uv"), "pip", "compile", "--quiet", "pyproject.toml",
                "--generate-hashes", "--universal", "--python-version", "3.11", "--no-annotate",
                "--no-header", *options, "--constraint", limits, "--output-file", result,
            ],
            cwd=ROOT, check=True,
        )  # fmt: skip
        return entries(result.read_text(encoding="utf-8"))


def entries(text: str) -> dict[str, str]:
    """Each pin's whole text by its own line, without the hashes that follow it."""
    found = re.findall(r"^(\S[^\\\n]*)((?: \\\n +--hash=\S+)+\n)", text, re.MULTILINE)
    assert "".join(map("".join, found)) == text, "a pin without a hash"
    return {line: line + hashes for line, hashes in found}


def cpu_hashes(torch: str) -> list[str]:
    """The hashes of torch's CPU builds; SystemExit where those that are listed are of another version."""
    text = (ROOT / CPU).read_text(encoding="utf-8")
    listed = entries(re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    if list(listed) != [f"torch=={torch}+cpu"]:
        raise SystemExit(
            f"{CPU}: holds {', '.join(listed) or 'nothing'}, not torch=={torch}+cpu; put this version and the hashes of its "
            "wheels there, from the page torch/ of torch's own index of CPU builds"
        )
    return re.findall(r"sha256:(\w+)", text)


def with_hashes(entry: str, more: Iterable[str]) -> str:
    """A pin that allows further files, and says so."""
    line, *old = entry.rstrip("\n").split(" \\\n")
    hashes = sorted({*old, *(f"    --hash=sha256:{digest}" for digest in more)})
    return CPU_NOTE + " \\\n".join([line, *hashes]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
