"""Decisions for other programs, with who and when; and detections edited in QuPath back as decisions."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import shapely

from ishcount.core import files
from ishcount.core.decisions import Call
from ishcount.core.errors import SlideError
from ishcount.result import SlideResult
from ishcount.review.apply import pixel_size_of
from ishcount.review.log import Change
from ishcount.review.outlines import feature_class, polygon, to_px, to_um
from ishcount.review.state import ReviewState

COLUMNS = {
    "slide_id": "string", "reviewer": "string", "utc": "string", "operation": "string", "marker": "string",
    "item": "string", "x_um": "float64", "y_um": "float64", "automatic": "string", "value": "string",
    "score": "float64", "reason": "string", "queue": "string", "software": "string",
    "result_digest": "string",
}  # fmt: skip
QUPATH_NEGATIVE = {"", "negative"}


def decisions_table(result: SlideResult, states: Mapping[str, ReviewState]) -> pd.DataFrame:
    """One row per decision in force (`COLUMNS`), by reader, then in the order of deciding.

    For cells: their place, automatic class and score. For exclusions and outlines the value is WKT in um.
    """
    cells = result.cells.set_index("cell_id")
    rows = []
    for reader in sorted(states):
        for item, (entry, value) in states[reader].values.items():
            row = {name: getattr(entry, name) for name in ("slide_id", "utc", "reason", "queue", "software")}
            row |= {"reviewer": reader, "operation": item.operation, "marker": item.marker}
            row |= {"item": str(item.name), "result_digest": entry.result_digest, "value": _text(value)}
            if item.operation == "call":
                cell = cells.loc[item.name]
                found = "positive" if cell[f"{item.marker}_positive"] else "negative"
                row |= {"x_um": cell["x_um"], "y_um": cell["y_um"], "automatic": found}
                row["score"] = float(str(cell[f"{item.marker}_score"]))
            elif item.operation == "add":
                row |= {"x_um": value["x_um"], "y_um": value["y_um"], "automatic": "not proposed"}
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _text(value: Any) -> str:
    if isinstance(value, dict) and "polygon_um" in value:
        return str(polygon(value["polygon_um"]).wkt)
    if isinstance(value, dict) and "polygons_um" in value:
        return str(shapely.union_all([polygon(ring) for ring in value["polygons_um"]]).wkt)
    if isinstance(value, dict) and "positive" in value:
        return ";".join(value["positive"]) or "negative"
    if isinstance(value, dict):
        return str(value.get("verdict", ""))
    return str(value)


def write_decisions(path: Path, result: SlideResult, states: Mapping[str, ReviewState]) -> None:
    """Write decisions as CSV, XLSX or GeoJSON, by the name's ending."""
    kind = path.suffix.lower()
    table = decisions_table(result, states)
    if kind == ".csv":
        files.write_csv(path, table)
    elif kind == ".xlsx":
        files.write_bytes(path, _workbook(table))
    elif kind in (".geojson", ".json"):
        files.write_json(path, _geojson(result, states, table))
    else:
        raise SlideError(f"cannot write decisions as {kind!r}; use .csv, .xlsx or .geojson", code="E_FORMAT")


def _workbook(table: pd.DataFrame) -> bytes:
    """One sheet; text stays text, whatever it begins with."""
    import xlsxwriter

    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet("Decisions")
        for place, name in enumerate(table.columns):
            sheet.write_string(0, place, name)
            for row, value in enumerate(table[name].tolist(), 1):
                if isinstance(value, float) and value == value:
                    sheet.write_number(row, place, value)
                elif isinstance(value, str):
                    sheet.write_string(row, place, value)
        sheet.freeze_panes(1, 0)
    return buffer.getvalue()


def _geojson(result: SlideResult, states: Mapping[str, ReviewState], table: pd.DataFrame) -> dict[str, Any]:
    """Points for cells, polygons for exclusions and outlines, in level-0 pixels, with who, when and why."""
    pixel_size = pixel_size_of(result)
    features = []
    for row in table.to_dict("records"):
        value = states[str(row["reviewer"])].value(str(row["operation"]), _name(row), str(row["marker"]))
        if row["operation"] in ("call", "add"):
            shape = shapely.Point(row["x_um"], row["y_um"])
        elif row["operation"] == "exclude":
            shape = polygon(value["polygon_um"])
        elif row["operation"] == "outline":
            shape = shapely.union_all([polygon(ring) for ring in value["polygons_um"]])
        else:
            continue
        name = {"exclude": "Exclude", "outline": row["item"]}.get(str(row["operation"]), row["value"])
        kept = {key: row[key] for key in ("reviewer", "utc", "marker", "item", "automatic", "reason")}
        features.append(
            {
                "type": "Feature",
                "geometry": to_px(shape, pixel_size),
                "properties": {
                    "objectType": "annotation",
                    "classification": {"name": name},
                    "metadata": {key: str(text) for key, text in kept.items() if not pd.isna(text)},
                },
            }
        )
    return {"type": "FeatureCollection", "features": features}


