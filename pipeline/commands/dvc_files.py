"""DVC's own files, which it does not write whole: `dvc.lock` taken back where it is torn, locks of the dead removed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.artifacts import make_dir, storage_errors, write_bytes
from pipeline.errors import ConfigError
from pipeline.processes import is_at_work

LOCK_FILE = Path("dvc.lock")
TMP = Path(".dvc/tmp")
KEPT = TMP / "regatta" / LOCK_FILE
"""The last `dvc.lock` that was whole."""
HOLDERS = TMP / "rwlock"
"""JSON: which processes read and write which paths."""


def mend() -> None:
    """Put DVC's files right, and say what was wrong; ConfigError where only the user can."""
    mend_lock_file()
    mend_holders()


def keep_lock_file() -> None:
    """Keep a copy of `dvc.lock`, which is whole now."""
    if LOCK_FILE.exists():
        make_dir(KEPT.parent)
        with storage_errors(LOCK_FILE):
            content = LOCK_FILE.read_bytes()
        if not KEPT.exists() or KEPT.read_bytes() != content:
            write_bytes(KEPT, content)


def mend_lock_file() -> None:
    """Take the kept copy of a `dvc.lock` that is torn, and keep a copy of one that is whole."""
    if not LOCK_FILE.exists():
        return
    content = LOCK_FILE.read_bytes()
    if is_whole(content):
        keep_lock_file()
        return
    if b"<<<<<<<" in content and b">>>>>>>" in content:
        raise ConfigError(
            f"{LOCK_FILE}: has the marks of a merge conflict; take one side with `git checkout --ours {LOCK_FILE}` or "
            "--theirs, then `regatta run`: what it does not fit runs again, or comes from DVC's cache"
        )
    if not KEPT.exists():
        raise ConfigError(
            f"{LOCK_FILE}: torn or not DVC's; take back the committed one with `git checkout {LOCK_FILE}`, or say "
            f"`rm {LOCK_FILE}`: what ran before then comes from DVC's cache where it is still there"
        )
    write_bytes(KEPT.with_suffix(".torn"), content)
    write_bytes(LOCK_FILE, KEPT.read_bytes())
    print(f"{LOCK_FILE}: was torn; it is the last whole one again ({KEPT.with_suffix('.torn')} has what was there)", flush=True)


def is_whole(content: bytes) -> bool:
    """Whether DVC can read it as `dvc.lock`."""
    from dvc.exceptions import DvcException
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import parse_yaml
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(content.decode(), LOCK_FILE))
    except (DvcException, Invalid, UnicodeDecodeError):
        return False
    return True


def mend_holders() -> None:
    """Remove from the list of who reads and writes what is dead; all of it where it is torn, since then DVC refuses all."""
    from dvc.lock import LockError, make_lock

    if not HOLDERS.exists():
        return
    try:
        with make_lock(str(TMP / "rwlock.lock"), tmp_dir=str(TMP)):
            _keep_the_living()
    except LockError:  # a DVC command is changing the list just now, so it is alive, and DVC waits for it
        return


def _keep_the_living() -> None:
    try:
        held = json.loads(HOLDERS.read_text(encoding="utf-8"))
        before = HOLDERS.stat().st_mtime
        write = {path: one for path, one in held.get("write", {}).items() if is_at_work(one["pid"], before)}
        read = {path: [one for one in some if is_at_work(one["pid"], before)] for path, some in held.get("read", {}).items()}
    except FileNotFoundError:
        return
    except (ValueError, TypeError, KeyError, AttributeError):
        HOLDERS.unlink()
        print(f"{HOLDERS}: was torn, and is removed", flush=True)
        return
    living: dict[str, Any] = {"write": write, "read": {path: some for path, some in read.items() if some}}
    if living != held:
        write_bytes(HOLDERS, json.dumps(living).encode())


def holder() -> str:
    """Who holds DVC's locks, in words."""
    for path in (HOLDERS, TMP / "lock"):
        for pid, words in _named(path):
            if is_at_work(pid):
                return f"process {pid} ({words})" if words else f"process {pid}"
    return "another DVC command"


def _named(path: Path) -> list[tuple[int, str]]:
    """The processes that a lock file names, with their command lines where it has them."""
    try:
        text = path.read_text(encoding="utf-8")
        if path != HOLDERS:
            return [(int(text), "")]
        held = json.loads(text)
        some = [*held.get("write", {}).values(), *(one for ones in held.get("read", {}).values() for one in ones)]
        return [(int(one["pid"]), str(one["cmd"])) for one in some]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []
