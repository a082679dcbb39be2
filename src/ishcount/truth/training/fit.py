"""Boosted trees over the evidence, judged on imaginary slides that were held out.

Two models of dots: one sees a candidate alone; the other also sees the first one's scores of its neighbours.
The first scores that the second learns from are given by models that never saw the slide. A third model names
what a candidate is if it is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.core.files import write_json
from ishcount.core.neighbours import NEIGHBOUR_NAMES, neighbour_evidence
from ishcount.core.tables import DOT_REASONS
from ishcount.steps.dots import FEATURE_NAMES
from ishcount.truth.training.collect import PATCHES_PER_SLIDE, Field

SEED = 20261122
N_TREES = {"alone": 160, "among": 300}
LEARNING_RATE = {"alone": 0.12, "among": 0.07}
LEAVES = 24
FEATURES_PER_SPLIT = 0.3  # of the evidence, drawn anew for each split: no single clue is leaned on
# Tissue is blanker than what is drawn here: dot-free phantoms (seeds 8500-8531) then hold 0.4 red cells per
# mm2 at a score of 0.9, and slides of melanin alone a third of the brown ones. Coarse pixels: scores come out
# low; dot-free phantoms give no more false cells at 0.5 than at 0.25 um/px.
ODDS = {"fine": 0.7, "coarse": 2.5}
REASON_TREES, REASON_LEAVES = 40, 12  # per reason; kinds are easier to tell apart than dots from all of them
REASON_SLIDES = 240  # a quarter of the slides is enough for that
HOLD_OUT = 5  # every fifth slide
FOLDS = 3  # of the first scores that the second model learns from
CUTS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99)
SLIDE_WEIGHT = 1000.0  # slides weigh the same: their candidates repeat one another, slides vary
REAL_WEIGHT = 3.0  # real texture is scarce beside drawn texture: one field counts as three slides
MIN_CANDIDATES = 50  # slides with fewer are not weighted up further
CELL_PREVALENCE = 0.15  # of the drawn slides that hold dots, about

Slide = Sequence[Field]
Array = npt.NDArray[np.float64]


def fit_and_report(
    slides: Sequence[Slide], real: Sequence[tuple[str, Field]], output: Path, *, date: str
) -> dict[str, Any]:
    """Fit, write the models with their card; returns the card."""
    test = [slide for place, slide in enumerate(slides) if place % HOLD_OUT == 0]
    train = [slide for place, slide in enumerate(slides) if place % HOLD_OUT]
    train += [[field] for _, field in real]
    weights = [1.0] * (len(train) - len(real)) + [REAL_WEIGHT] * len(real)
    alone = _fit("alone", [_features(slide) for slide in train], train, weights)
    first = _unseen_first_scores(train, weights)
    among = _fit(
        "among", [_among(slide, score) for slide, score in zip(train, first, strict=True)], train, weights
    )
    held = [_among(slide, _raw(alone, slide)) for slide in test]
    score = among.predict_proba(np.concatenate(held))[:, 1]
    label = np.concatenate([_labels(slide) for slide in test])
    weight = np.concatenate(_weights(test, [1.0] * len(test)))
    score, weight, label = score[label >= 0], weight[label >= 0], label[label >= 0]
    drawn = np.concatenate([_labels(slide) for slide in train])
    card = {
        "date": date,
        "seed": SEED,
        "generator": "ishcount.truth.training.patches (second generator; phantoms of truth.simulate unseen)",
        "patches": PATCHES_PER_SLIDE,
        "n_slides": len(train) - len(real),
        "n_held_out": len(test),
        "n_candidates": int((drawn >= 0).sum()),
        "n_dots": int((drawn == 1).sum()),
        "real_negative_fields": [name for name, _ in real],
        "cell_prevalence": CELL_PREVALENCE,
        "held_out": held_out_table(score, label),
        "reliability": reliability(score, label, weight),
        "limits": "no real chromogenic RNA ISH slide was available; dots were only ever drawn",
    }
    names = {"alone": FEATURE_NAMES, "among": (*FEATURE_NAMES, *NEIGHBOUR_NAMES)}
    forests = {
        kind: {"feature_names": list(names[kind]), **export(model)}
        for kind, model in (("alone", alone), ("among", among))
    }
    named = slides[:REASON_SLIDES]
    reasons = _fit_reasons([slide for place, slide in enumerate(named) if place % HOLD_OUT])
    card["reasons"] = reason_table(reasons, named[::HOLD_OUT])
    forests["reasons"] = {
        DOT_REASONS[number]: {"feature_names": list(FEATURE_NAMES), **export(reasons, place)}
        for place, number in enumerate(reasons.classes_)
    }
    write_json(output, {"card": card, "odds": ODDS, **forests})
    return card


def _fit_reasons(slides: Sequence[Slide]) -> Any:
    """Trees that tell the kinds of things that are no dots, each kind weighing the same."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    kind = np.concatenate([_reasons(slide) for slide in slides])
    features = np.concatenate([_features(slide) for slide in slides])
    model = HistGradientBoostingClassifier(
        max_iter=REASON_TREES, max_leaf_nodes=REASON_LEAVES, learning_rate=0.12, min_samples_leaf=80,
        max_features=FEATURES_PER_SPLIT, early_stopping=False, random_state=SEED, class_weight="balanced",
    )  # fmt: skip
    return model.fit(features[kind > 0], kind[kind > 0])


