"""Nuclei on real tiles with hand-drawn truth, and what they cost.

    ISHCOUNT_REAL_DATA=FOLDER python tests/benchmarks/bench_nuclei_real.py [--held-out]

prints machine and versions; instance F1 at IoU .5 over assumed pixel sizes for the half of
`dsb2018_brightfield` the judge was trained on and, with --held-out, for the other half; the same for
`deepliif` (0.25 um/px); and CPU milliseconds per native megapixel (median of 7 runs) on scikit-image's own
H-DAB tile and on a medium phantom. Tiles are taken as slides that are one tile alone: white point and
stains are learned from the tile itself.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
import tifffile
from skimage.data import immunohistochemistry
from skimage.segmentation import expand_labels

from ishcount.core.optical_density import block_mean, coarse, separate
from ishcount.core.units import PixelSize
from ishcount.steps.colour_shift import in_register
from ishcount.steps.nuclei import NucleiParams, calibrate_nuclei, find_nuclei
from ishcount.steps.stains import estimate_white, learn_stains

PIXEL_SIZES_UM = (0.25, 0.30, 0.35, 0.40, 0.45, 0.50)
Counts = tuple[int, int, int]  # true, false, missed


def grid_planes(
    rgb: np.ndarray, mpp_um: float, chromogen: str
) -> tuple[np.ndarray, np.ndarray, PixelSize, int]:
    """Haematoxylin and chromogen on the nuclei grid, its pixel size, and level-0 pixels per grid pixel."""
    factor = max(1, round(0.5 / mpp_um))
    (rgb,), _ = in_register([rgb])
    white, source = estimate_white(rgb, np.zeros(rgb.shape[:2], bool))
    stains = learn_stains([rgb], white, [chromogen], PixelSize(mpp_um, mpp_um), white_source=source)
    planes = separate(block_mean(rgb, factor), stains.tables())
    return coarse(planes[0]), coarse(planes[1]), PixelSize(mpp_um * factor, mpp_um * factor), factor


def found_labels(rgb: np.ndarray, mpp_um: float, chromogen: str, params: NucleiParams) -> np.ndarray:
    """Nuclei of a tile at its own pixels."""
    haematoxylin, other, grid, factor = grid_planes(rgb, mpp_um, chromogen)
    calibration = calibrate_nuclei([haematoxylin], grid, params)
    labels = find_nuclei(haematoxylin, grid, calibration, params, chromogen=other).labels
    return np.repeat(np.repeat(labels, factor, 0), factor, 1)[: rgb.shape[0], : rgb.shape[1]]


def compare(found: np.ndarray, truth: np.ndarray, wanted: np.ndarray | None = None) -> Counts:
    """Instances matched at IoU > .5 (at most one partner each). What lies on truth that is not `wanted`
    is no error.
    """
    shape = (int(found.max()) + 1, int(truth.max()) + 1)
    overlap = np.bincount(
        found.ravel().astype(np.int64) * shape[1] + truth.ravel(), minlength=shape[0] * shape[1]
    )
    overlap = overlap.reshape(shape)
    size, true_size = overlap.sum(1), overlap.sum(0)
    iou = overlap / np.maximum(size[:, None] + true_size - overlap, 1)
    hit = iou > 0.5
    hit[0] = hit[:, 0] = False
    wanted = true_size > 0 if wanted is None else wanted & (true_size > 0)
    wanted[0] = False
    other = ~wanted
    other[0] = False
    ignored = hit[:, other].any(1) | (overlap[:, other].sum(1) > 0.5 * size)
    true = int(hit[:, wanted].sum())
    false = int(np.count_nonzero((size[1:] > 0) & ~hit[1:][:, wanted].any(1) & ~ignored[1:]))
    return true, false, int(wanted.sum()) - true


def line(counts: list[Counts]) -> str:
    """F1, precision and recall of pooled counts."""
    true, false, missed = (sum(c) for c in zip(*counts, strict=True))
    f1 = 2 * true / max(2 * true + false + missed, 1)
    return (
        f"F1 {f1:.3f}  precision {true / max(true + false, 1):.3f}  recall {true / max(true + missed, 1):.3f}"
    )


def dsb_tiles(folder: Path, *, held_out: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every second tile by sorted name: from the first (training) or from the second (held out)."""
    paths = sorted((folder / "dsb2018_brightfield").glob("*.png"))[int(held_out) :: 2]
    return [
        (
            np.ascontiguousarray(cv2.imread(str(path))[..., ::-1]),
            tifffile.imread(path.with_name(f"{path.stem}_label.tif")).astype(np.int32),
        )
        for path in paths
    ]


