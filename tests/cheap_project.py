"""A project with the real dvc.yaml, in which each stage writes its own parameters and what it depends on in no time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.artifacts import CODE, STAGES
from pipeline.commands.reproduce import reproduce

ROOT = Path(__file__).resolve().parent.parent
Values = dict[str, Any]
COMMAND = r"""
import hashlib, json, pathlib, sys
name, params, deps, outs = json.loads(sys.argv[1])
values = json.loads(pathlib.Path("params.yaml").read_text())

if pathlib.Path("refused.txt").exists() and pathlib.Path("refused.txt").read_text() == name:
    sys.exit(3)

def at(key):
    node = values
    for part in key.split("."):
        node = node[part]
    return node

def digest(path):
    files = sorted(p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file() and p.name[0] != ".")
    return hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in files)).hexdigest()

if name == "code":
    files = {f"{outs[0]}/{stage}": stage for stage in params}
else:
    read = {dep: digest(pathlib.Path(dep)) for dep in deps}
    text = json.dumps({"params": {key: at(key) for key in params}, "read": read}, indent=1, sort_keys=True)
    places = [f"{out}/{part}" if "." not in out else out for out in outs for part in ("own.json", "train/labels.npy")]
    files = {place: f"{place.rpartition('/')[2]}\n{text}" for place in places}
for place, text in files.items():
    pathlib.Path(place).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(place).write_text(text)
with open("ran.txt", "a") as ran:
    ran.write(f"{name}\n")
"""
"""The command of every stage; an output without a suffix is a folder of two files."""


def make(folder: Path, without: Container[str] = ()) -> None:
    """Write the project: dvc.yaml with other commands, params.yaml as it is (in JSON, which is YAML, too)."""
    (folder / "stage.py").write_text(COMMAND)
    every = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
    stages = {name: stage for name, stage in every.items() if name not in without}
    for name, stage in stages.items():
        params = list(STAGES) if name == CODE else stage["params"]
        words = json.dumps([name, params, stage["deps"], outputs(stage)])
        stage["cmd"] = f"{sys.executable} -S stage.py '{words}'"
    (folder / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    for name in (
        "pipeline/a.py",
        "extensions.py",
        "conf/overrides.yaml",
        "conf/data/digits.yaml",
        "conf/data/other.yaml",
        "conf/model/backbone.yaml",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")
    for name in (".gitignore", ".dvcignore", ".dvc/config"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text((ROOT / name).read_text())
    (folder / "artifacts" / "study").mkdir(parents=True)
    write_values(yaml.safe_load((ROOT / "params.yaml").read_text()), folder)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=folder, check=True)


def outputs(stage: Values) -> list[str]:
    """The paths of a stage's outputs."""
    outs = [*stage.get("outs", []), *stage.get("metrics", [])]
    return [out if isinstance(out, str) else next(iter(out)) for out in outs]


def read_values() -> Values:
    """The parameters as they are."""
    values: Values = json.loads(Path("params.yaml").read_text())
    return values


def write_values(values: Values, folder: Path = Path()) -> None:
    """Other parameters."""
    (folder / "params.yaml").write_text(json.dumps(values, indent=1))


def ran() -> list[str]:
    """Reproduce everything; the stages whose command has run, in order."""
    Path("ran.txt").write_text("")
    reproduce()
    return Path("ran.txt").read_text().split()


def check_artifacts(values: Values) -> None:
    """Every file of every stage is of these parameters, and each stage has read what is there of the others."""
    seen: Values = {}
    for name, stage in pipeline_stages(values).items():
        if name == CODE:
            continue
        expected = {key: at(values, key.split(".")) for key in stage["params"]}
        for file in (file for out in outputs(stage) for file in ([Path(out)] if "." in out else Path(out).rglob("*.*"))):
            first, _, text = file.read_text().partition("\n")
            written = json.loads(text)
            assert (first, written["params"]) == (file.name, expected), file
            for dep, digest in written["read"].items():
                assert seen.setdefault(dep, digest) == digest, f"{file} has read another {dep} than other stages"
    assert len(seen) >= len(STAGES)


def pipeline_stages(values: Values) -> Values:
    """The stages of dvc.yaml with the values put in, one for each study: by other means than DVC's own."""
    found: Values = {}
    for name, stage in yaml.safe_load(Path("dvc.yaml").read_text())["stages"].items():
        if "matrix" in stage:
            for item in values["study"]["definitions"]:
                found[f"{name}@{item}"] = filled(stage, {**values, "item": {"name": item}})
        else:
            found[name] = filled(stage, values)
    return found


def filled(node: Any, values: Values) -> Any:
    """A part of dvc.yaml without templates."""
    if isinstance(node, dict):
        return {filled(key, values): filled(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(part, values) for part in node]
    if not isinstance(node, str):
        return node
    return re.sub(r"\$\{([\w.]+)\}", lambda named: str(at(values, named[1].split("."))), node)


def at(values: Any, key: Sequence[str]) -> Any:
    """The value of a key."""
    for name in key:
        values = values[name]
    return values


def leaves(values: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The keys of all values that are no section; a name may have dots."""
    if not isinstance(values, dict):
        return [above]
    return [key for name, inner in values.items() for key in leaves(inner, (*above, name))]
