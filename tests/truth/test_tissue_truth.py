"""Tissue area against the truth of phantom skin. Prints what it measured (pytest -s)."""

from __future__ import annotations

import numpy as np
import pytest

from ishcount.core.optical_density import block_mean
from ishcount.core.units import PixelSize
from ishcount.steps.tissue import find_tissue
from ishcount.truth.simulate.render import draw_phantom
from ishcount.truth.simulate.spec import PhantomSpec

MPP, FACTOR = 0.5, 8


@pytest.mark.slow
@pytest.mark.parametrize("state", ["normal", "inflamed"])
def test_the_area_of_easy_skin_is_right_within_two_percent(state: str) -> None:
    spec = PhantomSpec(preset="easy", state=state, seed=7101, mpp_um=MPP, width_um=900, height_um=700)
    phantom = draw_phantom(spec)
    height, width = phantom.rgb.shape[:2]
    overview = block_mean(phantom.rgb, FACTOR)
    valid = np.ones(overview.shape[:2], np.bool_)
    found = find_tissue(overview, valid, PixelSize(MPP, MPP), FACTOR, width_px=width, height_px=height)
    area, truth = found.areas()["tissue"]["area_mm2"], phantom.truth.area_mm2["tissue"]
    print(f"{state}: {area:.4f} mm2, truth {truth:.4f}, error {100 * (area / truth - 1):+.2f} %")
    assert area == pytest.approx(truth, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("chromogen", ["fast_red", "dab"])
@pytest.mark.parametrize("dried", [True, False])
def test_at_least_half_of_a_dried_edge_is_left_out_and_nothing_else_is(chromogen: str, dried: bool) -> None:
    kinds = frozenset({"edge_drying"} if dried else {"corneum", "haze"})
    spec = PhantomSpec(
        preset="medium", chromogens=(chromogen,), state="normal", seed=7104, mpp_um=MPP,
        width_um=1400, height_um=1100, confounders=kinds,
    )  # fmt: skip
    phantom = draw_phantom(spec)
    height, width = phantom.rgb.shape[:2]
    overview = block_mean(phantom.rgb, FACTOR)
    valid = np.ones(overview.shape[:2], np.bool_)
    found = find_tissue(overview, valid, PixelSize(MPP, MPP), FACTOR, width_px=width, height_px=height)
    left_out = found.artefact_areas_mm2().get("edge_drying", 0.0)
    truth = phantom.truth.area_mm2.get("artefact_edge_drying", 0.0)
    print(f"{chromogen}: {left_out:.4f} mm2 left out, truth {truth:.4f}")
    assert (truth > 0.02) == dried
    assert 0.5 * truth <= left_out <= 1.1 * truth
