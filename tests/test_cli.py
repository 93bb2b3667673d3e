from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import cli

Command = Callable[..., str]
ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "ray", "wandb", "pandas", "pytorch_lightning", "kornia", "dvc", "hydra", "numpy", "pydantic")


def imported(code: str, *names: str) -> list[str]:
    """Which of these modules a program has imported at its end."""
    found = f"\nimport sys\nprint([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + found], capture_output=True, text=True, check=True, cwd=ROOT)
    return [name for name in names if repr(name) in done.stdout.splitlines()[-1]]


def test_help_imports_nothing_heavy() -> None:
    code = "import contextlib, pipeline.cli\nwith contextlib.suppress(SystemExit):\n    pipeline.cli.main(['--help'])"
    assert imported(code, *HEAVY, "argparse") == ["argparse"]


def test_composing_imports_no_training() -> None:
    assert imported("import pipeline.commands.run", "torch", "ray", "wandb", "pandas", "dvc", "numpy") == ["numpy"]


def test_outside_of_a_project_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["runs"]) == 2
    assert "not a project (no dvc.yaml and conf/config.yaml here or above)" in capsys.readouterr().err


def test_dvc_keeps_its_pickles_where_nobody_else_can_write(project: Path, regatta: Command) -> None:
    place = project / ".dvc" / "tmp" / "site"
    place.mkdir(parents=True)
    place.chmod(0o777)  # as DVC itself would make it
    regatta("run", "--dry-run")
    assert place.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in place.iterdir()] == ["repo"]


def test_a_place_for_dvc_that_somebody_named_is_left_to_them(
    project: Path, monkeypatch: pytest.MonkeyPatch, regatta: Command
) -> None:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(project / "named"))
    regatta("run", "--dry-run")
    assert (project / "named" / "repo").is_dir()
    assert not (project / ".dvc" / "tmp" / "site").exists()


def test_overrides_may_stand_around_options() -> None:
    options = cli.parsed(["run", "data=folder", "--dry-run", "model.dropout=0.5", "~train.epochs", "--force", "+a.b=1"])
    assert options.overrides == ["data=folder", "model.dropout=0.5", "~train.epochs", "+a.b=1"]
    assert options.dry_run
    assert options.force


@pytest.mark.parametrize("words", [["run", "--dryrun"], ["compose", "model.dropout=1"], ["runs", "x"], ["nothing"], []])
def test_unknown_arguments_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.parsed(words)
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_the_command_and_the_module_are_one(regatta: Command) -> None:
    assert regatta("compose") == "params.yaml is what conf/ says\n"
    script = Path(sys.executable).parent / "regatta"
    done = subprocess.run([script, "compose"], capture_output=True, text=True, check=True)
    assert done.stdout == "params.yaml is what conf/ says\n"
