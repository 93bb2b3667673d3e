"""Networks that come along are trained as exactly as any other."""

import pytest
import torch
from training_helpers import equal, gone_on, interrupted, lane, train_to_end, training

OWN = lane(3, dropout=0.0, learning_rate=0.01)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_airbench_learns_and_resumes_exactly(digits, norm):
    changes = {"module": "airbench", "keys": {"width": 16, "norm": norm}, "limit": 512, "epochs": 2}
    whole = train_to_end(training(digits, [OWN], **changes))
    first = interrupted(training(digits, [OWN], **changes), 11)
    assert equal(whole, 0, gone_on(first, training(digits, [OWN], **changes)))
    assert float(whole.best.flat.isfinite().all()) == 1.0
    assert whole.rows[0][-1]["accuracy"] > 0.5


def test_its_memory_order_is_that_of_fast_convolutions():
    from pipeline.networks import function

    made = function("airbench")((3, 32, 32), 10)
    out = made.blocks(made.stem(torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)))
    assert out.is_contiguous(memory_format=torch.channels_last)
