"""What came out of one run of a study, as it is stored under the run's hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Result:
    """In the order of its file."""

    hash: str
    without_code: str | None
    code: str
    failure: str | None
    ended: str
    device: str
    num_threads: int
    num_together: int
    """Runs that were trained side by side."""
    val_samples: str | None
    """Digest of the samples that it was judged on; None in a result of an older version, which does not say it."""
    test_samples: str | None
    metrics: dict[str, float | None]
    rows: list[dict[str, Any]]
    """Its records."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Result:
        """Of a stored one; what an older version did not store is None."""
        return cls(**{**dict.fromkeys(field.name for field in fields(cls)), **values})

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dict(vars(self))
