"""What the README says is so: its commands are run, its files exist, its numbers are those of the code."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import errors, extensions
from pipeline.cli import parsed
from pipeline.kinds.inputs import Taken
from pipeline.model.specs import spec_of

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.split("  #")[0].strip()
]
OWN_NETWORK = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1]
NEW_LABELS = {"oak": 0, "yew": 1}


def regatta_commands():
    return [shlex.split(command)[1:] for command in COMMANDS if command.startswith("regatta ")]


def table_paths():
    """What stands between backquotes in the first column of the table of files."""
    table = TEXT[TEXT.index("## Files") : TEXT.index("Exit codes")]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    for cell in cells:
        names = re.findall(r"`([^`]+)`", cell)
        folder = names[0].rpartition("/")[0] if not names[0].endswith("/") else ""
        yield names[0]
        yield from (f"{folder}/{name}" if folder else name for name in names[1:])


def test_it_is_short_and_plain():
    assert TEXT.count("\n") <= 150
    assert TEXT.isascii()
    assert re.findall(r"\b(?:lane|pack|cell|view)s?\b", TEXT, re.IGNORECASE) == []


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert targets
    assert [target for target in targets if not (ROOT / target).is_file()] == []


def test_every_file_of_the_table_exists_and_every_module_is_in_it():
    listed = set(table_paths())
    assert [path for path in listed if not (ROOT / path).exists()] == []
    modules = {path.name for path in (ROOT / "pipeline").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    told = {Path(path).name for path in listed if path.startswith("pipeline/")}
    assert modules - {"__init__.py"} == told


def test_exit_codes_are_those_of_the_errors():
    told = {int(code) for code in re.findall(r"(\d+) [a-z]", re.search(r"Exit codes: (.*)", TEXT)[1])}
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.ENDS)]
    assert told == {0} | {error.exit_code for error in classes}


@pytest.mark.parametrize("words", regatta_commands(), ids=" ".join)
def test_commands_are_understood(words):
    assert parsed(words).command == words[0]


def test_the_network_of_the_readme_is_one_as_it_stands_there(tmp_path, monkeypatch):
    (tmp_path / extensions.FILE).write_text(OWN_NETWORK)
    monkeypatch.setattr(extensions, "_unpacked", [tmp_path])
    (command,) = (words for words in regatta_commands() if "model=module" in words)
    keys = dict(word.split("=") for word in command[1:])
    spec = spec_of(
        {"arch": "module", "name": keys["model.name"], "keys": {"width": int(keys["model.keys.width"])}, "compile": False},
        Taken((1, 8, 8)),
        10,
    )
    spec.check(2)
    assert spec.layout().num_parameters > 1000


def test_make_knows_what_the_readme_names():
    targets = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = next(row for row in TEXT.splitlines() if row.startswith("| `Makefile`")).split("|")[2].split(",")
    assert {name.strip() for name in named} | {"venv", "venv-dev"} == set(targets)
    assert {command.split()[1] for command in COMMANDS if command.startswith("make ")} <= set(targets)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A fresh clone of what Git holds or would take, in a home with the README's example data."""
    home = tmp_path_factory.mktemp("home")
    folder = home / "regatta"
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(lambda name: name and (ROOT / name).is_file(), names.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    make_data(home)
    runner = Runner(folder, home)
    runner("git init -q .")
    runner("git add -A")
    runner("git config user.name a && git config user.email a@b && git commit -qm start")
    return runner


class Runner:
    """Runs commands in the clone as a person with an active environment does."""

    def __init__(self, folder, home):
        self.folder, self.home = folder, home

    def __call__(self, command, expected=0):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = os.environ | {"HOME": str(self.home), "PATH": path, "PYTHONPATH": str(self.folder)}
        done = subprocess.run(command, shell=True, cwd=self.folder, env=env, capture_output=True, text=True)
        assert done.returncode == expected, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


def make_data(home):
    """~/photos, ~/leaves and ~/cifar10, noise around one brightness per class, ~/houses.csv, ~/reviews.csv and ~/recordings, a
    tone per class."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    images = (rng.integers(0, 60, (200, 16, 16)) + labels[:, None, None] * 150).astype(np.uint8)
    names = list(NEW_LABELS)
    rows = []
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        for folder in (home / "photos" / names[label], home / "leaves"):
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{names[label]}")
    (home / "leaves" / "leaves.csv").write_text("image,kind\n" + "\n".join(rows) + "\n")
    rooms, areas = rng.integers(1, 8, 200), rng.uniform(20, 200, 200)
    houses = [f"{n},{area:.1f},{20_000 * n + 3000 * area:.0f}" for n, area in zip(rooms, areas, strict=True)]
    (home / "houses.csv").write_text("rooms,area,price\n" + "\n".join(houses) + "\n")
    words = {"good": "a fine story well told", "bad": "dull and far too long"}
    reviews = [f"{words[name]} number {i},{name}" for i in range(100) for name in words]
    (home / "reviews.csv").write_text("review,stars\n" + "\n".join(reviews) + "\n")
    for i in range(100):
        low_or_high = ("low", "high")[i % 2]
        tone = np.sin(np.arange(4000) * (0.1, 0.6)[i % 2] + i) + 0.3 * rng.standard_normal(4000)
        (home / "recordings" / low_or_high).mkdir(parents=True, exist_ok=True)
        with wave.open(str(home / "recordings" / low_or_high / f"{i}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes((8000 * tone).astype("<i2").tobytes())
    (home / "cifar10").mkdir()
    encoded = [{"bytes": (home / "leaves" / f"{i}.png").read_bytes(), "path": None} for i in range(200)]
    pq.write_table(pa.table({"image": encoded, "label": labels}), home / "cifar10" / "images.parquet")


@pytest.mark.slow
def test_every_command_of_the_readme_runs_in_a_fresh_clone(clone):
    """In its order, with training shortened; the two make commands are what .ci/run runs."""
    short = "train.epochs=3"
    for command in COMMANDS:
        if command.startswith("regatta run data="):
            clone(f"{command} {short} study=none --reset")
        if "data.path=~/photos" in command:  # the network for them is there
            clone(next(each for each in COMMANDS if each.startswith("regatta predict")))
    assert "The report is artifacts/report/index.html" in clone(f"regatta run {short} --reset")
    assert "Nothing had to be run again" in clone("regatta run")
    run_id = json.loads((clone.folder / "artifacts/train/run.json").read_text())["id"]
    (clone.folder / "extensions.py").write_text(OWN_NETWORK)
    for command in COMMANDS:
        if not command.startswith(("make ", "regatta run data=", "regatta predict")):
            clone(command.replace("restore RUN", f"restore {run_id}").replace("train.epochs=50", "train.epochs=4"))
