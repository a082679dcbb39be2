"""The time left that a person is told, and text that a terminal does not obey."""

from __future__ import annotations

import pytest

from ishcount.cli import progress
from ishcount.cli.progress import AFTER, BEFORE, Estimate, duration
from ishcount.cli.say import number, plain, table


class Clock:
    """A clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_time_left_is_within_a_fifth_after_the_first_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slides of like size counted at a steady pace, planning and finishing at their usual cost."""
    clock = Clock(monkeypatch)
    estimate = Estimate(20)
    total = 20 * 100 * (1 + BEFORE + AFTER)
    for slide in range(20):
        clock.now += 100 * BEFORE
        estimate.planned(str(slide), 100.0)
        for _ in range(10):
            clock.now += 10
            estimate.counted(str(slide), 10.0)
            left = estimate.seconds_left
            if clock.now > total / 10:
                assert left == pytest.approx(total - clock.now, rel=0.2, abs=total / 100)
        clock.now += 100 * AFTER
        estimate.ended(str(slide))
    assert estimate.share == pytest.approx(1.0)


def test_slides_kept_from_an_earlier_run_cost_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    estimate = Estimate(10)
    for slide in range(9):
        estimate.ended(f"kept{slide}")
    estimate.planned("new", 100.0)
    clock.now += 100.0
    estimate.counted("new", 50.0)
    assert estimate.share == pytest.approx((0.5 + BEFORE) / (1 + BEFORE + AFTER))


def test_starting_the_workers_is_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    estimate = Estimate(1)
    clock.now += 60.0
    estimate.planned("only", 100.0)
    clock.now += 10.0
    estimate.counted("only", 10.0)
    assert estimate.seconds_left == pytest.approx(90 + 100 * AFTER)


def test_before_there_is_a_pace_there_is_no_time_left() -> None:
    assert Estimate(3).seconds_left is None


@pytest.mark.parametrize(("seconds", "text"), [(4, "4 s"), (600, "10 min"), (12_000, "3 h 20 min")])
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_control_characters_are_spelt_out_and_letters_are_not() -> None:
    assert plain("a\x1b[2J\nß👍\udcff") == "a\\x1b[2J\\nß👍\\udcff"


def test_missing_is_a_dash_and_none_found_is_zero() -> None:
    assert [number(value) for value in (None, float("nan"), 0, 0.0, 1234, 1.239)] == [
        "-",
        "-",
        "0",
        "0.00",
        "1,234",
        "1.24",
    ]


def test_columns_line_up_with_numbers_to_the_right() -> None:
    lines = table(["name", "n"], [["a", "1"], ["long name", "100"]]).splitlines()
    assert lines[0] == "name         n"
    assert lines[2] == "a            1"
    assert lines[3] == "long name  100"
