"""Where studies run; nothing here changes a result, so no stage depends on it."""

from __future__ import annotations

from typing import Literal

from pipeline.schema.base import Section


class ClusterConfig(Section):
    """`cluster.*`."""

    kind: Literal["local", "ray"]
    """local: processes on this machine; ray: resident actors on a Ray cluster."""
    address: str | None
    """Of a running cluster's head, HOST:PORT, or "auto" for the one that this machine belongs to; null: start one here."""
    token_path: str | None
    """File with the cluster's token; null: what Ray's own environment says (RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH)."""
