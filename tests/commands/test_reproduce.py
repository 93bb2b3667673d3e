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


def test_a_full_disk_names_the_place_and_what_to_free() -> None:
    """/dev/full takes no byte: a real ENOSPC."""
    error = ReproductionError("failed to reproduce 'train'")
    with pytest.raises(OSError, match="No space") as caught, open("/dev/full", "wb", buffering=0) as file:
        file.write(b"x")
    error.__cause__ = caught.value
    assert str(worded(error)).startswith(".dvc/cache: No space left on device; free space on that disk (`dvc gc -w`")
    error.__cause__ = OSError(28, "No space left on device", "artifacts/train/best.safetensors")
    assert str(worded(error)).startswith("artifacts/train/best.safetensors: No space left on device; free space")
