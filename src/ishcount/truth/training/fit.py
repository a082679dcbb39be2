"""Boosted trees over the evidence, judged on imaginary slides that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.core.files import write_json
from ishcount.steps.dots import FEATURE_NAMES

SEED = 20261122
N_TREES = 160
LEAVES = 24
HOLD_OUT = 5  # every fifth slide
CUTS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99)
REAL_WEIGHT = 3.0  # real texture is scarce beside drawn texture: one field counts as three


def fit_and_report(
    slides: Sequence[tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]],
    real: Sequence[tuple[str, npt.NDArray[np.float32], npt.NDArray[np.int8]]],
    output: Path,
    *,
    date: str,
) -> dict[str, Any]:
    """Fit, print the held-out figures, write the model with its card; returns the card."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    held = [i % HOLD_OUT == 0 for i in range(len(slides))]
    train = [slide for slide, out in zip(slides, held, strict=True) if not out]
    test = [slide for slide, out in zip(slides, held, strict=True) if out]
    features = np.concatenate([f for f, _ in train] + [f for _, f, _ in real])
    labels = np.concatenate([y for _, y in train] + [y for _, _, y in real])
    n_drawn = sum(len(y) for _, y in train)
    weight = np.where(np.arange(len(labels)) < n_drawn, 1.0, REAL_WEIGHT)
    model = HistGradientBoostingClassifier(
        max_iter=N_TREES, max_leaf_nodes=LEAVES, learning_rate=0.12, min_samples_leaf=80,
        l2_regularization=5.0, early_stopping=False, random_state=SEED,
    ).fit(features, labels, sample_weight=weight)  # fmt: skip
    held_features, held_labels = np.concatenate([f for f, _ in test]), np.concatenate([y for _, y in test])
    score = model.predict_proba(held_features)[:, 1]
    card = {
        "date": date,
        "seed": SEED,
        "generator": "ishcount.truth.training.patches (second generator; phantoms of truth.simulate unseen)",
        "n_slides": len(train),
        "n_held_out": len(test),
        "n_candidates": len(labels),
        "n_dots": int(labels.sum()),
        "real_negative_fields": [name for name, _, _ in real],
        "cell_prevalence": 0.15,
        "held_out": held_out_table(score, held_labels),
        "reliability": reliability(score, held_labels),
        "limits": "no real chromogenic RNA ISH slide was available; dots were only ever drawn",
    }
    write_json(output, {"card": card, "feature_names": list(FEATURE_NAMES), **export(model)})
    return card


def held_out_table(score: npt.NDArray[np.float64], label: npt.NDArray[np.int8]) -> list[dict[str, float]]:
    """Precision, recall and false dots at each cut on held-out slides."""
    table = []
    for cut in CUTS:
        called = score >= cut
        hits = int((called & (label == 1)).sum())
        table.append(
            {
                "cut": cut,
                "precision": hits / max(int(called.sum()), 1),
                "recall": hits / max(int(label.sum()), 1),
                "false_per_1000_candidates": 1000
                * float((called & (label == 0)).sum())
                / max(int((label == 0).sum()), 1),
            }
        )
    return table


def reliability(score: npt.NDArray[np.float64], label: npt.NDArray[np.int8]) -> list[dict[str, float]]:
    """Mean score against the share of dots, with fine bins among the high scores."""
    edges = np.array([0, 0.01, 0.05, 0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0001])
    place = np.digitize(score, edges) - 1
    return [
        {
            "from": float(edges[k]),
            "n": int(here.sum()),
            "score": float(score[here].mean()),
            "dots": float(label[here].mean()),
        }
        for k in range(len(edges) - 1)
        if (here := place == k).any()
    ]


def export(model: Any) -> dict[str, Any]:
    """The trees as plain lists (`core.forest.Forest`)."""
    columns: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "right", "value")}
    roots = []
    for (tree,) in model._predictors:
        first = len(columns["feature"])
        roots.append(first)
        for node in tree.nodes:
            leaf = bool(node["is_leaf"])
            columns["feature"].append(-1 if leaf else int(node["feature_idx"]))
            columns["threshold"].append(0.0 if leaf else float(np.float32(node["num_threshold"])))
            columns["left"].append(0 if leaf else first + int(node["left"]))
            columns["right"].append(0 if leaf else first + int(node["right"]))
            columns["value"].append(round(float(node["value"]), 6) if leaf else 0.0)
    return {"trees": columns | {"roots": roots}, "base": float(model._baseline_prediction.ravel()[0])}
