"""The sample sheet: which slides, of whom, stained for what.

A sheet is a CSV (comma, semicolon or tab; UTF-8) or the first page of an XLSX. One row is one marker on one
slide. Anything that could mix up slides or patients is a `UsageError` that names the lines.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from ishcount.core.errors import UsageError
from ishcount.slide.source import address, is_url
from ishcount.study.sheet_file import read_records

ROLES = ("target", "positive_control", "negative_control")
PAIRS = ("before", "during")
COLUMNS = (
    "slide", "slide_id", "patient", "group", "marker", "chromogen", "role", "control_for", "batch", "mpp",
    "annotations", "sections", "block_year", "pair", "run_date", "probe_lot", "scanner", "section_um",
    "level", "site", "lesion_age", "age", "sex", "treatment",
)  # fmt: skip
PER_SLIDE = ("patient", "group", "batch", "mpp", "annotations", "sections", "block_year", "pair")
"""Columns in which all rows of one slide must agree."""

TWO_SUFFIXES = (".ome.tif", ".ome.tiff", ".ome.btf")
FORBIDDEN_IN_MARKER = set("+:;,/\\\"'<>|?*")


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetRow:
    """One marker on one slide. Empty text means that the sheet does not say."""

    line: int
    slide: Path
    slide_id: str
    marker: str
    chromogen: str = "auto"
    role: str = "target"
    patient: str = ""
    group: str = ""
    batch: str = ""
    pair: str = ""
    mpp: float | None = None
    annotations: Path | None = None
    sections: tuple[int, ...] | None = None
    control_for: tuple[str, ...] = ()
    own: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Every cell of the row under its own column's name, as text, for the columns of the outputs."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A checked sample sheet: rows in file order, its columns, and what looked odd but was accepted."""

    rows: tuple[SheetRow, ...]
    columns: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def slides(self) -> dict[str, tuple[SheetRow, ...]]:
        """The rows of each slide, slides in file order."""
        found: dict[str, list[SheetRow]] = {}
        for row in self.rows:
            found.setdefault(row.slide_id, []).append(row)
        return {slide_id: tuple(rows) for slide_id, rows in found.items()}


def default_slide_id(path: Path) -> str:
    """The file name without its suffix (`.ome.tif` is one suffix); bytes that are no text are spelt out."""
    name = path.name.partition("?")[0] if is_url(address(path.as_posix())) else path.name
    for suffix in TWO_SUFFIXES:
        if name.casefold().endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
            break
    else:
        name = Path(name).stem
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def read_sheet(path: Path) -> Sheet:
    """The sample sheet in `path`, checked; UsageError says which line is wrong and what to write there."""
    header, records = read_records(path)
    columns, warnings = _known_columns(header, path.name)
    rows = [
        _row(dict(zip(columns, cells, strict=True)), line=line, folder=path.parent, sheet=path.name)
        for line, cells in records
    ]
    if not rows:
        raise UsageError(f"{path.name} lists no slide; add one row per slide and marker below the header")
    check_rows(rows, path.name)
    return Sheet(tuple(rows), tuple(columns), tuple(warnings))


def sheet_of_slides(paths: Sequence[Path], markers: Mapping[str, str], annotations: Path | None) -> Sheet:
    """A sheet for slides named on the command line; `markers` is name -> chromogen.

    `annotations` is a file for the only slide, or a folder that holds `<slide_id>.geojson`.
    """
    rows = [
        SheetRow(line=0, slide=path, slide_id=default_slide_id(path), marker=marker, chromogen=chromogen)
        for path in paths
        for marker, chromogen in markers.items()
    ]
    for marker in markers:
        _check_marker(marker, "--marker")
    check_rows(rows, "the command line")
    return with_annotations(Sheet(tuple(rows)), annotations)


def check_groups(sheet: Sheet, case: str | None, control: str | None) -> None:
    """UsageError, before anything is counted, where nobody says which groups are to be compared."""
    groups = sorted({row.group for row in sheet.rows if row.role == "target" and row.group})
    names = ", ".join(groups)
    for option, name in (("--case", case), ("--control", control)):
        if name is not None and name not in groups:
            raise UsageError(f"{option} {name!r} is no group of the sheet; it has {names or 'no groups'}")
    if len(groups) > 1 and (case is None or control is None):
        raise UsageError(f"the sheet has the groups {names}; say with --case and --control which to compare")


