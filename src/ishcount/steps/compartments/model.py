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
    table = np.stack([features[name] for name in found[0].feature_names], axis=-1).astype(np.float32)
    raw = np.stack([forest.raw(table) for forest in found], axis=-1)
    raw -= raw.max(axis=1, keepdims=True)
    log = np.maximum(raw - np.log(np.exp(raw).sum(axis=1, keepdims=True)), FLOOR)
    return np.asarray(log, np.float32)
