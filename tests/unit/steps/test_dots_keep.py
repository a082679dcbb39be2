"""`find_candidates(keep=)`: a part asked for is that part of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from ishcount.core.geometry import Region
from ishcount.core.optical_density import block_mean, separate, unmixing_tables
from ishcount.core.units import PixelSize
from ishcount.steps.dots import Candidates, DotNoise, find_candidates

ROWS = np.array([[0.65, 0.70, 0.29], [0.21, 0.85, 0.48], [0.1, -0.45, 0.89]])
TABLES = unmixing_tables((240, 240, 240), ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True))


@pytest.fixture(scope="module")
def planes() -> tuple[np.ndarray, np.ndarray]:
    """Speckled tissue with some hundred candidates."""
    rng = np.random.default_rng(4)
    rgb = np.clip(rng.normal(190, 25, (400, 440, 3)), 0, 255).astype(np.uint8)
    return separate(rgb, TABLES), separate(block_mean(rgb, 2), TABLES)


def look(planes: tuple[np.ndarray, np.ndarray], keep: Region | None) -> Candidates:
    return find_candidates(
        *planes, 2, PixelSize(0.25, 0.25), DotNoise(0.0), stain_angle_deg=29, is_brown=False, keep=keep
    )


@pytest.mark.parametrize(
    "keep", [Region(0, 0, 440, 400), Region(100, 90, 200, 210), Region(301, 7, 33, 41), Region(0, 0, 1, 1)]
)
def test_a_part_holds_the_candidates_of_the_whole_that_lie_in_it(planes, keep):
    whole, part = look(planes, None), look(planes, keep)
    inside = [keep.contains(int(x), int(y)) for x, y in zip(whole.x, whole.y, strict=True)]
    assert len(whole.x) > 100
    assert part.x.tolist() == whole.x[inside].tolist()
    assert part.y.tolist() == whole.y[inside].tolist()
    for name in ("dx", "dy", "peak_od", "integrated_od", "area_um2"):
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[inside])
    np.testing.assert_array_equal(part.features, whole.features[inside])
