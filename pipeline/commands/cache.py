"""DVC's cache, looked at before anything is taken from it: DVC itself believes every entry that is read-only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dvc.repo import Repo
from dvc.stage.cache import StageCache, _get_cache_hash
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.db.local import LocalHashFileDB
from dvc_data.hashfile.state import StateNoop
from dvc_objects.errors import ObjectFormatError


class CheckedFiles(LocalHashFileDB):
    """The files, each named by the hash of its content; one that is not of its name is removed.

    Outside of `handing_out` a hash is computed again where time, size or inode have changed.
    """

    seen: set[str] | None = None
    """Names that were hashed since handing out began."""

    def check(self, oid: str, check_hash: bool = True, _info: Any = None) -> Any:
        """ObjectFormatError where the content is another than the name says."""
        known = self.state
        if self.seen is not None and oid not in self.seen:
            self.state = StateNoop()
        try:
            # Not that of LocalHashFileDB, which ends at a read-only file.
            meta = HashFileDB.check(self, oid, check_hash, _info)
        except ObjectFormatError:
            print(removed(self.oid_to_path(oid)), flush=True)  # type: ignore[no-untyped-call]
            raise
        finally:
            self.state = known
        if self.seen is not None:
            self.seen.add(oid)
        return meta

    def add(self, *what: Any, on_error: Any = None, **how: Any) -> int:
        """Keep files; what can't be copied is an error: DVC itself says so and notes all of it as kept (a full disk)."""
        return int(super().add(*what, **how))

    @contextmanager
    def handing_out(self) -> Iterator[None]:
        """Hash what is taken, each file once: a disk changes bytes without changing a file's time."""
        self.seen = set()
        try:
            yield
        finally:
            self.seen = None


class CheckedRuns(StageCache):  # type: ignore[misc]  # DVC has no types
    """What stages have written under which parameters and inputs: DVC's run cache."""

    def restore(self, *what: Any, **how: Any) -> None:
        """Give a stage its outputs of an earlier run back, hashed anew."""
        with self.repo.cache.local.handing_out():
            super().restore(*what, **how)

    def _load_cache(self, key: str, value: str) -> Any:
        """An entry, if it is what its own name, a hash of it, says."""
        entry = super()._load_cache(key, value)
        if entry is None or _get_cache_hash(entry) == value:
            return entry
        path = self._get_cache_path(key, value)
        os.unlink(path)
        print(removed(path), flush=True)
        return None


def obtainable(project: Repo) -> list[Any]:
    """The outputs that are not as `dvc.lock` has them and that the cache holds whole: what a checkout may write."""
    with project.cache.local.handing_out():
        outs = [out for out in project.index.outs if out.use_cache and out.hash_info and out.workspace_status()]
        return [out for out in outs if not out.changed_cache()]


def removed(path: str) -> str:
    """What is said of an entry that was removed."""
    return f"{os.path.relpath(path)}: no longer what DVC has kept there (torn or changed), so it is removed and not used"
