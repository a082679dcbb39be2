"""Outlines follow pixel edges: their area is the pixels' area and their corners are corners of pixels."""

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ishcount.outputs.contours import trace_by_bands, trace_contours


def area(ring: np.ndarray) -> float:
    x, y = ring[:, 0].astype(float), ring[:, 1].astype(float)
    return 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def test_a_single_pixel_is_traced_as_its_four_corners() -> None:
    labels = np.zeros((4, 5), np.uint32)
    labels[2, 3] = 1
    contours = trace_contours(labels, np.array([1]), factor=2, origin_row=10, origin_col=20)
    assert contours.ring(0).tolist() == [[46, 24], [48, 24], [48, 26], [46, 26]]


def test_a_label_that_is_absent_has_no_vertices() -> None:
    labels = np.zeros((4, 4), np.uint32)
    labels[1, 1] = 3
    contours = trace_contours(labels, np.array([2, 3]), factor=1)
    assert [len(contours.ring(i)) for i in range(2)] == [0, 4]


def test_no_cells_give_no_contours() -> None:
    contours = trace_by_bands(np.zeros((8, 8), np.uint32), np.zeros(0), factor=2)
    assert len(contours) == 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_traced_area_is_the_filled_pixel_area(seed: int, factor: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((9, 9)) < 0.6
    pieces, _ = ndimage.label(mask)
    largest = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    contours = trace_contours(largest.astype(np.uint32) * 7, np.array([7]), factor=factor)
    # Holes that leak out over a corner are outside for an outline that walks edges only.
    filled = ndimage.binary_fill_holes(largest, structure=np.ones((3, 3)))
    assert area(contours.ring(0)) == filled.sum() * factor**2


def test_outlines_do_not_depend_on_the_bands_they_were_traced_in() -> None:
    rng = np.random.default_rng(1)
    labels = np.zeros((300, 80), np.uint32)
    rows = np.sort(rng.integers(5, 290, 12))
    for i, row in enumerate(rows):
        col = 6 * i + 2
        labels[row - 4 : row + 5, col : col + 4] = i + 1
    whole = trace_by_bands(labels, rows.astype(float), factor=2, band_rows=4096)
    bands = trace_by_bands(labels, rows.astype(float), factor=2, band_rows=7)
    assert np.array_equal(whole.offsets, bands.offsets)
    assert np.array_equal(whole.vertices, bands.vertices)
    assert all(shapely.Polygon(whole.ring(i)).area == 9 * 4 * 4 for i in range(12))
