"""A finished two-group study as `ishcount study` leaves it before any report, made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from ishcount.core import files
from ishcount.outputs.pictures import write_qc_picture
from ishcount.params import Params, params_toml
from ishcount.result import load_slide_result, write_densities
from tests.result_folder import CUT, HEIGHT_PX, MARKER, MPP, TISSUE, WIDTH_PX, MadeResult, make_result

# slide_id -> patient, group, role, positive cells kept of the 15 each slide is made with
SHEET = {
    "EM-01": ("P01", "EM", "target", 15),
    "EM-02": ("P02", "EM", "target", 9),
    "EM-03": ("P03", "EM", "target", 6),
    "EM-04": ("P04", "EM", "target", 3),
    "N-01": ("P11", "normal", "target", 0),
    "N-02": ("P12", "normal", "target", 2),
    "N-03": ("P13", "normal", "target", 1),
    "N-04": ("P14", "normal", "target", 0),
    "DAPB-01": ("P01", "EM", "negative_control", 1),
}


def make_study(out: Path, *, hostile: str = "") -> Path:
    """Write the study into `out` and give it back. hostile: a note that travels from sheet to table."""
    made = make_result(out, slide_ids=tuple(SHEET))
    for item in made:
        _thin(item, SHEET[item.slide_id][3])
        _finish_slide(item)
    rows = []
    for item in made:
        patient, group, role, _ = SHEET[item.slide_id]
        slide = load_slide_result(item.slide_folder)
        counts = slide.densities().assign(
            slide_id=item.slide_id, patient=patient, group=group, role=role, status="ok",
            chromogen="fast_red", reviewed=False, flags="NO_GLASS" if item.slide_id == "EM-02" else "",
            ishcount_version="0.1.0",
            params_digest=Params().digest(), slide_digest="ab" * 8, mpp_x_um=MPP, mpp_y_um=MPP, note=hostile,
        )  # fmt: skip
        rows.append(counts)
    failed = {"slide_id": "EM-05", "patient": "P05", "group": "EM", "role": "target", "marker": MARKER}
    failed |= {"compartment": "tissue", "status": "failed", "error_code": "E_MPP", "reviewed": False}
    failed |= {"reason": "no pixel size in the file; give one with --mpp", "note": hostile}
    table = pd.concat([*rows, pd.DataFrame([failed])], ignore_index=True)
    write_densities(out, _declared(table))
    files.write_text(out / "params.toml", params_toml(Params()))
    _write_run(out, made)
    return out


def _declared(table: pd.DataFrame) -> pd.DataFrame:
    from ishcount.core import tables

    for name in tables.DENSITIES:
        if name not in table:
            table[name] = None
    return pd.concat([tables.check(table, tables.DENSITIES), table[["note"]]], axis=1)


def _thin(item: MadeResult, n_kept: int) -> None:
    """Leave the first `n_kept` positive cells, as if the dots of the others had scored low."""
    folder = item.slide_folder
    cells, dots = pd.read_parquet(folder / "cells.parquet"), pd.read_parquet(folder / "dots.parquet")
    lost = cells.index[cells[f"{MARKER}_positive"]][n_kept:]
    cells.loc[lost, [f"{MARKER}_dots", f"{MARKER}_dots_nucleus", f"{MARKER}_copies"]] = 0
    cells.loc[lost, f"{MARKER}_score"] = np.float32(0.4)
    cells.loc[lost, f"{MARKER}_positive"] = False
    gone = dots["cell_id"].isin(cells.loc[lost, "cell_id"])
    dots.loc[gone, "score"], dots.loc[gone, "reason"] = np.float32(0.4), "low_score"
    files.write_parquet(folder / "cells.parquet", cells)
    files.write_parquet(folder / "dots.parquet", dots)


def _finish_slide(item: MadeResult) -> None:
    """What the hand-made summary lacks: sweep, artefacts, stains, quality; and the overview picture."""
    path = item.slide_folder / "summary.json"
    summary = json.loads(path.read_text("utf-8"))
    slide = load_slide_result(item.slide_folder)
    sweep = []
    for cut in (0.5, 0.8, CUT, 0.97):
        row = slide.densities(cut=cut).iloc[0]
        point = {"dot_cut": cut, "min_dots": 1, "ownership": "expectation_maximisation"}
        sweep.append(point | {"n_positive": row["n_positive"], "positive_per_mm2": row["positive_per_mm2"]})
    summary["markers"][MARKER] |= {"sensitivity": sweep, "expected_false_per_mm2": 0.31}
    summary |= {"sections": [{"section": 1, "area_mm2": 0.19}], "artefacts": {"fold": 0.01, "pen": 0.0}}
    vectors = [{"stain": "haematoxylin"}, {"stain": "fast_red"}]
    summary |= {
        "stains": {"source": "slide;slide", "mismatch": 0.04, "vectors": vectors},
        "qc": {"blur": 0.1},
    }
    files.write_json(path, summary)
    tissue = np.zeros((HEIGHT_PX // 16, WIDTH_PX // 16), bool)
    x, y, width, height = (value // 16 for value in TISSUE)
    tissue[y : y + height, x : x + width] = True
    overview = np.where(tissue[..., None], np.uint8([225, 205, 225]), np.uint8(243))
    write_qc_picture(
        item.slide_folder / "qc.png", overview, slide_width_um=WIDTH_PX * MPP, tissue=tissue, sections=tissue,
        artefacts={}, cells=slide.cells, markers=[MARKER], title=item.slide_id,
    )  # fmt: skip


def _write_run(out: Path, made: list[MadeResult]) -> None:
    slides = [{"slide_id": item.slide_id, "path": str(item.image)} for item in made]
    machine = {"python": "3.11.9"}
    files.write_json(out / "run.json", {"versions": {"numpy": "2.4.6"}, "machine": machine, "slides": slides})
