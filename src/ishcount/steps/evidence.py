"""From a candidate's evidence to a score and, where it does not count, a reason.

Two judges: a shipped model (boosted trees learned from drawn and real texture, see docs/model_card.md) and a
rule without learning, kept as baseline and fallback. The model judges twice: first each candidate by itself,
then again knowing the first opinion on its neighbours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ishcount.core.forest import Forest, forest_of
from ishcount.core.neighbours import REACHES_UM, neighbour_evidence
from ishcount.core.settings import Settings
from ishcount.core.tables import DOT_REASONS

Float = npt.NDArray[np.float32]
MODEL_FILE = "dot_model.json"
CONTEXT_UM = REACHES_UM[-1]
COARSE_UM = 0.35  # a single dot of 0.6-1.4 um covers under 4 pixels above this (field notes, section 2)


class EvidenceParams(Settings):
    """Who judges dot candidates."""

    judge: Literal["model", "rule"] = Field(
        "model", description="the shipped model, or the rule without learning"
    )
    max_candidate_area_um2: float = Field(
        12.0, gt=0, description="wider objects are no dots or clusters (a cluster of 10 dots of 1.2 um2), um2"
    )


@dataclass(frozen=True)
class Model:
    """The shipped trees: for a candidate by itself, with its neighbours' first scores beside it, and for each
    reason why a candidate may be no dot."""

    alone: Forest
    among: Forest
    reasons: dict[str, Forest]
    odds: dict[str, float]  # of being a dot over what the trees say (docs/model_card.md)
    card: dict[str, Any]


@cache
def load_model() -> Model | None:
    """The shipped trees and their card, or None where the package holds none."""
    resource = files("ishcount") / "data" / MODEL_FILE
    if not resource.is_file():
        return None
    content = json.loads(resource.read_text("utf-8"))
    reasons = {name: forest_of(trees) for name, trees in content["reasons"].items()}
    alone, among = forest_of(content["alone"]), forest_of(content["among"])
    return Model(alone, among, reasons, content["odds"], content["card"])


def _chosen(params: EvidenceParams) -> Model | None:
    """The model, where it is to judge and there is one."""
    return load_model() if params.judge == "model" else None


def _as_learned(model: Model, features: Float, feature_names: tuple[str, ...]) -> Float:
    """The columns a model was learned on, in its order."""
    if model.alone.feature_names == feature_names:
        return np.ascontiguousarray(features)
    columns = [feature_names.index(name) for name in model.alone.feature_names]
    return np.ascontiguousarray(features[:, columns])


def training_prevalence(params: EvidenceParams) -> float:
    """Share of cells that were positive where the scores were calibrated; 0.5 for the rule."""
    model = _chosen(params)
    return float(model.card["cell_prevalence"]) if model else 0.5


def score_candidates(
    features: Float,
    feature_names: tuple[str, ...],
    x: npt.NDArray[np.int32],
    y: npt.NDArray[np.int32],
    um_per_px: float,
    params: EvidenceParams = EvidenceParams(),
) -> Float:
    """Probability (0-1) that each candidate is a dot: float32 (n,).

    features (n, n_features); x, y in pixels, ordered by row then column. A score is final where all
    candidates within `CONTEXT_UM` were given.
    """
    model = _chosen(params)
    if model is None:
        return rule_score(features, feature_names)
    alone = _as_learned(model, features, feature_names)
    contrast = features[:, feature_names.index("contrast_total")]
    around = neighbour_evidence(x, y, contrast, model.alone.raw(alone), um_per_px)
    raw = model.among.raw(np.concatenate([alone, around], axis=1))
    mpp_um = features[:, feature_names.index("mpp_um")]
    return _sigmoid(raw + np.log(np.where(mpp_um > COARSE_UM, model.odds["coarse"], model.odds["fine"])))


def rule_score(features: Float, feature_names: tuple[str, ...]) -> Float:
    """A dot is compact, dark enough and of the chromogen's colour: a logistic of four pieces of evidence.

    Centres are hand-set half-way between what dots and confounders show on easy phantoms: contrast 0.18 OD,
    four fifths of it in the chromogen's direction, a residual share within 0.35, and a fall to 60 % at 1 um.
    """
    column = {name: features[:, place].astype(np.float64) for place, name in enumerate(feature_names)}
    raw = (
        12 * (column["contrast_c"] - 0.18)
        + 14 * (column["share_c"] - 0.80)
        - 10 * np.maximum(np.abs(column["share_r"]) - 0.35, 0)
        - 4 * np.maximum(column["profile_3"] - 0.6, 0)
        - 4 * np.maximum(column["colour_h"] - column["colour_c"], 0)
    )
    return _sigmoid(raw)


def _sigmoid(raw: npt.NDArray[np.float64]) -> Float:
    return (1 / (1 + np.exp(-np.clip(raw, -40, 40)))).astype(np.float32)


def reject_reasons(
    features: Float, feature_names: tuple[str, ...], params: EvidenceParams = EvidenceParams()
) -> npt.NDArray[np.uint8]:
    """What each candidate looks most like if it is not a dot: places in `core.tables.DOT_REASONS`, (n,)."""
    model = _chosen(params)
    if model is None:
        words = rule_reasons(features, feature_names)
        return np.array([DOT_REASONS.index(word) for word in words], np.uint8)
    alone = _as_learned(model, features, feature_names)
    likeness = np.stack([forest.raw(alone) for forest in model.reasons.values()])
    codes = np.array([DOT_REASONS.index(word) for word in model.reasons], np.uint8)
    return np.asarray(codes[likeness.argmax(axis=0)])


def rule_reasons(features: Float, feature_names: tuple[str, ...]) -> npt.NDArray[np.str_]:
    """Reasons without learning: by colour first, then by shape.

    Near-black or brown with blue absorption is melanin, a broad even disc of red-brown is a red cell, very
    dark blue and compact is precipitate, blue is haematoxylin, wide is diffuse.
    """
    column = {name: features[:, place] for place, name in enumerate(feature_names)}
    brown = column["is_brown"] > 0
    reason = np.full(len(features), "low_score", dtype="<U16")
    wide = column["size_um"] > 0.62
    reason[wide] = "diffuse"
    blue = column["share_h"] > np.maximum(column["share_c"], np.abs(column["share_r"]))
    reason[blue] = "haematoxylin"
    reason[blue & (column["h_ring0"] > 0.9) & (column["contrast_h"] > 0.4)] = "precipitate"
    pigment = column["share_r"] > np.where(brown, 0.25, 0.45)
    other = column["share_r"] < np.where(brown, -0.25, -0.45)
    reason[pigment] = "melanin"
    reason[other] = "diffuse"
    reason[other & brown] = "red_cell"
    reason[pigment & wide & (column["profile_3"] > 0.7)] = "red_cell"
    return reason
