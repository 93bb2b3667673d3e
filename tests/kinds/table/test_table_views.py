from __future__ import annotations

import numpy as np
import pytest
import torch
from table_samples import policy

from pipeline.kinds.table.fitting import fit
from pipeline.kinds.table.views import advised, batch_views
from pipeline.kinds.views import policy_digest

DETAILS = {
    "columns": [{"name": "n", "type": "number"}, {"name": "c", "type": "category", "values": ["a", "b", "c"]}],
    "left_out": {},
    "rare": 1,
    "bins": 4,
}
NUM = 2000


@pytest.fixture(scope="module")
def rows() -> torch.Tensor:
    rng = np.random.default_rng(0)
    values = np.stack([rng.normal(10, 2, NUM), rng.choice([0.0, 1.0, np.nan], NUM, p=[0.7, 0.2, 0.1])], axis=1)
    return torch.from_numpy(values.astype(np.float32))


@pytest.fixture(scope="module")
def learned(rows: torch.Tensor) -> dict[str, object]:
    return fit(iter([rows.numpy()]), DETAILS)[0]


IDS, NUMBERS = np.arange(NUM, dtype=np.uint64) * 7919, np.arange(NUM) % 5


def test_a_view_is_a_function_of_sample_number_and_policy_in_any_batch(rows: torch.Tensor, learned: dict[str, object]) -> None:
    own = policy(noise=0.3, redraw=0.2)
    whole = batch_views(rows, IDS, NUMBERS, own, learned)
    assert whole.dtype == torch.float32
    order = np.random.default_rng(1).permutation(NUM)
    turned = batch_views(rows[order], IDS[order], NUMBERS[order], own, learned)
    np.testing.assert_array_equal(turned.numpy(), whole.numpy()[order])
    np.testing.assert_array_equal(batch_views(rows[7:8], IDS[7:8], NUMBERS[7:8], own, learned).numpy(), whole.numpy()[7:8])
    assert not np.array_equal(batch_views(rows, IDS, NUMBERS + 1, own, learned).numpy(), whole.numpy(), equal_nan=True)


def test_cells_are_drawn_anew_as_often_as_said_and_as_they_occur(rows: torch.Tensor, learned: dict[str, object]) -> None:
    some = batch_views(rows, IDS, NUMBERS, policy(redraw=0.2), learned)
    assert 0.17 < (some[:, 0] != rows[:, 0]).float().mean() < 0.22
    every = batch_views(rows, IDS, NUMBERS, policy(redraw=1.0), learned)
    assert every[:, 0].mean() == pytest.approx(10, abs=0.2)
    assert every[:, 0].std() == pytest.approx(2, abs=0.2)
    shares = [(every[:, 1] == code).float().mean().item() for code in (0, 1, 2)]
    assert shares == pytest.approx([0.7, 0.2, 0.0], abs=0.04)
    assert every[:, 1].isnan().float().mean().item() == pytest.approx(0.1, abs=0.03)


def test_noise_moves_numbers_alone_by_a_share_of_their_deviation(rows: torch.Tensor, learned: dict[str, object]) -> None:
    moved = batch_views(rows, IDS, NUMBERS, policy(noise=0.5), learned)
    np.testing.assert_array_equal(moved[:, 1].numpy(), rows[:, 1].numpy())
    change = moved[:, 0] - rows[:, 0]
    assert abs(change.mean()) < 0.05
    # Its deviation is drawn evenly from 0 to 0.5 x 2 for each view, so its mean square is a third of the largest.
    assert change.square().mean() == pytest.approx(1 / 3, rel=0.1)


def test_a_policy_is_known_by_what_it_draws() -> None:
    own = policy(noise=0.1)
    assert (
        policy_digest("table", own)
        == policy_digest("table", policy(noise=0.1, views=3))
        != policy_digest("table", policy(noise=0.2))
    )
    assert not policy().active
    assert not policy(noise=0.1, strength=0.0).active
    assert policy(noise=0.4, redraw=0.2, strength=0.5).scaled().model_dump() == policy(noise=0.2, redraw=0.1).model_dump()
    assert [keys for _, keys in advised((2,), policy())] == [{"augment.redraw": 0.1}]
    assert [keys for _, keys in advised((2,), policy(redraw=0.1))] == [{"augment.noise": 0.1}]
