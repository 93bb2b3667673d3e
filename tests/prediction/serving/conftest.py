"""Networks that are trained once for all tests here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
from published import Case, published
from served import Asker, serving

from pipeline.prediction.serving.refused import Limits

Make = Callable[[str], Case]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A published network of a kind, one of `published.SOURCES`."""

    @cache
    def call(kind: str) -> Case:
        with pytest.MonkeyPatch.context() as patch:
            return published(kind, tmp_path_factory.mktemp("case"), patch)

    return call


@pytest.fixture(scope="module")
def asked(made: Make) -> Iterator[dict[str, Asker]]:
    """Servers with narrow limits, by kind."""
    with ExitStack() as stack:
        limits = {
            "rows": Limits(items=8, body_bytes=2**20),
            "photos": Limits(items=8, body_bytes=4096),
            "texts": Limits(items=8),
        }
        yield {kind: stack.enter_context(serving(made(kind).model, limits=own)) for kind, own in limits.items()}
