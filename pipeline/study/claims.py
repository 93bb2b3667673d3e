"""Which runner computes which run: claims in a folder that several runners share, and the signs of life that keep them.

A claim is a run's file, which one runner alone can create, and which says who that is. Each runner also has a file of its
own that it touches every few seconds. When it has not done so for `LEASE_S`, by the clock of the file system, others take
its claims over; they do so at once when it was a process of their machine and has ended with all that it had started.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import time
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline import artifacts
from pipeline.processes import is_at_work
from pipeline.wording import counted

LEASE_S = 90.0
"""Longer than workers that were asked to stop may take to save (LAST_S), during which their runner gives no sign of life."""
RENEWALS = 18
"""Signs of life within a lease."""
SIGN, TAKING = ".alive", ".taking"
TORN = "somebody whose claim is torn"
BOOT, CONTAINER = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class Runner:
    """A process that computes runs."""

    name: str
    """Unlike any other's."""
    host: str
    pid: int
    machine: str
    """The same for processes that see each other's numbers; empty where that is not known."""
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (at work since {self.since})"


@dataclass(frozen=True)
class Signed:
    """A file of a runner: who that is, None where the file is torn, and when it was last touched by its server's clock."""

    runner: Runner | None
    touched: float


class Claims:
    """The claims of this runner, and what it sees of the others'. A context: whatever happens, its own claims end with it."""

    def __init__(self, folder: Path, lease_s: float = LEASE_S) -> None:
        self.folder, self.lease_s, self.own = folder, lease_s, this_runner()
        self.sign = self._sign_of(self.own)
        self.held: set[str] = set()
        self.news: list[str] = []
        """Lines about claims that have changed hands; whoever prints them empties it."""
        self.processes: set[int] = set()
        self.touched = self.renewed = 0.0

    def __enter__(self) -> Claims:
        artifacts.make_dir(self.folder)
        artifacts.append_jsonl(self.sign, [asdict(self.own)])
        self._touch()
        self._sweep()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release(list(self.held))
        _remove(self.sign)
        self._sweep()

    def take(self, names: Iterable[str]) -> bool:
        """Claim runs, all of them or none. Of runners that want some of the same ones, one gets all that it wants."""
        new: list[str] = []
        over: list[str] = []
        for name in sorted(set(names) - self.held):  # one order for all runners: the first to meet the other wins
            why = self._take(name)
            if why is None:
                self.release(new)
                return False
            self.held.add(name)
            new.append(name)
            over += [why] if why else []
        self.news += [
            f"study: {counted(num, 'run')} {'is' if num == 1 else 'are'} taken over from {why}"
            for why, num in Counter(over).items()
        ]
        return True

    def release(self, names: Collection[str]) -> None:
        """End claims of this runner; those that it has lost are left alone."""
        for name in names:
            if self._is_own(name):
                _remove(self.folder / name)
        self.held.difference_update(names)

    def renew(self, processes: Iterable[int]) -> None:
        """Give a sign of life when it is time for one. processes: those whose work would outlive this one for a moment."""
        if new := set(processes) - self.processes:
            artifacts.append_jsonl(self.sign, [{"process": pid} for pid in sorted(new)])
            self.processes |= new
        if time.monotonic() - self.renewed > self.lease_s / RENEWALS:
            self._touch()

    def others(self, names: Iterable[str]) -> dict[str, str]:
        """Those of the runs that another runner holds, and who it is; claims that may be taken over are not among them."""
        claims = {name: claim for name in names if name not in self.held and (claim := self._read(self.folder / name))}
        newest = {claim.runner or claim: claim for claim in sorted(claims.values(), key=lambda claim: claim.touched)}
        holding = {key for key, claim in newest.items() if not self._gone(claim)}
        return {name: str(claim.runner or TORN) for name, claim in claims.items() if (claim.runner or claim) in holding}

    def _take(self, name: str) -> str | None:
        """None: somebody holds it. Otherwise it is this runner's now, and the text says whose it was, if anybody's."""
        file = self.folder / name
        if artifacts.create_new(file, self._content()):
            return ""
        old = self._read(file)
        why = old and self._gone(old)
        return why if old and why and self._succeed(file, old) else None

    def _succeed(self, file: Path, old: Signed) -> bool:
        """Take a claim over that holds no longer. Whoever creates the file TAKING has the right to remove it, and others wait.

        What was seen before that may be long ago, so it is looked at again.
        """
        right = file.with_name(f"{file.name}-{old.runner.name if old.runner else 'torn'}{TAKING}")
        if not artifacts.create_new(right, self._content()):
            self._remove_if_gone(right)
            return False
        try:
            now = self._read(file)
            if now is None or now.runner != old.runner or not self._gone(now):
                return False
            _remove(file)
            return artifacts.create_new(file, self._content())
        finally:
            _remove(right)

    def _gone(self, signed: Signed) -> str:
        """Who a file is of and why it holds no longer; empty: it holds."""
        who = signed.runner
        sign = None if who is None else _opened(self._sign_of(who))
        if who is not None and self._has_ended(who, sign):
            return f"{who}, which has ended"
        silent_s = self.touched + time.monotonic() - self.renewed - (sign[1] if sign else signed.touched)
        if silent_s <= self.lease_s:
            return ""
        return f"{who}, silent for {silent_s:.0f} s" if who else TORN

    def _has_ended(self, who: Runner, sign: tuple[bytes, float] | None) -> bool:
        """Whether a process of this machine has ended, and all that it had started too; those still save what they have."""
        if not who.machine or who.machine != self.own.machine:
            return False
        lines = sign[0].splitlines()[1:] if sign else []
        started = [entry["process"] for line in lines if isinstance(entry := _parsed(line), dict) and "process" in entry]
        return not any(is_at_work(pid) for pid in (who.pid, *started))

    def _touch(self) -> None:
        """A sign of life, which also tells the file system's time. After a long silence claims may have been taken over."""
        before = self.touched
        with artifacts.storage_errors(self.sign):
            self.sign.touch()
            self.touched = self.sign.stat().st_mtime
        self.renewed = time.monotonic()
        if self.touched - before > self.lease_s and (lost := {name for name in self.held if not self._is_own(name)}):
            self.held -= lost
            silent = f"study: this process stood still for {self.touched - before:.0f} s"
            self.news.append(f"{silent}, in which others took over {len(lost)} of its runs")

    def _sweep(self) -> None:
        """Remove what runners that have gone left beside their claims, which can be judged without it."""
        for file in [*self.folder.glob(f"*{SIGN}"), *self.folder.glob(f"*{TAKING}")]:
            self._remove_if_gone(file)

    def _remove_if_gone(self, file: Path) -> None:
        signed = self._read(file)
        if signed is not None and self._gone(signed):
            _remove(file)

    def _is_own(self, name: str) -> bool:
        claim = self._read(self.folder / name)
        return claim is not None and claim.runner == self.own

    def _content(self) -> bytes:
        return json.dumps(asdict(self.own)).encode() + b"\n"

    def _sign_of(self, runner: Runner) -> Path:
        return self.folder / f"{runner.name}{SIGN}"

    @staticmethod
    def _read(file: Path) -> Signed | None:
        """None: there is no such file."""
        content = _opened(file)
        return None if content is None else Signed(_runner(content[0].partition(b"\n")[0]), content[1])