def dsb_f1(folder: Path, mpp_um: float, *, held_out: bool, chromogen: str = "dab") -> list[Counts]:
    """Counts of every tile of one half."""
    tiles = dsb_tiles(folder, held_out=held_out)
    return [compare(found_labels(rgb, mpp_um, chromogen, NucleiParams()), truth) for rgb, truth in tiles]


def deepliif_tile(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """RGB, instance labels (the drawn green border shared out), and which labels are blue (negative)
    nuclei.
    """
    rgb = np.ascontiguousarray(cv2.imread(str(folder / "deepliif" / f"{name}.png"))[..., ::-1])
    red, green, blue = np.moveaxis(
        cv2.imread(str(folder / "deepliif" / f"{name}_truth.png"))[..., ::-1] > 128, 2, 0
    )
    n_blue, negative = cv2.connectedComponents((blue & ~red & ~green).astype(np.uint8), connectivity=4)
    _, positive = cv2.connectedComponents((red & ~blue & ~green).astype(np.uint8), connectivity=4)
    labels = np.where(positive > 0, positive + n_blue, negative)
    labels[np.bincount(labels.ravel())[labels] < 20] = 0
    grown = expand_labels(labels, 2)  # the border is 3 pixels wide
    labels = np.where((green & ~red) | (labels > 0), grown, 0).astype(np.int32)
    is_blue = np.zeros(int(labels.max()) + 1, bool)
    is_blue[1:n_blue] = True
    return rgb, labels, is_blue


def cost(rgb: np.ndarray, chromogen: str) -> str:
    """CPU milliseconds per native megapixel at 0.25 um/px."""
    haematoxylin, _, grid, _ = grid_planes(rgb, 0.25, chromogen)
    calibration = calibrate_nuclei([haematoxylin], grid)
    n = len(find_nuclei(haematoxylin, grid, calibration).label)
    runs = []
    for _ in range(7):
        start = time.process_time()
        find_nuclei(haematoxylin, grid, calibration)
        runs.append(time.process_time() - start)
    megapixels = rgb.shape[0] * rgb.shape[1] / 1e6
    per_mm2 = n / (haematoxylin.size * grid.area_mm2(1))
    spent_ms = 1e3 * statistics.median(runs) / megapixels
    return f"{spent_ms:.1f} ms per native megapixel ({per_mm2:,.0f} nuclei per mm2)"


def phantom_rgb() -> np.ndarray:
    """Two megapixels of medium, inflamed skin."""
    from ishcount.truth.simulate.render import draw_phantom
    from ishcount.truth.simulate.spec import PhantomSpec

    return draw_phantom(PhantomSpec(preset="medium", seed=77, width_um=400, height_um=320)).rgb


def main() -> None:
    """Print everything."""
    cv2.setNumThreads(1)
    packages = ", ".join(
        f"{name} {version(name)}" for name in ("ishcount", "numpy", "opencv-python-headless", "numba")
    )
    print(f"{platform.platform()}, Python {platform.python_version()}, {packages}")
    folder = Path(os.environ.get("ISHCOUNT_REAL_DATA", ""))
    if not (folder / "dsb2018_brightfield").is_dir():
        sys.exit("ISHCOUNT_REAL_DATA names no folder with dsb2018_brightfield and deepliif")
    for held_out in (False, True) if "--held-out" in sys.argv else (False,):
        print(f"dsb2018_brightfield, {'held-out' if held_out else 'training'} half, instance F1 at IoU .5:")
        for mpp_um in PIXEL_SIZES_UM:
            for chromogen in ("dab", "fast_red") if mpp_um == 0.35 else ("dab",):
                counts = dsb_f1(folder, mpp_um, held_out=held_out, chromogen=chromogen)
                print(f"  {mpp_um:.2f} um/px, {chromogen}: {line(counts)}")
    print("deepliif, 0.25 um/px, instance F1 at IoU .5:")
    for name in ("22_2", "799_2"):
        rgb, truth, is_blue = deepliif_tile(folder, name)
        blue = found_labels(rgb, 0.25, "dab", NucleiParams())
        every = found_labels(rgb, 0.25, "dab", NucleiParams(channels="all_stains"))
        print(f"  {name}, blue nuclei: {line([compare(blue, truth, is_blue)])}")
        print(f"  {name}, ihc_nuclei, all nuclei: {line([compare(every, truth)])}")
    print(f"cost, H-DAB tile of scikit-image: {cost(np.tile(immunohistochemistry(), (3, 3, 1)), 'dab')}")
    print(f"cost, medium phantom: {cost(phantom_rgb(), 'fast_red')}")


if __name__ == "__main__":
    main()
