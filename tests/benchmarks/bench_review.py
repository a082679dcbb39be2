"""Review of a million cells: decision to number, recount at a new cut, exclusion, opening.

    python tests/benchmarks/bench_review.py [--cells 1000000]

No window: these are the numbers a person waits for; painting follows when Qt is idle.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import pandas as pd

from ishcount.core import files, tables
from ishcount.core.decisions import Call
from ishcount.result import load_slide_result
from ishcount_napari.lut import LookUpTable
from ishcount_napari.session import Session

MARKER = "IFNG"
SIDE_UM = 14_000.0
N_CORNERS = 40_000


def make_result(folder: Path, n_cells: int) -> None:
    """A result folder with tables and outlines, without pictures."""
    rng = np.random.default_rng(1)
    per_row = ceil(sqrt(n_cells))
    row, col = np.divmod(np.arange(n_cells), per_row)
    x, y = ((place + 0.5) * SIDE_UM / per_row for place in (col, row))
    score = np.zeros(n_cells, np.float32)
    n_candidates = n_cells // 20
    score[rng.permutation(n_cells)[:n_candidates]] = rng.beta(0.3, 3, n_candidates)
    positive = score >= 0.9
    cells = pd.DataFrame({
        "cell_id": np.arange(1, n_cells + 1), "x_um": x, "y_um": y,
        "nucleus_area_um2": 50.0, "cell_area_um2": 90.0, "section": 1, "depth_um": y, "flags": 0,
        "compartment": np.where(y < 2000, "epidermis", "dermis"), f"{MARKER}_dots": positive,
        f"{MARKER}_dots_nucleus": positive, f"{MARKER}_copies": positive, f"{MARKER}_score": score,
        f"{MARKER}_positive": positive,
    })  # fmt: skip
    files.write_parquet(folder / "cells.parquet", tables.check(cells, tables.cells_schema([MARKER])))
    owners = np.flatnonzero(score > 0)
    dots = pd.DataFrame({
        "dot_id": np.arange(1, len(owners) + 1), "marker": MARKER, "x_um": cells["x_um"].to_numpy()[owners],
        "y_um": y[owners], "area_um2": 0.4, "peak_od": 0.5, "integrated_od": 0.2, "n_copies": 1,
        "copies_low": 1, "copies_high": 1, "cell_id": owners + 1, "in_nucleus": True, "score": score[owners],
        "reason": np.where(score[owners] >= 0.9, "", "low_score"),
    })  # fmt: skip
    files.write_parquet(folder / "dots.parquet", tables.check(dots, tables.DOTS))
    files.write_json(folder / "tissue.geojson", wavy_outlines())
    areas = {"tissue": SIDE_UM**2 * 1e-6, "epidermis": 28.0, "dermis": SIDE_UM**2 * 1e-6 - 28.0}
    summary = {
        "slide_id": "big", "mpp_x_um": 0.25, "mpp_y_um": 0.25, "width_px": 56_000, "height_px": 56_000,
        "compartments": {name: {"area_mm2": area} for name, area in areas.items()},
        "counting": {"dot_cut": 0.9, "min_dots": 1, "training_prevalence": 0.5},
        "markers": {MARKER: {"chromogen": "fast_red"}},
    }  # fmt: skip
    files.write_json(folder / "summary.json", summary)


def wavy_outlines() -> dict[str, object]:
    """Tissue and compartments with `N_CORNERS` each: more than the outlines of a ragged section."""
    features = []
    for name, top, bottom in (("tissue", 0, 56_000), ("epidermis", 0, 8_000), ("dermis", 8_000, 56_000)):
        x = np.linspace(0, 56_000, N_CORNERS // 2)
        wave = 200 * np.sin(np.arange(N_CORNERS // 2))
        ring = np.concatenate([np.column_stack([x, top + wave]), np.column_stack([x, bottom + wave])[::-1]])
        geometry = {"type": "Polygon", "coordinates": [[*ring.tolist(), ring[0].tolist()]]}
        features.append(
            {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name}}}
        )
    return {"type": "FeatureCollection", "features": features}


def milliseconds(act: Callable[[int], object], *, times: int) -> tuple[float, float]:
    """Median and largest duration of `act`, called with 0 .. times - 1."""
    taken = []
    for turn in range(times):
        start = time.perf_counter()
        act(turn)
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken), max(taken)


def box(turn: int) -> list[list[float]]:
    """A polygon of 200 corners that holds some 40,000 cells."""
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    x, y = 7000 + 1600 * np.cos(angle) + turn, 7000 + 1600 * np.sin(angle)
    return np.column_stack([x, y]).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=1_000_000)
    n_cells = parser.parse_args().cells
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_result(folder, n_cells)
        load_slide_result(folder)
        start = time.perf_counter()
        session = Session(load_slide_result(folder), reviewer="bench")
        opening_s = time.perf_counter() - start
        ids = np.random.default_rng(2).integers(1, n_cells, 500).tolist()
        shown: list[float] = []
        session.listeners.append(lambda _: shown.append(session.numbers().per_mm2))
        looks = LookUpTable(session.live.looks(MARKER))
        rows = {
            "decision to number": milliseconds(
                lambda turn: session.decide(Call(turn % 2), [ids[turn]]), times=200
            ),
            "undo to number": milliseconds(lambda _: session.undo(), times=100),
            "new cut to number": milliseconds(lambda turn: session.preview_cut(0.3 + turn / 100), times=30),
            "exclusion polygon to number": milliseconds(
                lambda turn: session.exclude(box(turn), reason="fold"), times=8
            ),
            "colours of all cells": milliseconds(
                lambda _: looks.set_all(session.live.looks(MARKER)), times=10
            ),
            "most uncertain queue": milliseconds(lambda _: session.choose_queue("uncertain"), times=5),
        }
        bars = {"decision to number": 50, "undo to number": 50, "new cut to number": 100}
        bars["exclusion polygon to number"] = 100
        print(f"{n_cells:,} cells, Python {sys.version.split()[0]}, numpy {np.__version__}")
        print(f"{'opening (tables, log, counts)':32}{opening_s:9.2f} s   bar 5 s")
        for words, (median, largest) in rows.items():
            bar = f"   bar {bars[words]} ms" if words in bars else ""
            print(f"{words:32}{median:9.2f} ms median, {largest:8.2f} ms largest{bar}")
        print(json.dumps({"opening_s": opening_s, **{words: found[0] for words, found in rows.items()}}))


if __name__ == "__main__":
    main()
