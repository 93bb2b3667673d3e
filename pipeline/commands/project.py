"""DVC's view of the project, in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from dvc.dependency.param import ParamsDependency
from dvc.ignore import DvcIgnoreFilter
from dvc.repo import Repo

from pipeline.commands import dvc_files
from pipeline.commands.cache import CheckedFiles, CheckedRuns
from pipeline.data.watch import Watch
from pipeline.errors import ConfigError


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

    def save(self, stage: Any) -> None:
        if self.inputs:
            self.inputs.check()
        super().save(stage)


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

    @contextmanager
    def watched(self, stage: Any) -> Iterator[None]:
        """An error, and nothing remembered, where what a stage reads changes while it runs and until DVC has hashed it."""
        self.stage_cache.inputs = inputs = _Inputs(stage)
        yield
        inputs.check()
