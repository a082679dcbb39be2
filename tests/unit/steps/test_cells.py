"""Dots find their owners, nuclei grow into cells."""

import numpy as np
import pytest
from scipy import ndimage

from ishcount.steps.cells import CellParams, add_areas, assign_owners, grow, near_nuclei, paint, runs_of


@pytest.fixture
def labels(rng):
    picture = np.zeros((120, 140), np.uint32)
    y, x = np.mgrid[:120, :140]
    for i, (row, col) in enumerate(rng.uniform(10, 110, (14, 2)), start=1):
        picture[((y - row) ** 2 + (x - col) ** 2 < 36) & (picture == 0)] = i
    return picture


def test_distances_are_those_of_a_distance_transform(labels, rng):
    x, y = rng.uniform(0, 70, 200), rng.uniform(0, 60, 200)
    ids, distances = near_nuclei(labels, 0, x, y, 0.5, 0.5, 6.0)
    outside = ndimage.distance_transform_edt(labels == 0) * 0.5
    expected = outside[(y / 0.5).astype(int), (x / 0.5).astype(int)]
    within = expected < 5
    assert np.all(ids[within, 0] > 0)
    assert (
        np.abs(distances[within, 0] - expected[within]).max() < 0.75
    )  # centre against edge of a 0.5 um pixel
    assert np.all(np.diff(np.where(np.isinf(distances), 1e9, distances), axis=1) >= 0)


def test_a_dot_inside_a_nucleus_is_at_distance_zero(labels):
    row, col = np.argwhere(labels == 3)[10]
    ids, distances = near_nuclei(
        labels, 0, np.array([col * 0.5 + 0.2]), np.array([row * 0.5 + 0.2]), 0.5, 0.5, 6.0
    )
    assert ids[0, 0] == 3
    assert distances[0, 0] == 0


def test_bands_give_the_same_neighbours_as_the_whole(labels, rng):
    x, y = rng.uniform(0, 70, 100), rng.uniform(20, 40, 100)
    whole = near_nuclei(labels, 0, x, y, 0.5, 0.5, 6.0)
    band = near_nuclei(labels[20:110], 20, x, y, 0.5, 0.5, 6.0)
    assert np.array_equal(whole[0], band[0])
    assert np.array_equal(whole[1], band[1])


def pairs(*rows):
    ids, distances = np.zeros((len(rows), 6), np.uint32), np.full((len(rows), 6), np.inf, np.float32)
    for i, row in enumerate(rows):
        for k, (label, distance) in enumerate(row):
            ids[i, k], distances[i, k] = label, distance
    return ids, distances, np.ones(len(rows), np.float32)


def test_a_stray_dot_goes_to_the_cell_full_of_dots():
    many = [[(1, 0.0)]] * 8
    dots = pairs(*many, [(2, 0.4), (1, 0.9)])
    assert assign_owners(*dots)[-1] == 1
    assert assign_owners(*dots, CellParams(ownership="nearest"))[-1] == 2
    assert assign_owners(*dots, CellParams(ownership="nuclear"))[-1] == 0


def test_a_dot_far_from_all_has_no_owner():
    assert assign_owners(*pairs([])).tolist() == [0]


def test_ties_go_to_the_lower_id():
    assert assign_owners(*pairs([(7, 1.0), (9, 1.0)])).tolist() == [7]


def test_no_dots_no_owners():
    assert (
        assign_owners(np.zeros((0, 6), np.uint32), np.zeros((0, 6), np.float32), np.zeros(0, np.float32)).size
        == 0
    )


def test_growing_gives_each_pixel_to_the_nearest_nucleus(labels):
    cells = grow(labels, 5.0, 5.0)
    distance, (row, col) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    expected = np.where(distance <= 5, labels[row, col], 0)
    tied = cells != expected
    assert np.array_equal(cells > 0, expected > 0)
    assert tied.mean() < 0.01  # equal distances go to the lower id here, to any in the oracle
    assert np.array_equal(cells[labels > 0], labels[labels > 0])


def test_runs_painted_again_are_the_same_picture(labels):
    runs = runs_of(labels.astype(np.int32), np.ones(20, bool))
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    again = np.zeros_like(labels)
    paint(again, 0, *np.ascontiguousarray(runs.T))
    assert np.array_equal(again, labels)
    count = np.zeros(15, np.int64)
    add_areas(again, count)
    assert np.array_equal(count, np.bincount(labels.ravel(), minlength=15))
