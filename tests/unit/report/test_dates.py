"""A report is dated by what it was made from, never by the day it was made."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from ishcount.report.dates import file_date, in_words, newest_input
from ishcount.review.log import Change, ReviewLog


def test_the_newest_slide_gives_the_date() -> None:
    slides = [{"modified_utc": "2019-05-04T03:02:01Z"}, {"modified_utc": "2020-01-01T00:00:00Z"}, {}]
    assert newest_input({"slides": slides}) == datetime(2020, 1, 1, tzinfo=UTC)
    assert in_words(newest_input({"slides": slides})) == "2020-01-01 00:00 UTC"


def test_without_any_date_it_is_not_known() -> None:
    assert newest_input({}) is None
    assert in_words(None) == "not known"


def test_a_later_decision_of_a_reader_makes_the_report_younger(tmp_path: Path) -> None:
    log = ReviewLog(tmp_path, reviewer="AB", slide_id="a", result_digest="0" * 64)
    log.append([Change(operation="undo")])
    found = newest_input({"slides": [{"modified_utc": "2019-05-04T03:02:01Z"}]}, [tmp_path])
    assert found is not None
    assert found.year >= 2026


def test_the_date_of_a_table_is_that_of_its_file(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("x\n")
    os.utime(table, (86_400, 86_400))
    assert file_date(table) == datetime(1970, 1, 2, tzinfo=UTC)
    assert file_date(tmp_path / "none.csv") is None
