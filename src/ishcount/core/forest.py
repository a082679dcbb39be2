"""Boosted trees as plain numbers: prediction needs no learning library and is exact for one row or a
million."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit

Bits = npt.NDArray[Any]  # uint32, or uint64 for trees of more than 32 leaves
AT_ONCE = 4  # splits of a tree looked at together: what is left of its leaves is stored once for all four
ROWS = 64  # rows scored side by side: their features stay in the fastest memory


@dataclass(frozen=True)
class Forest:
    """An additive ensemble of binary trees over named features.

    Node i goes to `left[i]` when `features[feature[i]] <= threshold[i]`, else to `right[i]`; a leaf has
    feature -1 and adds `value[i]`. `roots` are the trees' first nodes; `base` is added once. A tree has at
    most 64 leaves.
    """

    feature_names: tuple[str, ...]
    feature: npt.NDArray[np.int16]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    roots: npt.NDArray[np.int32]
    base: float

    def raw(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Log-odds of each row of `features` (n, n_features)."""
        flat = self._flat
        return _raw(
            features, flat.first, flat.feature, flat.threshold, flat.survivors, flat.leaf_values, self.base
        )

    @cached_property
    def _flat(self) -> _Flat:
        trees = [_tree(self, int(root)) for root in self.roots]
        n_leaves = max((len(leaves) for _, leaves in trees), default=1)
        if n_leaves > 64:
            raise ValueError(f"a tree has {n_leaves} leaves; train with at most 64")
        leaf_values = np.zeros((len(trees), n_leaves))
        for place, (_, leaves) in enumerate(trees):
            leaf_values[place, : len(leaves)] = self.value[leaves]
        padded = [splits + [(-1, 0)] * (-len(splits) % AT_ONCE) for splits, _ in trees]
        nodes = np.array([node for splits in padded for node, _ in splits], np.int64)
        gone = [bits for splits in padded for _, bits in splits]
        return _Flat(
            first=np.r_[0, np.cumsum([len(splits) for splits in padded])].astype(np.int64),
            feature=np.where(nodes < 0, 0, self.feature[nodes]).astype(np.int64),
            threshold=np.where(nodes < 0, np.inf, _float32_below(self.threshold[nodes])).astype(np.float32),
            survivors=np.array([2**64 - 1 - bits for bits in gone], np.uint64).astype(
                np.uint32 if n_leaves <= 32 else np.uint64
            ),
            leaf_values=leaf_values,
        )


@dataclass(frozen=True)
class _Flat:
    """The same trees without pointers: every leaf is a bit, the leftmost the lowest.

    A row that fails `feature <= threshold` loses the leaves left of that split (`survivors` keeps the
    others); the lowest bit left after all splits of a tree is the row's leaf (Lucchese et al., SIGIR 2015,
    "QuickScorer"). Splits of tree t lie at first[t]:first[t + 1], filled up to a multiple of `AT_ONCE` with
    splits that change nothing.
    """

    first: npt.NDArray[np.int64]
    feature: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.float32]
    survivors: Bits
    leaf_values: npt.NDArray[np.float64]


def _tree(forest: Forest, root: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Splits (node, bits of the leaves on its left) and leaves (nodes, from left to right) of one tree."""
    splits: list[tuple[int, int]] = []
    leaves: list[int] = []

    def walk(node: int) -> int:
        if forest.feature[node] < 0:
            leaves.append(node)
            return 1 << (len(leaves) - 1)
        left = walk(int(forest.left[node]))
        splits.append((node, left))
        return left | walk(int(forest.right[node]))

    walk(root)
    return splits, leaves


def _float32_below(threshold: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The largest float32 not above each threshold: float32 features compare with it as with the
    threshold itself.
    """
    near = threshold.astype(np.float32)
    below = np.nextafter(near, np.float32(-np.inf))
    return np.asarray(np.where(near > threshold, below, near), np.float32)


@njit
def _raw(
    features: npt.NDArray[np.float32],
    first: npt.NDArray[np.int64],
    feature: npt.NDArray[np.int64],
    threshold: npt.NDArray[np.float32],
    survivors: Bits,
    leaf_values: npt.NDArray[np.float64],
    base: float,
) -> npt.NDArray[np.float64]:
    n, n_features = features.shape
    result = np.full(n, base)
    columns = np.zeros((n_features, ROWS), np.float32)
    bits, lowest = np.empty(ROWS, survivors.dtype), np.empty(ROWS, np.float64)
    exponent = lowest.view(np.int64)
    for start in range(0, n, ROWS):
        rows = min(ROWS, n - start)
        for row in range(rows):
            for column in range(n_features):
                columns[column, row] = features[start + row, column]
        for tree in range(len(leaf_values)):
            _keep_leaves(columns, first[tree], first[tree + 1], feature, threshold, survivors, bits)
            for row in range(ROWS):
                lowest[row] = np.float64(bits[row] & (~bits[row] + bits.dtype.type(1)))
            for row in range(rows):
                # A power of two as a float is its exponent: which bit it was.
                result[start + row] += leaf_values[tree, np.uint64((exponent[row] >> 52) - 1023)]
    return result


@njit
def _keep_leaves(
    columns: npt.NDArray[np.float32],
    first: int,
    last: int,
    feature: npt.NDArray[np.int64],
    threshold: npt.NDArray[np.float32],
    survivors: Bits,
    bits: Bits,
) -> None:
    """`bits` of the leaves of one tree that its splits leave to each of `ROWS` rows."""
    bits[:] = ~bits.dtype.type(0)
    for a in range(first, last, AT_ONCE):
        b, c, d = a + 1, a + 2, a + 3
        in_a, in_b = columns[np.uint64(feature[a])], columns[np.uint64(feature[b])]
        in_c, in_d = columns[np.uint64(feature[c])], columns[np.uint64(feature[d])]
        least_a, least_b, least_c, least_d = threshold[a], threshold[b], threshold[c], threshold[d]
        kept_a, kept_b, kept_c, kept_d = survivors[a], survivors[b], survivors[c], survivors[d]
        for row in range(ROWS):
            left = bits[row]
            left = left if in_a[row] <= least_a else left & kept_a
            left = left if in_b[row] <= least_b else left & kept_b
            left = left if in_c[row] <= least_c else left & kept_c
            left = left if in_d[row] <= least_d else left & kept_d
            bits[row] = left


def forest_of(content: dict[str, Any]) -> Forest:
    """A forest from a model file's `feature_names`, `trees` (columns of equal length) and `base`."""
    trees = content["trees"]
    return Forest(
        feature_names=tuple(content["feature_names"]),
        feature=np.array(trees["feature"], np.int16),
        threshold=np.array(trees["threshold"], np.float64),
        left=np.array(trees["left"], np.int32),
        right=np.array(trees["right"], np.int32),
        value=np.array(trees["value"], np.float64),
        roots=np.array(trees["roots"], np.int32),
        base=float(content["base"]),
    )
