"""Finishing by rows of blocks: each nucleus once, numbered as the slide's tables, labels as in one piece."""

from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from ishcount.core import files
from ishcount.core.geometry import block_grid
from ishcount.core.tissue_map import TissueMap
from ishcount.core.units import PixelSize
from ishcount.params import Params
from ishcount.quantify.job import SlideJob
from ishcount.quantify.measure import measure
from ishcount.quantify.merge import block_rows
from ishcount.quantify.summary import SWEEP_CUTS, SWEEP_MIN_DOTS, _sensitivity
from ishcount.steps.cells import add_areas, grow, runs_of
from ishcount.steps.density import densities_from_tables

PX = PixelSize(0.5, 0.5)
SIDE, MARGIN, N_BLOCKS = 240, 56, 3
SIZE = SIDE * N_BLOCKS


class Plan:
    """The part of a plan that finishing by rows needs; a nuclei grid as fine as level 0."""

    width = height = SIZE
    pixel_size = grid_pixel_size = PX
    grid_factor, block_px, grid_shape = 1, SIDE, (SIZE, SIZE)
    blocks: ClassVar = {block.key: block for block in block_grid(SIZE, SIZE, SIDE, MARGIN)}
    keys = tuple(blocks)


def tissue() -> TissueMap:
    cells = SIZE // 8
    everywhere = np.ones((cells, cells), np.uint8)
    return TissueMap(
        kind=everywhere, section=everywhere.astype(np.uint16), compartment=0 * everywhere,
        compartment_names=("",), low=everywhere > 0, high=everywhere > 0, depth_um=None, factor_px=8,
        width_px=SIZE, height_px=SIZE, pixel_size=PX,
    )  # fmt: skip


@pytest.fixture
def scene(tmp_path, rng):
    """Round nuclei over the slide, each outlined by the block of its centre, some across a border."""
    job = SlideJob(
        slide="none", slide_id="s", folder=tmp_path / "out", work=tmp_path / "work", markers=(("M", "dab"),)
    )
    labels = np.zeros((SIZE, SIZE), np.uint32)
    y, x = np.mgrid[:SIZE, :SIZE]
    centres = rng.integers(12, SIZE - 12, (300, 2))
    centres[:6, 1] = SIDE  # on a border between columns of blocks
    centres = centres[np.lexsort((centres[:, 1], centres[:, 0]))]
    kept = []
    for row, col in centres:
        disc = (y - row) ** 2 + (x - col) ** 2 < 64
        if not labels[max(0, row - 12) : row + 13, max(0, col - 12) : col + 13].any():
            kept.append((row, col))
            labels[disc] = len(kept)
    for block in Plan.blocks.values():
        write_block(job, block, labels, kept, rng)
    return job, labels, np.array(kept)


def write_block(job, block, labels, kept, rng):
    core = block.core
    found = [i for i, (row, col) in enumerate(kept) if core.contains(col, row)]
    place = np.zeros(len(kept) + 1, np.int32)
    place[np.array(found) + 1] = np.arange(len(found))
    runs = runs_of(labels, np.isin(np.arange(len(kept) + 1), np.array(found) + 1))
    runs[:, 0] = place[runs[:, 0]]
    n = 40
    x, y = rng.integers(core.x, core.x_end, n), rng.integers(core.y, core.y_end, n)
    order = np.lexsort((x, y))
    dots = {
        "x_px": x[order], "y_px": y[order], "x_um": (x[order] + 0.5) * 0.5, "y_um": (y[order] + 0.5) * 0.5,
        "area_um2": np.ones(n, np.float32), "peak_od": np.ones(n, np.float32),
        "integrated_od": np.ones(n, np.float32), "score": rng.random(n).astype(np.float32),
        "reason": np.ones(n, np.uint8),
    }  # fmt: skip
    files.write_arrays(
        job.work / "blocks" / f"{block.key}.npz",
        {
            "damaged": np.zeros(0, np.int64),
            "nucleus_x_um": np.array([(kept[i][1] + 0.5) * 0.5 for i in found]),
            "nucleus_y_um": np.array([(kept[i][0] + 0.5) * 0.5 for i in found]),
            "nucleus_flags": np.zeros(len(found), np.uint32),
            "runs": runs[np.argsort(runs[:, 0], kind="stable")],
            **{f"M/{name}": value for name, value in dots.items()},
        },
    )


