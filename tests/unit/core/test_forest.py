"""Trees as bit masks give what walking each tree gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ishcount.core.forest import Forest, forest_of

N_FEATURES = 5


def grown(rng: np.random.Generator, n_trees: int, most_leaves: int) -> Forest:
    """Random trees of 1 to `most_leaves` leaves; thresholds are few, so that many rows lie exactly on one."""
    columns: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "right", "value")}
    roots = []

    def add(leaves: int) -> int:
        node = len(columns["feature"])
        for name, value in zip(columns, (-1, 0.0, -1, -1, float(rng.normal())), strict=True):
            columns[name].append(value)
        if leaves > 1:
            on_left = int(rng.integers(1, leaves))
            columns["feature"][node] = int(rng.integers(N_FEATURES))
            columns["threshold"][node] = float(rng.choice([-0.3, 0.1, 0.7]))
            columns["left"][node], columns["right"][node] = add(on_left), add(leaves - on_left)
        return node

    for _ in range(n_trees):
        roots.append(add(int(rng.integers(1, most_leaves + 1))))
    names = [f"f{k}" for k in range(N_FEATURES)]
    return forest_of({"feature_names": names, "trees": columns | {"roots": roots}, "base": 0.25})


def walked(forest: Forest, row: np.ndarray) -> float:
    total = forest.base
    for root in forest.roots:
        node = root
        while forest.feature[node] >= 0:
            goes_left = float(row[forest.feature[node]]) <= forest.threshold[node]
            node = forest.left[node] if goes_left else forest.right[node]
        total += forest.value[node]
    return total


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from([1, 2, 14, 32, 33, 64]), st.integers(1, 150))
def test_every_row_gets_the_sum_of_the_leaves_it_walks_to(seed, most_leaves, n_rows):
    rng = np.random.default_rng(seed)
    forest = grown(rng, int(rng.integers(1, 12)), most_leaves)
    rows = rng.choice([-0.3, 0.1, 0.7, -1.0, 0.4, 2.0], (n_rows, N_FEATURES)).astype(np.float32)
    assert forest.raw(rows).tolist() == [walked(forest, row) for row in rows]


def test_no_rows_give_no_scores():
    forest = grown(np.random.default_rng(0), 3, 14)
    assert forest.raw(np.zeros((0, N_FEATURES), np.float32)).shape == (0,)


def test_a_tree_of_more_leaves_than_bits_is_refused():
    rng = np.random.default_rng(1)
    forest = grown(rng, 1, 1)
    while len(forest.feature) < 2 * 65 - 1:
        forest = grown(rng, 1, 90)
    with pytest.raises(ValueError, match="at most 64"):
        forest.raw(np.zeros((1, N_FEATURES), np.float32))
