"""Train the judge of nuclei: `python -m ishcount.truth.training.nuclei_fit --real FOLDER --date D -o FILE`.

FOLDER holds `NAME.png` and `NAME_label.tif` (hand-drawn instances); every second file by name is used, the
others stay unseen. Needs scikit-learn (extra `train`). Every number of the model comes from here.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from ishcount.core.files import write_json
from ishcount.core.optical_density import block_mean, coarse, separate
from ishcount.core.region_tree import FEATURES
from ishcount.core.units import PixelSize
from ishcount.steps.colour_shift import in_register
from ishcount.steps.nuclei import (
    BESIDE_USUAL,
    Candidates,
    Features,
    NucleiCalibration,
    NucleiParams,
    beside_usual,
    candidates,
    chosen_nodes,
    stain_threshold,
    usual_nucleus,
)
from ishcount.steps.stains import estimate_white, learn_stains
from ishcount.truth.training.fit import export
from ishcount.truth.training.nuclei_planes import draw_plane

SEED = 20261122
PIXEL_SIZES_UM = (0.25, 0.30, 0.35, 0.42, 0.50)  # the tiles' scale is unknown: all that is likely
CHROMOGENS = ("dab", "fast_red")  # the haematoxylin plane depends on what it is unmixed from
FOLDS = 5
ALONE = {"max_iter": 70, "max_leaf_nodes": 14}
AMONG = {"max_iter": 150, "max_leaf_nodes": 31}  # F1 .01 above 70 trees of 14 leaves, across tiles
PARAMS = NucleiParams()


@dataclass(frozen=True)
class Example:
    """Candidates of one tile, with the best IoU of each node with a true nucleus, and which one that is."""

    group: int
    source: str
    found: Candidates
    otsu: float
    best_iou: npt.NDArray[np.float64]
    n_true: int


def real_tiles(folder: Path) -> list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]]:
    """RGB and labels of every second tile by sorted name, from the first."""
    tiles = []
    for path in sorted(folder.glob("*.png"))[::2]:
        bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
        assert bgr is not None
        truth = tifffile.imread(path.with_name(f"{path.stem}_label.tif")).astype(np.int32)
        tiles.append((np.ascontiguousarray(bgr[..., ::-1], np.uint8), truth))
    return tiles


def haematoxylin_of(
    rgb: npt.NDArray[np.uint8], mpp_um: float, chromogen: str
) -> tuple[npt.NDArray[np.uint8], PixelSize, int]:
    """The plane on the nuclei grid as counting makes it from a slide of this tile alone; grid, factor."""
    factor = max(1, round(0.5 / mpp_um))
    (rgb,), _ = in_register([rgb])
    white, source = estimate_white(rgb, np.zeros(rgb.shape[:2], np.bool_))
    stains = learn_stains([rgb], white, [chromogen], PixelSize(mpp_um, mpp_um), white_source=source)
    planes = separate(block_mean(rgb, factor), stains.tables())
    return coarse(planes[0]), PixelSize(mpp_um * factor, mpp_um * factor), factor


def example(
    plane: npt.NDArray[np.uint8], pixel_size: PixelSize, factor: int, truth: npt.NDArray[np.int32],
    group: int, source: str,
) -> Example:  # fmt: skip
    """Candidates of a plane, each compared with every true nucleus at the truth's own pixels."""
    otsu = stain_threshold([plane], pixel_size, PARAMS)
    found = candidates(plane, pixel_size, NucleiCalibration(otsu), PARAMS)
    pieces = np.repeat(np.repeat(found.pieces, factor, 0), factor, 1)[: truth.shape[0], : truth.shape[1]]
    n_true = int(truth.max()) + 1
    pairs = np.bincount(
        pieces.ravel().astype(np.int64) * n_true + truth.ravel(), minlength=(found.n_pieces + 1) * n_true
    )
    overlap = np.zeros((len(found.children), n_true))
    overlap[: found.n_pieces + 1] = pairs.reshape(-1, n_true)
    for node in range(found.n_pieces + 1, len(overlap)):
        overlap[node] = overlap[found.children[node, 0]] + overlap[found.children[node, 1]]
    area = np.bincount(truth.ravel(), minlength=n_true)
    iou = overlap / np.maximum(overlap.sum(1)[:, None] + area - overlap, 1)
    iou[:, 0] = iou[0] = 0
    return Example(group, source, found, otsu, iou.max(1), int((area[1:] > 0).sum()))


