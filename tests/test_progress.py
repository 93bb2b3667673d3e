"""The time left: none before there is a basis, then from the pace alone."""

import sys

import pytest

from pipeline.progress import Display, Pace, duration


class Clock:
    """Set by the test."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def at(pace, clock, when, done):
    clock.now = 100.0 + when
    pace.at(done)


def test_there_is_no_time_left_before_a_second_was_seen(clock):
    pace = Pace(clock)
    assert pace.left(100) is None
    at(pace, clock, 0.0, 0)
    at(pace, clock, 9.0, 1)
    assert pace.left(100) is None, "what it took to start says nothing"
    at(pace, clock, 9.9, 10)
    assert pace.left(100) is None
    at(pace, clock, 10.0, 11)
    assert pace.left(100) == pytest.approx(8.9)


def test_a_slow_start_is_not_counted(clock):
    pace = Pace(clock)
    at(pace, clock, 20.0, 1)
    for step in range(2, 42):
        at(pace, clock, 20.0 + (step - 1) * 0.1, step)
    assert pace.seconds_of_all(1001) == pytest.approx(100.1)
    assert pace.left(1001) == pytest.approx(96.0)


def test_what_was_done_before_a_restart_is_not_of_this_pace(clock):
    pace = Pace(clock)
    at(pace, clock, 0.0, 500)
    at(pace, clock, 10.0, 510)
    assert pace.left(600) == pytest.approx(90.0)


def test_the_time_left_passes_while_nothing_is_heard_and_is_never_below_nothing(clock):
    pace = Pace(clock)
    at(pace, clock, 0.0, 10)
    at(pace, clock, 10.0, 20)
    clock.now += 4.0
    assert pace.left(30) == pytest.approx(6.0)
    clock.now += 60.0
    assert pace.left(30) == 0.0


@pytest.mark.parametrize(("seconds", "shown"), [(0.2, "0 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")])
def test_a_time_is_shown_in_its_own_unit(seconds, shown):
    assert duration(seconds) == shown


def test_lines_tell_how_far_it_is_and_how_long_the_rest_takes(capsys):
    with Display("prepare: reading", "sample", 2000, every_s=-1.0) as display:
        display.advance(500)
        display.pace.first = (display.pace.first[0] - 10.0, 0.0)
        display.advance(500)
    with Display("prepare: reading", "sample", None, every_s=-1.0) as endless:
        endless.advance(1200)
    assert capsys.readouterr().out.splitlines() == [
        "prepare: reading: 500 of 2,000 samples",
        "prepare: reading: 1,000 of 2,000 samples, 10 s left",
        "prepare: reading: 1,200 samples",
    ]


def test_lines_come_now_and_then(capsys):
    display = Display("augment", "image", 10, every_s=60.0)
    display.advance(1)
    display.told -= 61
    display.advance(1)
    display.advance(1)
    assert capsys.readouterr().out == "augment: 2 of 10 images\n"


def test_a_bar_on_a_terminal_has_the_note_and_the_time_left(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Display("train", "step", 100) as display:
        display.note = "val loss 0.5"
        assert not display.at(40)
        assert (display.bar.n, display.bar.postfix) == (40, "val loss 0.5")
        display.say("a line")
    said = capsys.readouterr()
    assert "train:   0%|" in said.err
    assert "a line" in said.out
