"""What kind of skin a cell of the overview looks like: learned trees, one set for each kind."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.core.forest import Forest, forest_of

Array = npt.NDArray[Any]

MODEL_FILE = "compartment_model.json"
CLASSES = ("epidermis", "stratum_corneum", "dermis", "adnexa", "fat", "hair")
ROWS = 65_536  # cells judged at once
FLOOR = -8.0  # log-probabilities stop here, so that one sure cell cannot outvote its surroundings


@lru_cache(maxsize=1)
def forests() -> tuple[Forest, ...]:
    """The trees of each of `CLASSES`."""
    content = json.loads((files("ishcount") / "data" / MODEL_FILE).read_text("utf-8"))
    shared = {"feature_names": content["feature_names"]}
    return tuple(forest_of(shared | content["forests"][name]) for name in CLASSES)


def log_likelihoods(features: dict[str, Array]) -> Array:
    """Log-probability of each of `CLASSES`, float32 (n, 6), as in training, where classes are about even."""
    found = forests()
    columns = [features[name] for name in found[0].feature_names]
    raw = np.empty((len(columns[0]), len(CLASSES)))
    for first in range(0, len(raw), ROWS):
        table = np.stack([column[first : first + ROWS] for column in columns], axis=-1).astype(np.float32)
        for place, forest in enumerate(found):
            raw[first : first + ROWS, place] = forest.raw(table)
    raw -= raw.max(axis=1, keepdims=True)
    log = np.maximum(raw - np.log(np.exp(raw).sum(axis=1, keepdims=True)), FLOOR)
    return np.asarray(log, np.float32)
