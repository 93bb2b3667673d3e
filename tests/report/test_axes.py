"""Ticks that read apart."""

import pytest
from matplotlib.figure import Figure

from pipeline.report.axes import log_numbers, numbers


@pytest.mark.parametrize(
    ("ticks", "shown"),
    [
        ([0.15, 0.175, 0.2, 0.225], ["0.150", "0.175", "0.200", "0.225"]),
        ([0.1, 0.2, 0.5, 1, 2, 5], ["0.1", "0.2", "0.5", "1", "2", "5"]),
        ([0.001, 0.01, 0.1, 10], ["0.001", "0.01", "0.1", "10"]),
        ([1.0, 1.25, 1.5], ["1.00", "1.25", "1.50"]),
        ([0.5], ["0.5"]),
        ([], []),
    ],
)
def test_numbers_have_the_digits_that_they_need(ticks, shown):
    assert numbers(ticks) == shown


@pytest.mark.parametrize(("low", "high"), [(0.16, 0.24), (0.9, 1.3), (0.02, 0.4), (1e-3, 30.0), (0.201, 0.2045)])
def test_no_two_ticks_of_a_log_scale_read_alike(low, high):
    axes = Figure().subplots()
    axes.plot([1, 2], [low, high])
    log_numbers(axes, "y", high / low)
    axes.set_ylim(low, high)
    axes.figure.draw_without_rendering()
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert len(set(shown)) == len(shown) > 1
