"""`report.html`: one file, no network, no script; everything from the data is escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ishcount.core.files import write_text
from ishcount.report.content import Report
from ishcount.report.figures.drawn import ONE_COLUMN_IN, Drawn
from ishcount.report.gallery import CROP_UM, SlideGallery

TEMPLATES = Path(__file__).parent / "templates"


def write_html(
    path: Path,
    report: Report,
    *,
    figures: Sequence[Drawn] = (),
    thumbnails: Mapping[str, bytes] | None = None,
    galleries: Sequence[SlideGallery] = (),
) -> None:
    """Write the report. thumbnails: slide_id -> JPEG bytes."""
    write_text(path, render_html(report, figures=figures, thumbnails=thumbnails or {}, galleries=galleries))


def render_html(
    report: Report,
    *,
    figures: Sequence[Drawn],
    thumbnails: Mapping[str, bytes],
    galleries: Sequence[SlideGallery],
) -> str:
    """The page as text."""
    import jinja2

    style = (TEMPLATES / "report.css").read_text("utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    shown = sum(len(gallery.crops) for gallery in galleries)
    total = sum(gallery.n_positive for gallery in galleries)
    return environment.get_template("report.html.j2").render(
        report=report,
        style=_Safe(style),
        style_hash="sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        figures=[_figure(figure) for figure in figures],
        thumbnails=_thumbnails(report, thumbnails),
        galleries=[_gallery(gallery) for gallery in galleries if gallery.n_positive],
        without_cells=[f"{g.slide_id} ({g.marker})" for g in galleries if not g.n_positive],
        gallery_note=f"All {total} are shown." if shown == total else f"{shown} of {total} are shown.",
        crop_um=f"{CROP_UM:g}",
        contents=_contents(report, bool(figures), bool(galleries)),
    )


class _Safe(str):
    """Our own style sheet: it holds nothing from the data and needs no escaping."""

    def __html__(self) -> str:
        return str(self)


def _contents(report: Report, has_figures: bool, has_gallery: bool) -> list[tuple[str, str]]:
    found = [("answer", "The answer")]
    found += [("figures", "Figures")] if has_figures else []
    found += [(group.anchor, group.title) for group in report.table_groups]
    found += [("gallery", "Positive cells")] if has_gallery else []
    rest = ("methods", "limitations", "checklists", "provenance")
    return found + [(name, name.capitalize()) for name in rest]


def _figure(figure: Drawn) -> dict[str, Any]:
    return {
        "title": figure.title,
        "caption": figure.caption,
        "alt": figure.alt,
        "uri": _uri("image/svg+xml", figure.svg),
        "is_column": figure.width_in <= ONE_COLUMN_IN,
    }


def _thumbnails(report: Report, thumbnails: Mapping[str, bytes]) -> list[dict[str, str]]:
    slides = {}
    for group in report.table_groups:
        for table in group.tables:
            if table.title == "Slides":
                slides = {
                    row.cells[0]: f"{row.cells[1]} {row.cells[8] or 'no density'} per mm\u00b2"
                    for row in table.rows
                }
    return [
        {"slide_id": slide_id, "uri": _uri("image/jpeg", picture), "text": slides.get(slide_id, "")}
        for slide_id, picture in sorted(thumbnails.items())
    ]


def _gallery(gallery: SlideGallery) -> dict[str, Any]:
    crops = [
        {
            "cell_id": crop.cell_id,
            "copies": crop.copies,
            "score": crop.score,
            "x_um": crop.x_um,
            "y_um": crop.y_um,
            "uri": _uri("image/jpeg", crop.jpeg),
        }
        for crop in gallery.crops
    ]
    return {
        "slide_id": gallery.slide_id,
        "marker": gallery.marker,
        "n_positive": gallery.n_positive,
        "reason": gallery.reason,
        "crops": crops,
    }


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
