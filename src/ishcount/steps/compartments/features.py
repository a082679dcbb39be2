"""What a cell of the overview looks like, for telling epidermis from dermis on this slide."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


def smoothed(values: Array, mask: Mask, sigma_cells: float) -> Array:
    """Gaussian mean of `values` over the cells of `mask` alone, float32 (h, w); 0 far from the mask."""
    weight = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma_cells)
    total = cv2.GaussianBlur(np.where(mask, values, 0).astype(np.float32), (0, 0), sigma_cells)
    return np.asarray(np.where(weight > 1e-3, total / np.maximum(weight, 1e-3), 0))


def texture_features(od: Array, mask: Mask, cell_um: float) -> Array:
    """Features float32 (h, w, 7) from optical density (h, w, 3) within `mask`.

    The tint between nuclei in three channels (grey opening, which takes off what is smaller than its window
    and leaves edges where they are), the mean colour over 9 um in three channels, and the spread of red, the
    channel in which haematoxylin absorbs and Fast Red, DAB and eosin hardly.
    """
    side = 2 * max(1, round(8 / cell_um)) + 1
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    planes = []
    for k in range(3):
        fine = np.where(mask, smoothed(od[..., k], mask, 3 / cell_um), 2).astype(np.float32)
        low = cv2.erode(fine, window)
        planes.append(
            smoothed(cv2.dilate(np.where(mask, low, 0).astype(np.float32), window), mask, 5 / cell_um)
        )
    planes += [smoothed(od[..., k], mask, 9 / cell_um) for k in range(3)]
    square = smoothed(od[..., 0] ** 2, mask, 10 / cell_um) - smoothed(od[..., 0], mask, 10 / cell_um) ** 2
    planes.append(np.sqrt(np.maximum(square, 0)))
    return np.stack(planes, axis=-1).astype(np.float32)


def likelihood(features: Array, seeds: Mask, *, widened: float = 1.0) -> Array:
    """Log density float32 (n,) of features (n, d) under the Gaussian of those where `seeds` is True.

    `widened` multiplies the covariance, for seeds that were trimmed. The covariance is drawn a tenth of the
    way to its diagonal, so that few seeds do not give a singular one.
    """
    chosen = features[seeds].astype(np.float64)
    mean, covariance = chosen.mean(axis=0), np.cov(chosen, rowvar=False)
    covariance *= widened
    covariance = 0.9 * covariance + 0.1 * np.diag(np.diag(covariance)) + 1e-7 * np.eye(features.shape[1])
    away = features - mean
    distance = np.einsum("nd,nd->n", away @ np.linalg.inv(covariance), away)
    return np.asarray(-0.5 * (distance + np.linalg.slogdet(covariance)[1]), np.float32)


def otsu(values: Array) -> float:
    """Otsu's threshold of a sample (256 bins)."""
    counts, edges = np.histogram(values, bins=256)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    low = np.cumsum(counts * middles) / np.maximum(below, 1)
    high = (np.sum(counts * middles) - np.cumsum(counts * middles)) / np.maximum(above, 1)
    return float(middles[np.argmax(below * above * (low - high) ** 2)])
