"""The date a report carries: that of the newest thing it was made from, never that of the day it was made.

So a report made again from the same slides, sheet and decisions is the same file to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ishcount.core.errors import SlideError
from ishcount.review.log import log_paths, read_log

UNKNOWN = datetime(2000, 1, 1, tzinfo=UTC)
"""For files whose format wants a date (XLSX, PDF) where no input has one."""


def newest_input(run: Mapping[str, Any], slide_folders: Iterable[Path] = ()) -> datetime | None:
    """When the newest slide was written or the newest decision made, to the second; None where unknown.

    run: content of run.json. slide_folders: folders of slides, whose review logs count too.
    """
    dates = [slide.get("modified_utc") for slide in run.get("slides") or []]
    for folder in slide_folders:
        for path in log_paths(folder):
            try:
                dates += [entry.utc for entry in read_log(path)]
            except SlideError:  # a damaged log is named elsewhere and decides nothing
                continue
    known = [datetime.fromisoformat(str(date)) for date in dates if date]
    return max(known).replace(microsecond=0) if known else None


def file_date(path: Path) -> datetime | None:
    """When a file was last written, to the second; None where it cannot be asked."""
    try:
        return datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
    except (OSError, ValueError):
        return None


def in_words(date: datetime | None) -> str:
    """`2026-11-22 14:03 UTC`, or that it is not known."""
    return "not known" if date is None else date.strftime("%Y-%m-%d %H:%M UTC")
