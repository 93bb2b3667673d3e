"""`make audit`: is a vulnerability known of anything that is locked? Those of accepted.toml pass, with their reason.

Exit codes: 0 none; 1 one that is not accepted, or an accepted one that is no longer there; 3 the database of
advisories could not be asked about everything.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ACCEPTED = Path("dependencies/accepted.toml")
LOCKS = tuple(f"requirements{kind}.lock" for kind in ("-build", "", "-cuda", "-dev"))
"""Each by its name: pip-audit looks past a file that another one includes."""


class Found(NamedTuple):
    """A known vulnerability of a locked version."""

    package: str
    version: str
    names: tuple[str, ...]
    fixed: tuple[str, ...]


class NotAuditedError(Exception):
    """Something was not looked up."""


def main() -> int:
    """Ask, and say what was found."""
    accepted = read_accepted((ROOT / ACCEPTED).read_text(encoding="utf-8"))
    try:
        answer = asked([Path(sys.executable).with_name("pip-audit")])
        lines, code = judged(found_in(answer), accepted)
    except NotAuditedError as error:
        print(f"make audit: nothing is proved: {error}", file=sys.stderr)
        return 3
    print("\n".join([*lines, f"{len(answer['dependencies'])} packages were looked up"]))
    return code


def read_accepted(text: str) -> dict[tuple[str, str], str]:
    """The reason of each accepted vulnerability, by package and name."""
    entries = tomllib.loads(text).get("accepted", [])
    return {(e["package"], e["id"]): " ".join(e["reason"].split()) for e in entries}


def asked(program: Sequence[str | Path]) -> dict[str, Any]:
    """What pip-audit answers about all lock files; NotAuditedError where it could not ask."""
    files = [word for lock in LOCKS for word in ("--requirement", lock)]
    options = ["--format=json", "--progress-spinner=off", "--disable-pip", "--require-hashes"]
    done = subprocess.run([*program, *options, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise NotAuditedError(f"pip-audit got no answer ({said[:300]})") from None
    return answer


def found_in(answer: Mapping[str, Any]) -> list[Found]:
    """All vulnerabilities; NotAuditedError where a package was passed over."""
    skipped = [one for one in answer["dependencies"] if "skip_reason" in one]
    if skipped:
        raise NotAuditedError(
            f"{len(skipped)} of {len(answer['dependencies'])} packages could not be looked up, "
            f"such as {skipped[0]['name']}: {skipped[0]['skip_reason']}"
        )
    return [
        Found(one["name"], one["version"], (v["id"], *v["aliases"]), tuple(v["fix_versions"]))
        for one in answer["dependencies"]
        for v in one["vulns"]
    ]


def judged(found: Iterable[Found], accepted: Mapping[tuple[str, str], str]) -> tuple[list[str], int]:
    """A line for each vulnerability and each entry that is out of date, and the exit code."""
    lines, code, met = [], 0, set()
    for one in found:
        keys = [(one.package, name) for name in one.names if (one.package, name) in accepted]
        met |= set(keys)
        code = code if keys else 1
        remedy = f"mended in {', '.join(one.fixed)}: make lock UPGRADE=1" if one.fixed else "no mended release"
        said = f"accepted: {accepted[keys[0]]}" if keys else f"{remedy}, or give a reason in {ACCEPTED}"
        lines.append(f"{one.package} {one.version}: {one.names[0]}: {said}")
    for package, name in sorted(accepted.keys() - met):
        lines.append(f"{package}: {name} is no longer reported: take it out of {ACCEPTED}")
        code = 1
    return lines, code


if __name__ == "__main__":
    sys.exit(main())
