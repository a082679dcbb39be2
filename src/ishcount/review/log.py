"""The review log: one line of JSON per decision, appended, synced to disk, never rewritten.

A line assigns a new value to one item (a cell's call, an exclusion, an outline, ...) and keeps the old one,
so undo and redo are lines too. A power cut may leave half a line at the end: it is ignored when read, and
closed off by a `recovered` line before the next append. One file per reader needs no locks; a second
window of the same reader is noticed by the file's size.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ishcount._version import __version__
from ishcount.core.errors import LockedError, SlideError, UsageError
from ishcount.core.files import append_text, folder_name

SCHEMA = 1
ASSIGNING = frozenset({"call", "exclude", "outline", "add", "cut", "verdict", "field"})
"""Operations that give one item a new value and can be undone."""
OPERATIONS = ASSIGNING | {"undo", "redo", "blind", "plan", "recovered"}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a review log.

    `item` names what is decided: a cell id, an added cell's `M:...`, a polygon's id, a compartment. `old` and
    `new` are its values (null: none). Lines of one `act` were decided together and are undone together; for
    `undo` and `redo`, `new` is the number of the act taken back or done again. `queue` says which list the
    reader was working through.
    """

    schema: int
    sequence: int
    act: int
    utc: str
    reviewer: str
    session: str
    slide_id: str
    result_digest: str
    operation: str
    marker: str = ""
    item: int | str = ""
    old: Any = None
    new: Any = None
    reason: str = ""
    queue: str = ""
    software: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader wants written: an entry before it has a number, a time and an author."""

    operation: str
    marker: str = ""
    item: int | str = ""
    old: Any = None
    new: Any = None
    reason: str = ""
    queue: str = ""


_DECODER = msgspec.json.Decoder(Entry)


def log_path(slide_folder: Path, reviewer: str) -> Path:
    """Where a reader's log of one slide lies."""
    if not reviewer.strip():
        raise UsageError("the reviewer's name is empty; give one, for example --reviewer AB")
    return slide_folder / "review" / f"{folder_name(reviewer.strip())}.jsonl"


def log_paths(slide_folder: Path) -> list[Path]:
    """Logs of all readers of one slide, sorted by name."""
    return sorted((slide_folder / "review").glob("*.jsonl"))


def read_log(path: Path, *, result_digest: str | None = None) -> tuple[Entry, ...]:
    """Entries of a log in order; empty when there is no file.

    A half-written last line is left out. SlideError when the log belongs to another result than
    `result_digest` (None: any), when a line in the middle is damaged or when lines are missing.
    """
    if not path.exists():
        return ()
    return _parse(path, path.read_bytes(), result_digest)


def _parse(path: Path, raw: bytes, result_digest: str | None) -> tuple[Entry, ...]:
    lines = raw.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    entries: list[Entry] = []
    broken = 0  # line number of a line that could not be read, 0: none
    for number, line in enumerate(lines, 1):
        entry = _decode(line)
        if entry is None:
            if broken:
                raise _damaged(path, broken)
            broken = number
            continue
        if broken and entry.operation != "recovered":
            raise _damaged(path, broken)
        broken = 0
        _check(path, number, entry, len(entries) + 1, result_digest)
        entries.append(entry)
    return tuple(entries)


def _decode(line: bytes) -> Entry | None:
    try:
        return _DECODER.decode(line)
    except msgspec.DecodeError:
        return None


def _damaged(path: Path, number: int) -> SlideError:
    return SlideError(
        f"review log {path.name!r} is damaged at line {number}; restore it from a backup or move it away",
        code="E_FORMAT",
    )


def _check(path: Path, number: int, entry: Entry, expected: int, result_digest: str | None) -> None:
    if entry.schema > SCHEMA or entry.operation not in OPERATIONS:
        raise SlideError(
            f"review log {path.name!r} line {number} was written by a newer ishcount "
            f"(schema {entry.schema}, operation {entry.operation!r}); update ishcount",
            code="E_FORMAT",
        )
    if entry.sequence != expected:
        raise SlideError(
            f"review log {path.name!r} line {number} has number {entry.sequence}, not {expected}: "
            "lines are missing or doubled; restore the file from a backup",
            code="E_FORMAT",
        )
    if result_digest is not None and entry.result_digest != result_digest:
        raise SlideError(
            f"review log {path.name!r} belongs to another result (digest {entry.result_digest[:12]}, this "
            f"result is {result_digest[:12]}): the slide was counted again after the review; count it with "
            "the earlier parameters or move the log away and review anew",
            code="E_ID",
        )


class ReviewLog:
    """A reader's log, open for appending. Every `append` is on disk when it returns."""

    def __init__(self, slide_folder: Path, *, reviewer: str, slide_id: str, result_digest: str) -> None:
        """Open or begin the log; SlideError when the log found belongs to another result."""
        self.path = log_path(slide_folder, reviewer)
        self.reviewer = reviewer.strip()
        self.slide_id = slide_id
        self.result_digest = result_digest
        self.session = uuid.uuid4().hex[:12]
        raw = self.path.read_bytes() if self.path.exists() else b""
        self.entries: list[Entry] = list(_parse(self.path, raw, result_digest))
        self._size = len(raw)
        self._tail = raw.rsplit(b"\n", 1)[-1]
        self._act = max((entry.act for entry in self.entries), default=0)
        if self.entries and self.entries[0].reviewer != self.reviewer:
            raise UsageError(
                f"review log {self.path.name!r} belongs to {self.entries[0].reviewer!r}, not to "
                f"{self.reviewer!r}; choose another reviewer name"
            )

    def append(self, changes: Sequence[Change]) -> tuple[Entry, ...]:
        """Write changes as one act; the entries as written. LockedError if another window wrote meanwhile."""
        found = self.path.stat().st_size if self.path.exists() else 0
        if found != self._size:
            raise LockedError(
                f"review log {self.path.name!r} was changed by another window (size {found}, expected "
                f"{self._size} bytes); close the other window and open the slide again"
            )
        act = self._act + 1
        entries = list(self._entries(changes, act, len(self.entries) + 1))
        lead = ""
        if self._tail:  # the last line lacks its end
            lead = "\n"
            if _decode(self._tail) is None:
                reason = "half a line was left out"
                closing = Change(operation="recovered", new=len(self._tail), reason=reason)
                entries = list(self._entries([closing, *changes], act, len(self.entries) + 1))
        text = lead + "".join(msgspec.json.encode(entry).decode() + "\n" for entry in entries)
        self._size = append_text(self.path, text)
        self._tail, self._act = b"", act
        self.entries.extend(entries)
        return tuple(entry for entry in entries if entry.operation != "recovered")

    def _entries(self, changes: Iterable[Change], act: int, sequence: int) -> Iterable[Entry]:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for offset, change in enumerate(changes):
            yield Entry(
                schema=SCHEMA,
                sequence=sequence + offset,
                act=act,
                utc=now,
                reviewer=self.reviewer,
                session=self.session,
                slide_id=self.slide_id,
                result_digest=self.result_digest,
                software=f"ishcount {__version__}",
                **msgspec.structs.asdict(change),
            )
