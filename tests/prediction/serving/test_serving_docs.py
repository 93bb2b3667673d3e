"""What docs/serve.md says is so: its commands are understood, and what it asks is answered."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from published import Case
from served import serving

from pipeline.cli import parsed
from pipeline.prediction.serving.refused import Limits

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "serve.md").read_text(encoding="utf-8")
LINES = [
    line.split("  #")[0].strip() for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()
]
ASKED = [line for line in LINES if line.startswith("curl ")]
TOKEN = "0123456789abcdef0123"
KINDS = {"rows": "a number", "texts": "texts"}
"""What is trained for an example that asks by JSON; files are photos."""


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("regatta ")])
def test_commands_are_understood(line: str) -> None:
    assert parsed(shlex.split(line)[1:]).command == "serve"


@pytest.mark.parametrize("line", ASKED)
def test_what_is_asked_is_answered(line: str, made: Callable[[str], Case], tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    field = next((field for field in KINDS if f'"{field}"' in line), None)
    case = made(KINDS[field] if field else "photos")
    for name, source in zip(("a.png", "b.png"), sorted(case.source.rglob("*.png")), strict=False):
        shutil.copyfile(source, tmp_path / name)
    (tmp_path / ".regatta-token").write_text(TOKEN)
    with serving(case.model, token=TOKEN if "Authorization" in line else None) as ask:
        command = line.replace("127.0.0.1:8000", f"127.0.0.1:{ask.port}")
        own = {"HOME": str(tmp_path), "NO_PROXY": "*"}
        done = subprocess.run(command, shell=True, cwd=tmp_path, env=os.environ | own, capture_output=True, check=True)
    said = json.loads(done.stdout)
    assert len(said["answers"]) == line.count("-F ") or (field and len(said["answers"]) == 1)
    assert said["problems"] == []


def test_limits_and_paths_are_those_of_the_server(made: Callable[[str], Case]) -> None:
    limits = Limits()
    for said in (f"`--max-mb` ({limits.body_bytes >> 20})", f"`--max-items` ({limits.items})", f"`--queue` ({limits.queue})",
                 f"in {limits.body_s:g} seconds"):  # fmt: skip
        assert said in TEXT
    own = parsed(["serve", "artifacts/train"])
    assert (own.max_mb << 20, own.max_items, own.queue) == (limits.body_bytes, limits.items, limits.queue)
    with serving(made("photos").model) as ask:
        paths = {str(resource.canonical) for resource in ask.server.app().router.resources()}
    assert paths == set(re.findall(r"^\| `(?:GET|POST) (/\w*)`", TEXT, re.MULTILINE))
    example = json.loads(re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)[1])  # type: ignore[index]
    assert list(example) == ["answers", "problems", "unseen"]
    assert list(example["answers"][0]) == ["input", "prediction", "classes"]
