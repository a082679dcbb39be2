"""Sums, tree and choice of objects, checked against counting by hand and brute force."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ishcount.core.labels import tidy
from ishcount.core.pieces import (
    AREA,
    GRADIENT,
    LENGTH,
    OPEN,
    OUTSIDE,
    PERIMETER,
    XX,
    XY,
    YY,
    X,
    Y,
    axes_and_fill,
    basins,
    measure_pieces,
    trim,
)
from ishcount.core.region_tree import FEATURES, choose, grow_tree, node_features


def planes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(labels.size)
    return rng.integers(0, 900, labels.shape).astype(np.int16), rng.integers(0, 90, labels.shape).astype(
        np.int16
    )


def ellipse(longer_px: float, shorter_px: float) -> np.ndarray:
    y, x = np.mgrid[-40:41, -40:41]
    return ((x / longer_px) ** 2 + (y / shorter_px) ** 2 <= 1).astype(np.int32)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_the_sums_of_a_union_are_those_of_the_union_measured_as_one(seed):
    labels = np.random.default_rng(seed).integers(0, 3, (7, 8)).astype(np.int32)
    plane, gradient = planes(labels)
    sums, pairs = measure_pieces(labels, 2, plane, gradient)
    if len(pairs) == 0:
        return
    nodes, children, _ = grow_tree(sums, pairs, 1e9)
    together, _ = measure_pieces(np.minimum(labels, 1), 1, plane, gradient)
    assert children[3].tolist() == [1, 2]
    assert nodes[3].tolist() == together[1].tolist()


def test_perimeter_counts_pixel_sides_and_open_those_to_nothing():
    labels = np.zeros((4, 6), np.int32)
    labels[1:3, 1:3], labels[1:3, 3:5] = 1, 2
    ones = np.ones(labels.shape, np.int16)
    sums, pairs = measure_pieces(labels, 2, ones, ones)
    assert sums[1, [AREA, PERIMETER, OPEN, GRADIENT]].tolist() == [4, 8, 6, 16]
    assert pairs[:, :3].tolist() == [[1, 2, 2]]
    assert pairs[0, LENGTH] == 2


def shape(body: np.ndarray) -> tuple[float, ...]:
    ones = np.ones(body.shape, np.int16)
    return axes_and_fill(*measure_pieces(body, 1, ones, ones)[0][1, [AREA, X, Y, XX, YY, XY]])


@pytest.mark.parametrize(("longer", "shorter"), [(10, 10), (20, 8), (30, 6)])
def test_an_ellipse_fills_itself_and_a_dumb_bell_does_not(longer, shorter):
    full = ellipse(longer, shorter)
    *_, major, minor, fill = shape(full)
    assert fill == pytest.approx(1, abs=0.02)
    assert minor / major == pytest.approx(shorter / longer, rel=0.05)
    two = np.minimum(np.roll(ellipse(9, 9), -9, 1) + np.roll(ellipse(9, 9), 9, 1), 1)
    assert shape(two)[-1] < 0.93


def test_a_union_larger_than_allowed_is_never_a_node():
    labels = np.repeat(np.arange(1, 9, dtype=np.int32), 4)[None].repeat(4, 0)
    ones = np.ones(labels.shape, np.int16)
    nodes, _, _ = grow_tree(*measure_pieces(labels, 8, ones, ones), 40)
    assert nodes[:, AREA].max() == 32


def best_by_trying_everything(children: np.ndarray, value: np.ndarray) -> float:
    n = len(children)

    def below(node: int) -> set[int]:
        return {node}.union(*(below(child) for child in children[node] if child))

    best = 0.0
    for picked in product((False, True), repeat=n - 1):
        nodes = [node for node, take in enumerate(picked, start=1) if take]
        if all(b not in below(a) for a in nodes for b in nodes if a != b):
            best = max(best, sum(value[node] for node in nodes))
    return best


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 5), st.integers(0, 100_000))
def test_the_chosen_set_is_the_best_of_all_sets_that_do_not_overlap(n_pieces, seed):
    rng = np.random.default_rng(seed)
    free, children = list(range(1, n_pieces + 1)), [[0, 0] for _ in range(n_pieces + 1)]
    while len(free) > 1 and rng.uniform() < 0.8:
        a, b = (free.pop(rng.integers(len(free))) for _ in range(2))
        children.append([a, b])
        free.append(len(children) - 1)
    tree, value = np.array(children, np.int64), rng.normal(size=len(children))
    owner = choose(tree, value, n_pieces)
    assert value[np.unique(owner[owner > 0])].sum() == pytest.approx(best_by_trying_everything(tree, value))


def test_features_of_all_nodes_are_finite_and_named():
    labels = np.repeat(np.arange(0, 9, dtype=np.int32), 4)[None].repeat(6, 0)
    plane, gradient = planes(labels)
    tree = grow_tree(*measure_pieces(labels, 8, plane, gradient), 1e9)
    features = node_features(*tree, 0.25, 480.0)
    assert features.shape == (len(tree[0]), len(FEATURES))
    assert np.isfinite(features).all()


def test_a_piece_has_the_same_shape_wherever_it_lies():
    body = ellipse(17, 5)
    far = np.zeros((3000, 2500), np.int32)
    far[2900:2981, 2400:2481] = body
    assert shape(far) == shape(body)


def test_fragments_may_have_more_borders_than_pieces_would():
    labels = np.random.default_rng(3).integers(1, 30, (60, 60)).astype(np.int32)
    _, pairs = measure_pieces(labels, 29, *planes(labels))
    assert len(pairs) > 4 * 29 + 16
    sides = np.count_nonzero(labels[1:] != labels[:-1]) + np.count_nonzero(labels[:, 1:] != labels[:, :-1])
    assert pairs[:, LENGTH].sum() == sides
    assert (np.diff(pairs[:, 0] * 100 + pairs[:, 1]) > 0).all()


def test_every_pixel_belongs_to_the_hill_it_climbs():
    height = np.full((9, 16), OUTSIDE, np.float32)
    y, x = np.mgrid[:5, :12]
    height[2:7, 2:14] = 10 - np.minimum(np.hypot(x - 2, y - 2), np.hypot(x - 9, y - 2))
    height[2, 2] = OUTSIDE
    labels, n = basins(height, 2)
    assert n == 2
    assert labels.shape == (5, 12)
    assert labels[0, 0] == 0
    assert (labels[1:, :5] == 1).all()
    assert (labels[:, 7:] == 2).all()


def test_of_two_equal_hilltops_within_the_radius_the_first_takes_both():
    height = np.full((5, 9), OUTSIDE, np.float32)
    height[2, 2:7] = [1, 3, 2, 3, 1]
    assert basins(height, 2)[0].tolist() == [[1, 1, 1, 1, 1]]
    assert basins(height[1:4, 1:8].copy(), 1)[1] == 2


def test_only_the_largest_part_of_a_label_stays():
    labels = np.array([[5, 5, 0, 5], [2, 2, 0, 5], [0, 5, 0, 5]], np.int32)
    tidy(labels)
    assert labels.tolist() == [[0, 0, 0, 5], [2, 2, 0, 5], [0, 0, 0, 5]]


def test_a_hole_within_one_label_is_filled_and_a_gap_between_two_is_not():
    labels = np.zeros((7, 12), np.int32)
    labels[1:6, 1:6], labels[1:6, 6:11] = 1, 2
    labels[3, 3] = labels[3, 5] = labels[3, 6] = 0
    tidy(labels)
    assert labels[3, 3] == 1
    assert labels[3, 5] == labels[3, 6] == 0
    assert (labels[0] == 0).all()


def tidy_by_hand(labels: np.ndarray) -> np.ndarray:
    result = np.zeros_like(labels)
    for value in np.unique(labels[labels > 0]):
        parts, _ = ndimage.label(labels == value)
        sizes = np.bincount(parts.ravel())[1:]
        result[parts == 1 + np.argmax(sizes)] = value
    parts, n = ndimage.label(labels == 0)
    for part in range(1, n + 1):
        hole = parts == part
        around = np.unique(labels[ndimage.binary_dilation(hole) & ~hole])
        at_edge = hole[0].any() or hole[-1].any() or hole[:, 0].any() or hole[:, -1].any()
        if len(around) == 1 and not at_edge:
            result[hole] = around[0]
    return result


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 3))
def test_tidied_labels_are_those_of_looking_at_each_part(seed, n_labels):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_labels + 1, rng.integers(1, 12, 2)).astype(np.int32)
    expected = tidy_by_hand(labels)
    tidy(labels)
    assert labels.tolist() == expected.tolist()


def test_trimming_takes_what_lies_below_a_share_of_the_label_s_own_height():
    labels = np.array([[1, 1, 1, 2, 2, 2]], np.int32)
    trim(labels, 2, np.array([[100, 39, 41, 10, 5, 3]], np.int16), 0.4)
    assert labels.tolist() == [[1, 0, 1, 2, 2, 0]]
