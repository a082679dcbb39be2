"""`report.pdf`, typeset by Typst, which comes whole as a wheel: no system package, no browser."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from ishcount.core.files import plain_json, write_bytes
from ishcount.report.content import Report
from ishcount.report.dates import UNKNOWN
from ishcount.report.figures.drawn import Drawn
from ishcount.report.gallery import SlideGallery
from ishcount.report.html import TEMPLATES
from ishcount.report.printed import Table

NARROWEST, WIDEST = 4, 26  # letters: bounds of a column's share of the page


def write_pdf(
    path: Path,
    report: Report,
    *,
    figures: Sequence[Drawn] = (),
    thumbnails: Mapping[str, bytes] | None = None,
    galleries: Sequence[SlideGallery] = (),
    date: datetime | None = None,
) -> None:
    """Write the report for paper: all but the list of parameters. thumbnails: slide_id -> JPEG bytes.

    date: written as the document's own, so that equal results give equal bytes.
    """
    import typst

    with tempfile.TemporaryDirectory(prefix="ishcount-") as name:
        folder = Path(name)
        for figure in figures:
            (folder / f"{figure.stem}.svg").write_bytes(figure.svg)
        data = _data(report, figures) | {
            "thumbnails": _saved(
                folder, "slide", [(name, jpeg) for name, jpeg in (thumbnails or {}).items()]
            ),
            "galleries": [
                {
                    "title": f"{gallery.slide_id}, {gallery.marker}: {gallery.n_positive} positive cells",
                    "crops": _saved(
                        folder, f"cell-{n}", [(str(crop.cell_id), crop.jpeg) for crop in gallery.crops]
                    ),
                }
                for n, gallery in enumerate(galleries)
                if gallery.crops
            ],
        }
        content = json.dumps(plain_json(data), ensure_ascii=False)
        (folder / "data.json").write_text(content, "utf-8")
        shutil.copyfile(TEMPLATES / "report.typ", folder / "report.typ")
        # Only the fonts inside the wheel, and the inputs' date: the same bytes on every machine of a kind.
        seconds = int((date or UNKNOWN).timestamp())
        pdf = typst.compile(folder / "report.typ", root=folder, ignore_system_fonts=True, timestamp=seconds)
    write_bytes(path, pdf)


def _saved(folder: Path, stem: str, pictures: Sequence[tuple[str, bytes]]) -> list[dict[str, str]]:
    """Write JPEGs for the typesetter under names of our own; `name` and `file` of each."""
    found = []
    for number, (name, jpeg) in enumerate(pictures):
        file = f"{stem}-{number}.jpg"
        (folder / file).write_bytes(jpeg)
        found.append({"name": name, "file": file})
    return found


def _data(report: Report, figures: Sequence[Drawn]) -> dict[str, Any]:
    data = asdict(report)
    data["table_groups"] = [
        {"title": group.title, "lines": group.lines, "tables": [_table(table) for table in group.tables]}
        for group in report.table_groups
    ]
    for checklist, plain in zip(report.checklists, data["checklists"], strict=True):
        plain["n_open"] = checklist.n_open
    data["figures"] = [
        {
            "file": f"{figure.stem}.svg",
            "title": figure.title,
            "caption": figure.caption,
            "alt": figure.alt,
            "width_in": min(figure.width_in, 6.85),
        }
        for figure in figures
    ]
    del data["parameters"]
    return data


def _table(table: Table) -> dict[str, Any]:
    """A table with column widths in proportion to their longest words and texts."""
    widths = []
    for index, column in enumerate(table.columns):
        texts = [row.cells[index] for row in table.rows]
        longest = max([len(text) for text in texts], default=0)
        word = max([len(part) for text in [column.name, *texts] for part in text.split()], default=0)
        widths.append(float(min(max(word + 2, longest**0.5 * 3, NARROWEST), WIDEST)))
    return {
        "caption": table.caption or table.title,
        "columns": [column.name for column in table.columns],
        "numbers": [column.is_number for column in table.columns],
        "rows": [asdict(row) for row in table.rows],
        "widths": widths,
    }
