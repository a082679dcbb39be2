"""The learned trees know skin in general; this learns the section at hand from where they are sure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.steps.compartments.model import CLASSES, ROWS

Array = npt.NDArray[Any]

OWN = ("r6", "n8", "n16", "t6", "t16", "tm", "m", "gap", "sr", "ut", "cg", "cb")  # looks, no place
SURE = 0.6  # probability from which a cell teaches
MIN_TEACHERS = 60  # cells of 8 um: 60 um each way
TRUST = 0.3  # weight of the section's own evidence against that of the trees
FARTHEST = 12.0  # log-likelihood: a cell unlike all that taught is left to the trees
ROUNDS = 2
KINDS = (("epidermis", "adnexa"), ("stratum_corneum",), ("dermis",))  # what may have a look of its own


def own_looks(features: dict[str, Array]) -> Array:
    """The columns of `OWN`, float64 (n, 12)."""
    return np.stack([features[name] for name in OWN], axis=-1).astype(np.float64)


def refined(table: Array, chances: Array, *, trust: float = TRUST) -> Array:
    """Probabilities (n, 6) after two rounds of learning each kind's look from the cells that are surely so.

    table: `own_looks` of the cells. Dermis has two looks, pale and dense with nuclei. A kind without
    enough sure cells keeps its chances.
    """
    chances = chances / chances.sum(axis=1, keepdims=True)
    current = chances.astype(np.float64)
    for _ in range(ROUNDS):
        looks = [_look(table, current, kind) for kind in KINDS]
        if any(look is None for look in looks[::2]):  # without epithelium or dermis nothing can be compared
            return chances
        known = np.stack([look for look in looks if look is not None], axis=-1)
        best = known.max(axis=1)
        current = np.log(np.maximum(chances.astype(np.float64), 1e-4))
        for kind, look in zip(KINDS, looks, strict=True):
            if look is not None:
                for name in kind:
                    current[:, CLASSES.index(name)] += trust * np.maximum(look - best, -FARTHEST)
        current = np.exp(current - current.max(axis=1, keepdims=True))
        current /= current.sum(axis=1, keepdims=True)
    return current.astype(np.float32)


def _look(table: Array, chances: Array, kind: tuple[str, ...]) -> Array | None:
    """Log-likelihood of each cell under the look of a kind, the better of two for dermis."""
    teach = chances[:, [CLASSES.index(name) for name in kind]].sum(axis=1) > SURE
    groups = [teach]
    if kind == ("dermis",) and teach.any():
        crowded = table[:, OWN.index("n16")] > np.quantile(table[teach, OWN.index("n16")], 0.8)
        groups = [teach & ~crowded, teach & crowded]
    found = [_log_density(table, group) for group in groups if group.sum() >= MIN_TEACHERS]
    return np.maximum.reduce(found) if found else None


def _log_density(table: Array, group: Array) -> Array:
    """Gaussian of `group`, its covariance drawn a fifth of the way to its diagonal."""
    chosen = table[group]
    covariance = np.cov(chosen, rowvar=False)
    covariance = 0.8 * covariance + 0.2 * np.diag(np.diag(covariance)) + 1e-4 * np.eye(table.shape[1])
    middle, inverse = chosen.mean(axis=0), np.linalg.inv(covariance)
    distance = np.empty(len(table))
    for first in range(0, len(table), ROWS):
        away = table[first : first + ROWS] - middle
        distance[first : first + ROWS] = np.einsum("nd,nd->n", away @ inverse, away)
    return np.asarray(-0.5 * (distance + np.linalg.slogdet(covariance)[1]))