def _name(row: Mapping[Any, Any]) -> int | str:
    return int(row["item"]) if row["operation"] == "call" else str(row["item"])


def changes_from_qupath(
    path: Path, result: SlideResult, state: ReviewState, *, deleted_are_no_cells: bool = False
) -> list[Change]:
    """What a person changed in `cells.geojson` with QuPath, as changes to log.

    A cell (known by its measurement `cell_id`) whose class differs from the call in force, else from the
    automatic class, becomes a call for each marker. An object of a marker's class without `cell_id` is an
    added cell. Cells that are missing from the file become `not_a_cell` only when `deleted_are_no_cells`.
    """
    try:
        content = msgspec.json.decode(path.read_bytes())
        features = content["features"] if isinstance(content, dict) else content
        if not isinstance(features, list):
            raise TypeError("no list of features")
    except (OSError, msgspec.DecodeError, KeyError, TypeError) as error:
        raise SlideError(
            f"{path.name} is no GeoJSON that QuPath wrote ({error}); export the objects again", code="E_ANNOT"
        ) from error
    classes, added = _sorted_features(features, result)
    changes = []
    for marker in result.markers:
        changes += _class_changes(marker, classes, result, state)
    for name, value in added.items():
        changes.append(Change(operation="add", item=name, new=value, reason="QuPath"))
    if deleted_are_no_cells:
        gone = sorted(set(result.cells["cell_id"].tolist()) - classes.keys())
        marker = next(iter(result.markers))
        changes += [_call(marker, cell, Call.NOT_A_CELL, state) for cell in gone]
    return [change for change in changes if change.old != change.new]


def _sorted_features(
    features: list[Any], result: SlideResult
) -> tuple[dict[int, set[str]], dict[str, dict[str, Any]]]:
    """Classes of known cells by id, and added cells by the name they will have."""
    classes: dict[int, set[str]] = {}
    added: dict[str, dict[str, Any]] = {}
    known = set(result.cells["cell_id"].tolist())
    for feature in features:
        found = {part.strip() for part in feature_class(feature).split(":")}
        cell_id = _cell_id(feature)
        if cell_id is not None and cell_id in known:
            classes[cell_id] = found
        elif cell_id is None and found & set(result.markers) and feature.get("geometry"):
            centre = shapely.centroid(to_um(feature["geometry"], pixel_size_of(result)))
            place = {"x_um": round(centre.x, 2), "y_um": round(centre.y, 2)}
            name = f"M:qupath-{feature.get('id') or len(added)}"
            added[name] = {**place, "positive": sorted(found & set(result.markers))}
    return classes, added


def _cell_id(feature: Mapping[str, Any]) -> int | None:
    measured = (feature.get("properties") or {}).get("measurements") or {}
    if isinstance(measured, list):  # as QuPath before 0.4 wrote them
        measured = {entry.get("name"): entry.get("value") for entry in measured}
    value = measured.get("cell_id")
    return None if value is None else int(value)


def _class_changes(
    marker: str, classes: Mapping[int, set[str]], result: SlideResult, state: ReviewState
) -> list[Change]:
    cells = result.cells
    automatic = dict(zip(cells["cell_id"].tolist(), cells[f"{marker}_positive"].tolist(), strict=True))
    calls = state.calls(marker)
    changes = []
    for cell, found in classes.items():
        call = calls.get(cell)
        before = call == Call.POSITIVE if call in (Call.POSITIVE, Call.NEGATIVE) else automatic[cell]
        now = marker in found
        # An unknown class says nothing of the marker: only a marker's name or Negative does.
        is_known = found & set(result.markers) or {name.lower() for name in found} <= QUPATH_NEGATIVE
        if now != before and is_known:
            changes.append(_call(marker, cell, Call.POSITIVE if now else Call.NEGATIVE, state))
    return changes


def _call(marker: str, cell: int, call: Call, state: ReviewState) -> Change:
    old = state.value("call", cell, marker)
    return Change(
        operation="call", marker=marker, item=cell, old=old, new=call.word, reason="QuPath", queue="qupath"
    )
