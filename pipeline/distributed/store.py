"""The keys by which workers on several nodes find each other, exchanged through Ray, which asks for the cluster's token.

torch's own TCPStore answers anybody who reaches its port, and takes writes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from torch.distributed import DistStoreError, Store  # type: ignore[attr-defined]

ASK_S = 0.01
"""Between two questions for a key that is not there yet."""


@dataclass
class Keys:
    """What the first worker keeps for all. Nothing here waits."""

    values: dict[str, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, key: str, value: bytes) -> None:
        """Write, over what was there."""
        with self.lock:
            self.values[key] = value

    def get(self, keys: list[str]) -> list[bytes] | None:
        """The values of all of these keys, or None where one of them is not there."""
        with self.lock:
            return [self.values[key] for key in keys] if self.values.keys() >= set(keys) else None

    def add(self, key: str, number: int) -> int:
        """Count up from 0; the new number."""
        with self.lock:
            total = int(self.values.get(key, b"0")) + number
            self.values[key] = str(total).encode()
            return total

    def compare_set(self, key: str, expected: bytes, desired: bytes) -> bytes:
        """Write where the expected value is there, or where none is and none is expected; what then is there."""
        with self.lock:
            value = self.values.get(key, b"")
            if value == expected:
                self.values[key] = value = desired
            return value or expected

    def delete_key(self, key: str) -> bool:
        """Whether there was one."""
        with self.lock:
            return self.values.pop(key, None) is not None

    def num_keys(self) -> int:
        """How many there are."""
        with self.lock:
            return len(self.values)


class KeyStore(Store):
    """torch's interface to those keys; `ask` calls a method of `Keys` by its name, be they here or elsewhere."""

    def __init__(self, ask: Callable[..., Any], timeout: timedelta) -> None:
        super().__init__()
        self.ask, self.limit = ask, timeout

    def set(self, key: str, value: str | bytes) -> None:
        self.ask("set", key, _bytes(value))

    def get(self, key: str) -> bytes:
        """The value, once it is there."""
        return self.multi_get([key])[0]

    def multi_get(self, keys: list[str]) -> list[bytes]:
        """The values of all, once they are there; DistStoreError where they do not come."""
        return self._awaited(keys, self.limit)

    def wait(self, keys: list[str], timeout: timedelta | None = None) -> None:
        """Until all are there; DistStoreError where they do not come."""
        self._awaited(keys, self.limit if timeout is None else timeout)

    def check(self, keys: list[str]) -> bool:
        """Whether all are there."""
        return self.ask("get", keys) is not None

    def add(self, key: str, number: int) -> int:
        total: int = self.ask("add", key, number)
        return total

    def compare_set(self, key: str, expected: str | bytes, desired: str | bytes) -> bytes:
        value: bytes = self.ask("compare_set", key, _bytes(expected), _bytes(desired))
        return value

    def delete_key(self, key: str) -> bool:
        deleted: bool = self.ask("delete_key", key)
        return deleted

    def num_keys(self) -> int:
        num: int = self.ask("num_keys")
        return num

    def set_timeout(self, timeout: timedelta) -> None:
        """For what is waited for from now on."""
        self.limit = timeout

    def _awaited(self, keys: list[str], limit: timedelta) -> list[bytes]:
        until = time.monotonic() + limit.total_seconds()
        while (found := self.ask("get", keys)) is None:
            if time.monotonic() > until:
                raise DistStoreError(f"{', '.join(keys)}: not said within {limit.total_seconds():g} s")
            time.sleep(ASK_S)
        values: list[bytes] = found
        return values


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
