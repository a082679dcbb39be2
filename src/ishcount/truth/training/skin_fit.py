"""Train the compartment model: `python -m ishcount.truth.training.skin_fit --date 2026-11-23 -o FILE.json`.

Needs scikit-learn (extra `train`). Every number of the model comes from here: sections are drawn, go through
the real tissue step, and a share of their cells teaches boosted trees, one set per kind of tissue.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ishcount.core.files import write_json
from ishcount.core.optical_density import to_od
from ishcount.core.tissue_map import RegionKind
from ishcount.core.units import PixelSize
from ishcount.steps.compartments.features import section_features
from ishcount.steps.compartments.model import CLASSES
from ishcount.steps.tissue import find_tissue
from ishcount.steps.tissue.glass import find_glass
from ishcount.truth.training.skin import CELL_UM, draw_section
from ishcount.truth.training.skin_layout import CODES

SEED = 0
N_TREES = 90  # per kind
LEAVES = 20
SHARE = 0.25  # of the sampled cells
HOLD_OUT = 6  # every sixth section
MOST_CELLS = {"epidermis": 600, "stratum_corneum": 600, "adnexa": 600}  # of one section; others 900
Array = npt.NDArray[Any]


def taught(seed: int) -> tuple[dict[str, Array], Array]:
    """Features of sampled cells of one drawn section, and the place of each cell's kind in CODES."""
    section = draw_section(seed)
    height, width = section.code.shape
    valid = np.ones((height, width), np.bool_)
    tissue = find_tissue(
        section.overview,
        valid,
        PixelSize(1, 1),
        CELL_UM,
        width_px=CELL_UM * width,
        height_px=CELL_UM * height,
    )  # fmt: skip
    solid = tissue.kind == RegionKind.TISSUE
    known = solid & (section.code > 0) & (section.code <= len(CLASSES))
    if known.sum() < 300:
        return {}, np.zeros(0, np.uint8)
    white = find_glass(section.overview, valid).white
    od = np.maximum(to_od(section.overview, white), 0).astype(np.float32)
    features, chosen = section_features(od, solid, tissue.section > 0, float(CELL_UM))
    kinds = section.code[chosen]
    rng = np.random.default_rng(seed)
    rows = np.concatenate(
        [
            rng.permutation(np.flatnonzero((kinds == CODES.index(name)) & known[chosen]))[
                : MOST_CELLS.get(name, 900)
            ]
            for name in CLASSES
        ]
    )
    return {name: values[rows] for name, values in features.items()}, kinds[rows]


def main() -> None:
    """Draw, fit, hold out, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sections", type=int, default=400)
    parser.add_argument("--date", required=True, help="ISO date for the card")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    drawn = [(seed, *taught(seed)) for seed in range(options.sections)]
    drawn = [entry for entry in drawn if len(entry[2])]
    names = list(drawn[0][1])
    table = np.concatenate([np.stack([found[n] for n in names], axis=-1) for _, found, _ in drawn])
    kinds = np.concatenate([kind for *_, kind in drawn])
    seeds = np.concatenate([np.full(len(kind), seed) for seed, _, kind in drawn])
    write_json(options.output, fitted(table, kinds, seeds, names, options.date))


def fitted(table: Array, kinds: Array, seeds: Array, names: list[str], date: str) -> dict[str, Any]:
    """The model file's content: card with held-out Dice of balanced cells, feature names, trees by kind."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    held = seeds % HOLD_OUT == 0
    teach = ~held & (np.random.default_rng(SEED).random(len(seeds)) < SHARE)
    model = HistGradientBoostingClassifier(
        max_iter=N_TREES, max_leaf_nodes=LEAVES, learning_rate=0.12, l2_regularization=5,
        min_samples_leaf=60, early_stopping=False, random_state=SEED,
    ).fit(table[teach], kinds[teach])  # fmt: skip
    called = model.predict(table[held])
    agreement = {
        name: 2 * float(((called == place) & (kinds[held] == place)).sum())
        / max(int((called == place).sum() + (kinds[held] == place).sum()), 1)
        for place, name in ((CODES.index(name), name) for name in CLASSES)
    }  # fmt: skip
    base = model._baseline_prediction.ravel()
    return {
        "card": {
            "date": date,
            "seed": SEED,
            "sections": int(seeds.max(initial=-1)) + 1,
            "held_out_every": HOLD_OUT,
            "cells": int(teach.sum()),
            "held_out_dice_of_single_cells": agreement,
            "limits": "drawn sections only; no hand-drawn compartments of real skin were at hand",
        },
        "feature_names": names,
        "forests": {
            name: {
                "trees": _columns([trees[place] for trees in model._predictors]), "base": float(base[place]),
            }
            for place, name in enumerate(CLASSES)
        },
    }  # fmt: skip


def _columns(trees: list[Any]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "right", "value")}
    roots = []
    for tree in trees:
        first = len(columns["feature"])
        roots.append(first)
        for node in tree.nodes:
            leaf = bool(node["is_leaf"])
            columns["feature"].append(-1 if leaf else int(node["feature_idx"]))
            columns["threshold"].append(0.0 if leaf else float(f"{np.float32(node['num_threshold']):.6g}"))
            columns["left"].append(0 if leaf else first + int(node["left"]))
            columns["right"].append(0 if leaf else first + int(node["right"]))
            columns["value"].append(round(float(node["value"]), 4) if leaf else 0.0)
    return columns | {"roots": roots}


if __name__ == "__main__":
    main()