def examples(folder: Path, n_planes: int) -> Iterator[Example]:
    """Every real tile at every pixel size and chromogen, then the drawn planes."""
    for group, (rgb, truth) in enumerate(real_tiles(folder)):
        for mpp_um in PIXEL_SIZES_UM:
            for chromogen in CHROMOGENS:
                plane, pixel_size, factor = haematoxylin_of(rgb, mpp_um, chromogen)
                yield example(plane, pixel_size, factor, truth, group, f"real {mpp_um}")
    for seed in range(n_planes):
        drawn = draw_plane(seed)
        yield example(drawn.plane, PixelSize(0.5, 0.5), 1, drawn.labels, seed, "drawn")


def fit(chosen: Sequence[Example], features: Sequence[Features], size: Mapping[str, int]) -> Any:
    """Boosted trees for "this node is a nucleus at IoU .5"; real rows weigh as much as drawn rows in all."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    label = np.concatenate([e.best_iou[1:] > 0.5 for e in chosen])
    real = np.concatenate([np.full(len(e.best_iou) - 1, e.source != "drawn") for e in chosen])
    weight = np.where(real, 0.5 / max(real.mean(), 1e-9), 0.5 / max(1 - real.mean(), 1e-9))
    return HistGradientBoostingClassifier(
        **size, learning_rate=0.09, min_samples_leaf=40, l2_regularization=5.0,
        early_stopping=False, random_state=SEED,
    ).fit(np.concatenate([f[1:] for f in features]), label, sample_weight=weight)  # fmt: skip


def raw_of(model: Any) -> Callable[[Features], npt.NDArray[np.float64]]:
    """Log-odds by a model of scikit-learn."""
    return lambda features: np.asarray(model.decision_function(features), np.float64)


def know_usual(found: Sequence[Example]) -> list[Features]:
    """Features of each tile with its usual nucleus, as a first judge who never saw the tile has it."""
    seen: list[Features] = [e.found.features for e in found]
    for fold in range(FOLDS):
        others = [e for e in found if e.group % FOLDS != fold]
        judge = raw_of(fit(others, [e.found.features for e in others], ALONE))
        for place, e in enumerate(found):
            if e.group % FOLDS == fold:
                usual = usual_nucleus([e.found], NucleiCalibration(e.otsu), PARAMS, judge)
                seen[place] = beside_usual(e.found.features, usual)
    return seen


def f1_of(model: Any, held: Sequence[tuple[Example, Features]]) -> dict[str, float]:
    """Instance F1 at IoU .5 by source; a chosen node counts as found when its best IoU is above one half."""
    counts: dict[str, list[int]] = {}
    for e, features in held:
        nodes = np.unique(chosen_nodes(e.found, features, raw_of(model), PARAMS))
        nodes = nodes[nodes > 0]
        tally = counts.setdefault(e.source, [0, 0])
        tally[0] += 2 * int((e.best_iou[nodes] > 0.5).sum())
        tally[1] += len(nodes) + e.n_true
    return {source: round(hits / max(total, 1), 3) for source, (hits, total) in sorted(counts.items())}


def main() -> None:
    """Collect, cross-validate by tile, fit on everything, write the model with its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, required=True, help="folder of tiles with hand-drawn labels")
    parser.add_argument("--planes", type=int, default=240, help="imaginary planes drawn")
    parser.add_argument("--date", required=True, help="ISO date for the model card")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    found = list(examples(options.real, options.planes))
    features = know_usual(found)
    held: dict[str, list[float]] = {}
    for fold in range(FOLDS):
        rest = [i for i, e in enumerate(found) if e.group % FOLDS != fold]
        model = fit([found[i] for i in rest], [features[i] for i in rest], AMONG)
        kept = [(e, f) for e, f in zip(found, features, strict=True) if e.group % FOLDS == fold]
        for source, value in f1_of(model, kept).items():
            held.setdefault(source, []).append(value)
    card = {
        "date": options.date,
        "seed": SEED,
        "real_tiles": len({e.group for e in found if e.source != "drawn"}),
        "drawn_planes": options.planes,
        "n_candidates": sum(len(e.best_iou) - 1 for e in found),
        "f1_iou50_cross_validated_by_tile": {k: round(float(np.mean(v)), 3) for k, v in held.items()},
        "generator": "ishcount.truth.training.nuclei_planes (phantoms of truth.simulate unseen)",
        "limits": "real tiles are purple smears and sections, not skin ISH",
    }
    alone = export(fit(found, [e.found.features for e in found], ALONE))
    among = export(fit(found, features, AMONG))
    content = {
        "card": card,
        "alone": {"feature_names": list(FEATURES), **alone},
        "among": {"feature_names": [*FEATURES, *BESIDE_USUAL], **among},
    }
    write_json(options.output, content)


if __name__ == "__main__":
    main()