def with_annotations(sheet: Sheet, annotations: Path | None) -> Sheet:
    """The sheet with annotations from a folder (or a file, for one slide) where it names none itself."""
    if annotations is None:
        return sheet
    if not annotations.is_dir() and len(sheet.slides()) != 1:
        raise UsageError(
            f"--annotations {annotations.name} is one file but {len(sheet.slides())} slides are given; "
            "name a folder that holds <slide_id>.geojson for each"
        )
    rows = tuple(
        row if row.annotations else replace(row, annotations=annotation_of(annotations, row.slide_id))
        for row in sheet.rows
    )
    return replace(sheet, rows=rows)


def annotation_of(annotations: Path | None, slide_id: str) -> Path | None:
    """One slide's annotations: the file itself, or `<slide_id>.geojson` or `.csv` in the folder, or None."""
    if annotations is None or not annotations.is_dir():
        return annotations
    candidates = (annotations / f"{slide_id}{suffix}" for suffix in (".geojson", ".json", ".csv"))
    return next((path for path in candidates if path.is_file()), None)


def _known_columns(header: Sequence[str], sheet: str) -> tuple[list[str], list[str]]:
    """Column names with known ones spelt as documented, and a warning for each that looks like a slip."""
    names, warnings = [], []
    for name in header:
        known = name.casefold().replace(" ", "_")
        names.append(known if known in COLUMNS else name)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{sheet} has more than one column {twice[0]!r}; keep one of them")
    for name in names:
        near = get_close_matches(name.casefold(), [c for c in COLUMNS if c not in names], n=1, cutoff=0.8)
        if name not in COLUMNS and near:
            warnings.append(f"{sheet}: column {name!r} is carried along unread; did you mean {near[0]!r}?")
    for needed in ("slide", "marker"):
        if needed not in names:
            near = get_close_matches(needed, names, n=1)
            hint = f"; rename {near[0]!r}" if near else f"; add it (found: {', '.join(names) or 'nothing'})"
            raise UsageError(f"{sheet} has no column {needed!r}{hint}")
    return names, warnings


def _row(cells: dict[str, str], *, line: int, folder: Path, sheet: str) -> SheetRow:
    where = f"{sheet} line {line}"
    text = {name: cells.get(name, "") for name in COLUMNS}
    for needed in ("slide", "marker"):
        if not text[needed]:
            raise UsageError(f"{where}: {needed!r} is empty; every row names a slide and a marker")
    _check_marker(text["marker"], where)
    slide = _path(text["slide"], folder)
    annotations = text["annotations"]
    return SheetRow(
        line=line,
        slide=slide,
        slide_id=_slide_id(text["slide_id"] or default_slide_id(slide), where),
        marker=text["marker"],
        chromogen=text["chromogen"].casefold().replace(" ", "_") or "auto",
        role=_one_of(text["role"] or "target", ROLES, "role", where),
        patient=text["patient"],
        group=text["group"],
        batch=text["batch"],
        pair=_one_of(text["pair"], PAIRS, "pair", where) if text["pair"] else "",
        mpp=_pixel_size(text["mpp"], where),
        annotations=_path(annotations, folder) if annotations else None,
        sections=_sections(text["sections"], where),
        control_for=tuple(filter(None, (part.strip() for part in text["control_for"].split(";")))),
        own=MappingProxyType(dict(cells)),
    )


def _path(text: str, folder: Path) -> Path:
    if is_url(text):
        return Path(text)
    path = Path(text).expanduser()
    return path if path.is_absolute() else folder / path


def _slide_id(text: str, where: str) -> str:
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise UsageError(f"{where}: slide_id {text!r} holds a control character; write it in plain text")
    return text


def _check_marker(name: str, where: str) -> None:
    bad = sorted(c for c in set(name) if c in FORBIDDEN_IN_MARKER or not c.isprintable())
    if bad or not name or len(name) > 40:
        found = f"holds {bad[0]!r}" if bad else f"is {len(name)} characters long"
        raise UsageError(f"{where}: marker {name!r} {found}; use a plain name such as IFNG, 1-40 characters")


def _one_of(text: str, allowed: Sequence[str], column: str, where: str) -> str:
    value = text.casefold().replace(" ", "_")
    if value not in allowed:
        raise UsageError(f"{where}: {column} {text!r} is not known; write one of {', '.join(allowed)}")
    return value


