"""Boosted trees as plain numbers: prediction needs no learning library and is exact for one row or a
million."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit


@dataclass(frozen=True)
class Forest:
    """An additive ensemble of binary trees over named features.

    Node i goes to `left[i]` when `features[feature[i]] <= threshold[i]`, else to `right[i]`; a leaf has
    feature -1 and adds `value[i]`. `roots` are the trees' first nodes; `base` is added once.
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
        return _raw(
            features, self.feature, self.threshold, self.left, self.right, self.value, self.roots, self.base
        )


@njit
def _raw(
    features: npt.NDArray[np.float32],
    feature: npt.NDArray[np.int16],
    threshold: npt.NDArray[np.float64],
    left: npt.NDArray[np.int32],
    right: npt.NDArray[np.int32],
    value: npt.NDArray[np.float64],
    roots: npt.NDArray[np.int32],
    base: float,
) -> npt.NDArray[np.float64]:
    result = np.empty(features.shape[0], np.float64)
    for row in range(features.shape[0]):
        total = base
        for root in roots:
            node = root
            while feature[node] >= 0:
                node = left[node] if features[row, feature[node]] <= threshold[node] else right[node]
            total += value[node]
        result[row] = total
    return result


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
