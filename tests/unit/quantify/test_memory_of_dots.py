"""What finishing holds of each dot: a few bytes, however many there are; rows of any height, one table."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from ishcount.core import files
from ishcount.quantify.dot_table import copies_of_dots, known_of_dots, write_dots
from ishcount.quantify.finish import RULES, owners_by
from ishcount.quantify.job import SlideJob
from ishcount.quantify.measure import DotPart, Measured

MOST_BYTES = 70  # 29 stay (three owners, copies, score, ...), the rest for a moment; whole tables took 260
N_CELLS = 5000


def job_in(folder):
    return SlideJob(
        slide="none", slide_id="s", folder=folder / "out", work=folder / "work", markers=(("M", "dab"),)
    )


def all_dots(n):
    rng = np.random.default_rng(7)
    columns = {"x_um": rng.random(n) * 1e4, "y_um": np.sort(rng.random(n)) * 1e4}
    columns |= {name: rng.random(n).astype(np.float32) for name in ("area_um2", "peak_od", "integrated_od")}
    columns["score"] = rng.random(n).astype(np.float32)
    columns["reason"] = rng.integers(0, 9, n).astype(np.uint8)
    ids = rng.integers(1, N_CELLS + 1, (n, 6)).astype(np.uint32)
    return columns, np.stack([ids, np.sort(rng.random((n, 6)).astype(np.float32), axis=1).view(np.uint32)])


def kept(job, columns, near, bounds):
    """The dots as `measure` leaves them, in rows that end at `bounds`."""
    parts = []
    for row, (start, stop) in enumerate(pairwise(bounds)):
        part = DotPart(
            0, row, job.work / f"{row}.npz", job.work / f"{row}.npy", columns["score"][start:stop].copy()
        )
        files.write_arrays(part.columns, {name: column[start:stop] for name, column in columns.items()})
        files.write_array(part.near, near[:, start:stop])
        parts.append(part)
    return Measured(dots=parts, nucleus_area_px=np.ones(N_CELLS + 1, np.int32))


def finished(job, measured):
    owners = {rule: owners_by(job, measured, rule) for rule in RULES}
    copies = copies_of_dots(job, measured)
    write_dots(job, measured, owners, copies)
    return known_of_dots(job, measured, owners, copies)


def test_dots_take_few_bytes_each_while_a_slide_is_finished(tmp_path):
    peaks, per_part = {}, 20_000
    for n_parts in (5, 25):
        job, n = job_in(tmp_path / str(n_parts)), n_parts * per_part
        measured = kept(job, *all_dots(n), np.arange(0, n + 1, per_part))
        finished(job, measured)  # libraries and compiled steps are loaded now
        tracemalloc.start()
        finished(job, measured)
        peaks[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    (few, less), (many, more) = peaks.items()
    assert (more - less) / (many - few) < MOST_BYTES


@pytest.mark.parametrize("bounds", [[0, 1, 70_000], [0, 20_000, 20_000, 45_000, 70_000]])
def test_rows_of_any_height_give_the_same_table_of_dots(tmp_path, bounds):
    columns, near = all_dots(70_000)
    tables, known = [], []
    for name, cut in (("one", [0, 70_000]), ("rows", bounds)):
        job = job_in(tmp_path / name)
        known.append(finished(job, kept(job, columns, near, cut)))
        tables.append((job.folder / "dots.parquet").read_bytes())
    assert tables[0] == tables[1]
    pd.testing.assert_frame_equal(known[0], known[1])
    written = pd.read_parquet(tmp_path / "rows" / "out" / "dots.parquet")
    for name in known[0].columns:
        assert (written[name].astype(str) == known[0][name].astype(str)).all()
