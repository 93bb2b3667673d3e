from __future__ import annotations

import pytest
from dvc.exceptions import DvcException, ReproductionError
from dvc.lock import LockError
from dvc.stage.exceptions import MissingDataSource, StageCmdFailedError

from pipeline.commands.reproduce import worded


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (StageCmdFailedError("x", 4), 4),
        (StageCmdFailedError("x", -9), 137),
        (LockError("held"), 6),
        (MissingDataSource(["data/x"]), 3),
        (OSError(28, "No space left on device"), 5),
        (DvcException("else"), 2),
    ],
)
def test_dvcs_errors_have_the_code_of_their_cause(cause: Exception, code: int) -> None:
    error = ReproductionError("failed to reproduce 'train'")
    error.__cause__ = cause
    assert worded(error).exit_code == code