def test_rows_give_the_nuclei_in_the_order_of_the_tables(scene):
    job, _, kept = scene
    rows = list(block_rows(job, Plan, tissue()))
    y = np.concatenate([row.nuclei.y_um for row in rows])
    x = np.concatenate([row.nuclei.x_um for row in rows])
    assert np.array_equal(np.column_stack([y, x]), (kept + 0.5) * 0.5)
    assert [row.nuclei.first_id for row in rows] == list(
        1 + np.cumsum([0, *(len(row.nuclei.x_um) for row in rows)])[:-1]
    )


def test_areas_and_labels_by_rows_are_those_of_the_whole_picture(scene):
    import zarr

    job, labels, kept = scene
    measured = measure(job, Plan, tissue())
    written = zarr.open_group(str(job.folder / "labels.ome.zarr"), mode="r")["0"][:]
    assert np.array_equal(written, labels)
    for image, found in ((labels, measured.nucleus_area_px), (grow(labels, 5.0, 5.0), measured.cell_area_px)):
        expected = np.zeros(len(kept) + 1, np.int32)
        add_areas(image, expected)
        assert np.array_equal(found[1:], expected[1:])
    assert sum(len(piece) for piece in measured.outline_parts()) == len(kept)


def test_a_nucleus_outlined_by_two_blocks_is_counted_once(scene):
    job, _, _ = scene
    before = sum(len(row.nuclei.x_um) for row in block_rows(job, Plan, tissue()))
    first, second = (job.work / "blocks" / f"r00001c0000{col}.npz" for col in (0, 1))
    a, b = files.read_arrays(first), files.read_arrays(second)
    place = int(np.argmax(a["nucleus_x_um"]))
    row = round(float(a["nucleus_y_um"][place]) / 0.5)
    rows = np.arange(row - 4, row + 5)
    outline = np.column_stack([0 * rows, rows, 0 * rows + SIDE - 5, 0 * rows + SIDE + 5]).astype(np.int32)
    for part, x_um in ((a, (SIDE - 0.5) * 0.5), (b, (SIDE + 0.5) * 0.5)):
        n = len(part["nucleus_x_um"])
        part["nucleus_x_um"] = np.r_[part["nucleus_x_um"], x_um]
        part["nucleus_y_um"] = np.r_[part["nucleus_y_um"], row * 0.5]
        part["nucleus_flags"] = np.r_[part["nucleus_flags"], np.uint32(0)]
        part["runs"] = np.concatenate([part["runs"], outline + np.array([n, 0, 0, 0], np.int32)])
    files.write_arrays(first, a)
    files.write_arrays(second, b)
    assert sum(len(r.nuclei.x_um) for r in block_rows(job, Plan, tissue())) == before + 1


def test_the_sweep_gives_what_counting_each_setting_gives(rng):
    n = 200
    score = rng.random(n).astype(np.float32)
    dots = pd.DataFrame(
        {"marker": "M", "score": score, "n_copies": rng.integers(1, 4, n).astype(np.uint16),
         "cell_id": rng.integers(0, 31, n).astype(np.uint32)}
    )  # fmt: skip
    cells = pd.DataFrame({"cell_id": np.arange(1, 31), "compartment": "dermis", "M_score": np.float32(0)})
    cells.loc[:3, "compartment"] = ""
    regions = pd.DataFrame(
        [{"compartment": "tissue", "area_mm2": 2.5, "area_low_mm2": 2.0, "area_high_mm2": 3.0,
          "outline_mm2": 3.0}]
    )  # fmt: skip
    owner = dots["cell_id"].to_numpy()
    sweep = _sensitivity("M", cells, dots, regions, {"nearest": owner})
    assert len(sweep) == len(SWEEP_CUTS) * len(SWEEP_MIN_DOTS)
    for entry in sweep:
        row = densities_from_tables(
            cells, dots, regions, cut=entry["dot_cut"], min_dots=entry["min_dots"], params=Params().density
        ).iloc[0]
        assert entry["n_positive"] == row["n_positive"]
        assert entry["positive_per_mm2"] == row["positive_per_mm2"]
