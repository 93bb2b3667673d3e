"""DVC's view of the project, in this process."""

from __future__ import annotations

import io
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from dvc.dependency.param import ParamsDependency
from dvc.fs import LocalFileSystem
from dvc.ignore import DvcIgnoreFilter
from dvc.repo import Repo

from pipeline.artifacts import PARAMS
from pipeline.commands import dvc_files
from pipeline.commands.cache import CheckedFiles, CheckedRuns
from pipeline.config import Values, params_text
from pipeline.errors import ConfigError
from pipeline.prepare.watch import Watch


class _Regular(DvcIgnoreFilter):  # type: ignore[misc]  # DVC has no types
    """Without links that lead nowhere or to themselves, on which DVC fails, and pipes, for which it waits for ever."""

    def __call__(self, root: str, dirs: list[str], files: list[str], **how: Any) -> tuple[list[str], list[str]]:
        dirs, files = super().__call__(root, dirs, files, **how)
        return dirs, [name for name in files if os.path.isfile(os.path.join(root, name))]


class _Inputs:
    """What a stage reads, as it is before it starts."""

    def __init__(self, stage: Any) -> None:
        self.reader = stage.addressing
        self.params = {dep: dep.get_hash().value for dep in stage.deps if isinstance(dep, ParamsDependency)}
        self.files = Watch([Path(dep.fs_path) for dep in stage.deps if dep not in self.params])

    def check(self) -> None:
        """DataError where a file is no longer as it was, ConfigError where the stage's parameters are not."""
        self.files.check(self.reader)
        for dep, before in self.params.items():
            now = dep.get_hash().value
            changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
            if changed:
                raise ConfigError(
                    f"{dep}: {', '.join(changed)} changed while {self.reader} was at work, so what it has made is not kept; "
                    "say the same command again"
                )


class _Runs(CheckedRuns):
    """DVC's memory of what a stage has made of which inputs: nothing goes in while those are changing.

    DVC hashes a stage's inputs after it has run, too: what was made of the old ones would be remembered as of the new ones.
    """

    inputs: _Inputs | None = None
    """Of the stage at work, until they are found as they were."""

    def restore(self, stage: Any, *what: Any, **how: Any) -> None:
        """The first thing that DVC asks for a stage that it runs: one that is up to date costs no look at its inputs."""
        self.inputs = _Inputs(stage)
        super().restore(stage, *what, **how)

    def save(self, stage: Any) -> None:
        self.check_inputs()
        super().save(stage)

    def check_inputs(self) -> None:
        """An error where they have changed; once for a stage."""
        inputs, self.inputs = self.inputs, None
        if inputs:
            inputs.check()


class Project(Repo):  # type: ignore[misc]
    """Opened with DVC's own files mended. A link that leads nowhere is hashed as soon as it leads to a file.

    What it takes from its cache is looked at first.
    """

    def __init__(self) -> None:
        dvc_files.mend()
        super().__init__()
        # The same object, configured by DVC, but with a check of its own.
        self.cache.local.__class__ = CheckedFiles
        self.stage_cache = _Runs(self)

    @cached_property
    def dvcignore(self) -> DvcIgnoreFilter:
        """What is left out, DVC's own `.dvcignore` included."""
        return _Regular(self.fs, self.root_dir)

    def reproduce_stage(self, stage: Any, force: bool, **how: Any) -> Any:
        """Run a stage that is not up to date, or all the same with `force`; the stage, or None where nothing had to run.

        An error, and nothing remembered, where what it reads changes while it runs and until DVC has hashed it.
        """
        self.stage_cache.inputs = _Inputs(stage) if force else None  # then DVC does not ask for what it remembers
        ran = stage.reproduce(force=force, **how)
        self.stage_cache.check_inputs()  # of a stage that DVC does not remember
        return ran


def foreseen(values: Values) -> LocalFileSystem:
    """The files of the project with other values in params.yaml, which DVC reads in them; nothing is written."""
    return _Foreseen(os.path.abspath(PARAMS), params_text(values))


class _Foreseen(LocalFileSystem):  # type: ignore[misc]
    def __init__(self, path: str, text: str) -> None:
        super().__init__()
        self.foreseen, self.text = path, text

    def _is_foreseen(self, path: Any) -> bool:
        return isinstance(path, str) and os.path.abspath(path) == self.foreseen

    def open(self, path: str, mode: str = "r", **how: Any) -> Any:
        return io.StringIO(self.text) if self._is_foreseen(path) else super().open(path, mode=mode, **how)

    def exists(self, path: Any, **how: Any) -> Any:
        return self._is_foreseen(path) or super().exists(path, **how)

    def isdir(self, path: str) -> bool:
        return not self._is_foreseen(path) and bool(super().isdir(path))