def this_runner() -> Runner:
    """This process."""
    host, pid = os.uname().nodename, os.getpid()
    return Runner(f"{host}-{pid}-{secrets.token_hex(4)}", host, pid, machine(), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")


def machine() -> str:
    """The same for processes that see each other's numbers: the host, its start and the container; empty where unknown."""
    if not BOOT.exists() or not CONTAINER.is_symlink():
        return ""
    return f"{os.uname().nodename} {BOOT.read_text().strip()} {os.readlink(CONTAINER)}"


def _opened(file: Path) -> tuple[bytes, float] | None:
    """A file's content and when it was touched; None: there is none. Opening it makes a network file system ask its server."""
    with artifacts.storage_errors(file):
        try:
            with file.open("rb") as opened:
                return opened.read(), os.fstat(opened.fileno()).st_mtime
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESTALE):
                return None
            raise


def _parsed(line: bytes) -> Any:
    """JSON, or None where it is torn."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def _runner(line: bytes) -> Runner | None:
    values = _parsed(line)
    whole = isinstance(values, dict) and values.keys() == Runner.__annotations__.keys() and isinstance(values["pid"], int)
    return Runner(**values) if whole else None


def _remove(file: Path) -> None:
    with artifacts.storage_errors(file):
        file.unlink(missing_ok=True)
