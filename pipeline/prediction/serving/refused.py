"""What a server refuses, and how it says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Limits(NamedTuple):
    """What may be asked at most; what a sample may have is the kind's (`Reader.limits`)."""

    body_bytes: int = 32 * 2**20
    items: int = 256
    """Samples of a request."""
    queue: int = 64
    """Requests that are read, wait, or are being answered."""
    body_s: float = 30.0
    """In which a request's body has to arrive."""


@dataclass(eq=False)
class RefusedError(Exception):
    """A request that is not answered."""

    where: str
    """The field, or the header, that is wrong."""
    said: str
    value: Any = None
    allowed: Any = None
    status: int = 422
    headers: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The body of the answer."""
        told = {"field": self.where, "value": self.value, "allowed": self.allowed}
        return {"error": {key: value for key, value in told.items() if value is not None} | {"message": str(self)}}

    def __str__(self) -> str:
        return f"{self.where}: {self.said}"


def too_large(name: str, num_bytes: int | None, limits: Limits) -> RefusedError:
    """More bytes than are read. num_bytes: None where that many had come when reading was given up."""
    said = f"{num_bytes:,} bytes" if num_bytes else "the bytes that have come"
    return RefusedError(
        name, f"{said} are more than the {limits.body_bytes:,} that are allowed", num_bytes, limits.body_bytes, status=413
    )


def too_many(name: str, num: int | None, limits: Limits) -> RefusedError:
    """More samples than a request may have. num: None where nobody has counted on."""
    said = f"{num:,} samples are" if num else "there are"
    more = "more than the" if num else "more samples than the"
    return RefusedError(name, f"{said} {more} {limits.items:,} of a request", num, limits.items)