def _reasons(slide: Slide) -> npt.NDArray[np.int8]:
    """The known kinds of candidates that are no dots, 0 for all others."""
    return np.concatenate([np.where(field.label == 0, field.reason, 0) for field in slide]).astype(np.int8)


def reason_table(model: Any, slides: Sequence[Slide]) -> list[dict[str, Any]]:
    """Of each kind's candidates on held-out slides: how many, and the share that is named so."""
    kind = np.concatenate([_reasons(slide) for slide in slides])
    named = model.predict(np.concatenate([_features(slide) for slide in slides]))
    return [
        {"reason": DOT_REASONS[number], "n": int((kind == number).sum()),
         "named": float((named[kind == number] == number).mean())}
        for number in model.classes_ if (kind == number).any()
    ]  # fmt: skip


def _features(slide: Slide) -> npt.NDArray[np.float32]:
    return np.concatenate([field.features for field in slide])


def _labels(slide: Slide) -> npt.NDArray[np.int8]:
    return np.concatenate([field.label for field in slide])


def _fit(
    kind: str, features: Sequence[npt.NDArray[np.float32]], slides: Sequence[Slide], weights: Sequence[float]
) -> Any:
    """Trees over what is known of the decidable candidates, every slide weighing as told."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    known = np.concatenate([_labels(slide) for slide in slides])
    w, x = np.concatenate(_weights(slides, weights)), np.concatenate(features)
    model = HistGradientBoostingClassifier(
        max_iter=N_TREES[kind], max_leaf_nodes=LEAVES, learning_rate=LEARNING_RATE[kind], min_samples_leaf=80,
        max_features=FEATURES_PER_SPLIT, l2_regularization=5.0, early_stopping=False, random_state=SEED,
    )  # fmt: skip
    return model.fit(x[known >= 0], known[known >= 0], sample_weight=w[known >= 0])


def _weights(slides: Sequence[Slide], weights: Sequence[float]) -> list[Array]:
    """Of every candidate, so that slides weigh as told however many candidates they hold."""
    sizes = [sum(len(field.x) for field in slide) for slide in slides]
    return [
        np.full(n, share * SLIDE_WEIGHT / max(n, MIN_CANDIDATES))
        for n, share in zip(sizes, weights, strict=True)
    ]


def _raw(model: Any, slide: Slide) -> Array:
    features = _features(slide)
    return np.asarray(model.decision_function(features)) if len(features) else np.zeros(0)


def _unseen_first_scores(slides: Sequence[Slide], weights: Sequence[float]) -> list[Array]:
    """First log-odds of every slide from a model that was fitted without it."""
    scores: list[Array] = [np.zeros(0)] * len(slides)
    for fold in range(FOLDS):
        kept = [place for place in range(len(slides)) if place % FOLDS != fold]
        model = _fit(
            "alone", [_features(slides[k]) for k in kept], [slides[k] for k in kept],
            [weights[k] for k in kept],
        )  # fmt: skip
        for place in range(fold, len(slides), FOLDS):
            scores[place] = _raw(model, slides[place])
    return scores


def _among(slide: Slide, logit: Array) -> npt.NDArray[np.float32]:
    """Evidence of a slide's candidates with what their neighbours' first scores say."""
    column = FEATURE_NAMES.index("contrast_total")
    parts = np.split(logit, np.cumsum([len(field.x) for field in slide])[:-1])
    around = [
        neighbour_evidence(field.x, field.y, field.features[:, column], part, field.um_per_px)
        for field, part in zip(slide, parts, strict=True)
    ]
    return np.concatenate([_features(slide), np.concatenate(around)], axis=1)


def held_out_table(score: Array, label: npt.NDArray[np.int8]) -> list[dict[str, float]]:
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


def reliability(score: Array, label: npt.NDArray[np.int8], weight: Array) -> list[dict[str, float]]:
    """Mean score against the share of dots, with fine bins among the high scores; candidates weigh as in the
    fit, where slides are equals: those of densely dotted slides would otherwise be most of each bin.
    """
    edges = np.array([0, 0.01, 0.05, 0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0001])
    place = np.digitize(score, edges) - 1
    return [
        {
            "from": float(edges[k]),
            "n": int(here.sum()),
            "score": float(np.average(score[here], weights=weight[here])),
            "dots": float(np.average(label[here], weights=weight[here])),
        }
        for k in range(len(edges) - 1)
        if (here := place == k).any()
    ]


def export(model: Any, place: int = 0) -> dict[str, Any]:
    """The trees of one outcome as plain lists (`core.forest.Forest`)."""
    columns: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "right", "value")}
    roots = []
    for trees in model._predictors:
        tree = trees[place]
        first = len(columns["feature"])
        roots.append(first)
        for node in tree.nodes:
            leaf = bool(node["is_leaf"])
            columns["feature"].append(-1 if leaf else int(node["feature_idx"]))
            columns["threshold"].append(0.0 if leaf else float(np.float32(node["num_threshold"])))
            columns["left"].append(0 if leaf else first + int(node["left"]))
            columns["right"].append(0 if leaf else first + int(node["right"]))
            columns["value"].append(round(float(node["value"]), 6) if leaf else 0.0)
    return {"trees": columns | {"roots": roots}, "base": float(model._baseline_prediction.ravel()[place])}
