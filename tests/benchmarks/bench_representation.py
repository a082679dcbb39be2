"""What the integer form of optical density does to counts.

    python tests/benchmarks/bench_representation.py [--patches 12]

The same drawn patches with stain planes kept at 4000 levels per OD (as shipped, int16), rounded to 200 (8
bit) and
to 1000 levels, and in the exact value of the tables (float64, rounded to 32000 levels to fit the same
code): dots
called at the default cut, and how many of them are the same dots.
"""

from __future__ import annotations

import argparse
import platform
import time

import cv2
import numpy as np

from ishcount.core.optical_density import LEVELS_PER_OD, block_mean, separate
from ishcount.core.units import PixelSize
from ishcount.params import Params
from ishcount.steps.dots import FEATURE_NAMES, DotNoise, find_candidates
from ishcount.steps.evidence import score_candidates
from ishcount.steps.stains import learn_stains
from ishcount.truth.training.imaginary_slide import draw_slide
from ishcount.truth.training.patches import draw_patch

FORMS = {"4000 levels per OD (int16, shipped)": 1, "1000 levels per OD": 4, "200 levels per OD (uint8)": 20}


def called(rgb: np.ndarray, stains, pixel_size: PixelSize, step: int) -> set[tuple[int, int]]:
    """Peak pixels of the dots that count, with planes rounded to every `step`-th level."""
    tables = stains.tables()
    planes, grid = separate(rgb, tables), separate(block_mean(rgb, 2), tables)
    planes, grid = ((np.rint(p / step) * step).astype(np.int16) for p in (planes, grid))
    found = find_candidates(planes, grid, 2, pixel_size, DotNoise(0.0), stain_angle_deg=35, is_brown=False)
    score = score_candidates(found.features, FEATURE_NAMES, found.x, found.y, pixel_size.mean_um)
    keep = score >= np.float32(Params().density.dot_cut)
    return set(zip(found.x[keep].tolist(), found.y[keep].tolist(), strict=True))


def main() -> None:
    """Draw, count in each form, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patches", type=int, default=12)
    n_patches = parser.parse_args().patches
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, OpenCV "
        f"{cv2.__version__}, {platform.machine()}"
    )
    dots: dict[str, list[set[tuple[int, int]]]] = {name: [] for name in FORMS}
    for seed in range(n_patches):
        rng = np.random.default_rng([77, seed])
        draw = draw_slide(rng, "fast_red", 0.25)
        draw.strength["prevalence"] = 0.3
        rgb = draw_patch(rng, draw).rgb
        pixel_size = PixelSize(0.25, 0.25)
        red, green, blue = draw.white
        stains = learn_stains([rgb], (red, green, blue), ["fast_red"], pixel_size)
        for name, step in FORMS.items():
            dots[name].append(called(rgb, stains, pixel_size, step))
    shipped = dots[next(iter(FORMS))]
    for name, sets in dots.items():
        total, same = sum(map(len, sets)), sum(len(a & b) for a, b in zip(sets, shipped, strict=True))
        print(f"{name}: {total} dots called, {same} of {sum(map(len, shipped))} the same")
    plane = np.random.default_rng(0).integers(0, LEVELS_PER_OD, (2048, 2048))
    for kind in (np.uint8, np.int16, np.float32):
        array = plane.astype(kind)
        cv2.setNumThreads(1)
        start = time.process_time()
        for _ in range(5):
            cv2.GaussianBlur(array, (9, 9), 1.2)
        print(
            f"Gaussian of 9 taps on 4.2 megapixels of {np.dtype(kind)}: "
            f"{(time.process_time() - start) * 200:.1f} ms"
        )


if __name__ == "__main__":
    main()
