from __future__ import annotations

import os
import signal

import pytest
from dvc.exceptions import DvcException, ReproductionError
from dvc.lock import LockError
from dvc.stage.exceptions import MissingDataSource, StageCmdFailedError

from pipeline.commands.reproduce import sigterm_passed_on, worded
from pipeline.errors import Stopped


def test_sigterm_between_stages_stops_with_143() -> None:
    with pytest.raises(Stopped, match="between two stages"), sigterm_passed_on():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


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
