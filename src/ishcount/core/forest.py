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
        nodes = [node for splits, _ in trees for node, _ in splits]
        return _Flat(
            first=np.r_[0, np.cumsum([len(splits) for splits, _ in trees])].astype(np.int64),
            feature=self.feature[nodes].astype(np.int64),
            threshold=_float32_below(self.threshold[nodes]),
            survivors=np.array(
                [2**64 - 1 - gone for splits, _ in trees for _, gone in splits], np.uint64
            ).astype(np.uint32 if n_leaves <= 32 else np.uint64),
            leaf_values=leaf_values,
        )


@dataclass(frozen=True)
class _Flat:
    """The same trees without pointers: every leaf is a bit, the leftmost the lowest.

    A row that fails `feature <= threshold` loses the leaves left of that split (`survivors` keeps the
    others); the lowest bit left after all splits of a tree is the row's leaf (Lucchese et al., SIGIR 2015,
    "QuickScorer"). Splits of tree t lie at first[t]:first[t + 1].
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
    bits = np.empty(ROWS, survivors.dtype)
    for start in range(0, n, ROWS):
        rows = min(ROWS, n - start)
        for row in range(rows):
            for column in range(n_features):
                columns[column, row] = features[start + row, column]
        for tree in range(len(leaf_values)):
            bits[:] = ~bits.dtype.type(0)
            for split in range(first[tree], first[tree + 1]):
                values, least, kept = columns[feature[split]], threshold[split], survivors[split]
                for row in range(ROWS):
                    bits[row] &= bits[row] if values[row] <= least else kept
            for row in range(rows):
                result[start + row] += leaf_values[tree, _lowest_bit(bits[row])]
    return result


@njit
def _lowest_bit(bits: Any) -> Any:
    """Place of the lowest set bit."""
    place = 0
    for width in (32, 16, 8, 4, 2, 1):
        if bits & ((np.uint64(1) << np.uint64(width)) - np.uint64(1)) == 0:
            bits >>= np.uint64(width)
            place += width
    return place


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