def _pixel_size(text: str, where: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.05 <= value <= 5:  # the range in which ishcount believes a pixel size at all
        raise UsageError(f"{where}: mpp {text!r} is no pixel size in um; write 0.05 to 5, such as 0.25")
    return value


def _sections(text: str, where: str) -> tuple[int, ...] | None:
    parts = text.replace(";", " ").replace(",", " ").split()
    if not parts:
        return None
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"{where}: sections {text!r} is no list of numbers; write such as 1;3")
    return tuple(sorted({int(part) for part in parts}))


def check_rows(rows: Sequence[SheetRow], sheet: str) -> None:
    """UsageError where rows contradict each other or would be counted under one name."""
    _check_identities(rows, sheet)
    _check_agreement(rows, sheet)
    for column in ("patient", "group", "marker"):
        _check_one_spelling([(getattr(row, column), row.line) for row in rows], column, sheet)
    ids = {row.slide_id for row in rows}
    for row in rows:
        for target in row.control_for:
            if target not in ids:
                _unknown_control(row, target, ids, sheet)


def _unknown_control(row: SheetRow, target: str, ids: Collection[str], sheet: str) -> NoReturn:
    near = get_close_matches(target, sorted(ids), n=1)
    hint = f"; {near[0]!r} is meant?" if near else "; write slide_ids of this sheet joined by ;"
    raise UsageError(f"{sheet} line {row.line}: control_for names {target!r}, no slide_id of the sheet{hint}")


def _check_identities(rows: Iterable[SheetRow], sheet: str) -> None:
    by_id: dict[str, SheetRow] = {}
    by_file: dict[object, SheetRow] = {}
    by_marker: dict[tuple[str, str], SheetRow] = {}
    for row in rows:
        same_id = by_id.setdefault(_folded(row.slide_id), row)
        same_file = by_file.setdefault(_file_identity(row.slide), row)
        if same_id.slide_id != row.slide_id or _file_identity(same_id.slide) != _file_identity(row.slide):
            raise UsageError(
                f"two slides under one id: {same_id.slide_id!r} ({same_id.slide.name}{_at(same_id)}) and "
                f"{row.slide_id!r} ({row.slide.name}{_at(row)}) in {sheet}; give each its own slide_id"
            )
        if same_file.slide_id != row.slide_id:
            raise UsageError(
                f"one slide under two ids: {same_file.slide_id!r}{_at(same_file)} and "
                f"{row.slide_id!r}{_at(row)} in {sheet} are both {row.slide.name}; keep one slide_id"
            )
        twice = by_marker.setdefault((row.slide_id, row.marker.casefold()), row)
        if twice is not row:
            raise UsageError(
                f"{sheet} lists marker {row.marker} of slide {row.slide_id!r} twice{_at(twice)}{_at(row)}; "
                "remove one row"
            )


def _at(row: SheetRow) -> str:
    return f", line {row.line}" if row.line else ""


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def _file_identity(path: Path) -> object:
    """The same for two names of one file (link, hard link, `./`), also when the file is missing."""
    if is_url(url := address(path.as_posix())):
        return url
    try:
        status = path.stat()
    except (OSError, ValueError):
        return os.path.normcase(os.path.abspath(os.fspath(path).replace("\0", "")))
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def _check_agreement(rows: Iterable[SheetRow], sheet: str) -> None:
    first: dict[str, SheetRow] = {}
    for row in rows:
        other = first.setdefault(row.slide_id, row)
        for column in PER_SLIDE:
            mine, theirs = row.own.get(column, ""), other.own.get(column, "")
            if mine != theirs:
                raise UsageError(
                    f"{sheet} lines {other.line} and {row.line}: slide {row.slide_id!r} has {column} "
                    f"{theirs!r} and {mine!r}; rows of one slide must agree"
                )


def _check_one_spelling(values: Iterable[tuple[str, int]], column: str, sheet: str) -> None:
    spelt: dict[str, tuple[str, int]] = {}
    for text, line in values:
        other, other_line = spelt.setdefault(_folded(text), (text, line))
        if other != text:
            raise UsageError(
                f"{sheet}: {column} is written {other!r} (line {other_line}) and {text!r} (line {line}); "
                "spell it one way, else they are counted as two"
            )
