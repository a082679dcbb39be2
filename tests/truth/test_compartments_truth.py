"""Compartments against the truth of phantom skin that the model has never seen, and on real skin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ishcount.core.flags import Flag
from ishcount.core.optical_density import block_mean
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.core.units import PixelSize
from ishcount.steps.compartments import find_compartments
from ishcount.steps.tissue import find_tissue
from ishcount.steps.tissue.glass import find_glass
from ishcount.truth.regions import dice
from ishcount.truth.simulate.render import draw_phantom
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.tissue import CODE_NAMES


def compartments(rgb: np.ndarray[Any, Any], mpp: float) -> TissueMap:
    factor = round(4 / mpp)
    overview = block_mean(np.ascontiguousarray(rgb), factor)
    valid = np.ones(overview.shape[:2], np.bool_)
    height, width = rgb.shape[:2]
    found = find_tissue(overview, valid, PixelSize(mpp, mpp), factor, width_px=width, height_px=height)
    return find_compartments(found, overview, find_glass(overview, valid).white)


@pytest.mark.slow
@pytest.mark.parametrize(("state", "seed"), [("normal", 403), ("inflamed", 418)])
def test_layers_of_medium_skin_overlap_their_truth(state: str, seed: int) -> None:
    width, height = (1200, 900)
    spec = PhantomSpec(
        preset="medium", state=state, seed=seed, mpp_um=0.5, width_um=width, height_um=height, pigment=0.4
    )
    phantom = draw_phantom(spec)
    found = compartments(phantom.rgb, 0.5)
    code = phantom.truth.code[1::2, 1::2][: found.kind.shape[0], : found.kind.shape[1]]
    free = phantom.truth.artefacts[1::2, 1::2][: code.shape[0], : code.shape[1]] == 0
    inside = (found.kind == RegionKind.TISSUE)[: code.shape[0], : code.shape[1]] & free
    for name, least in (("epidermis", 0.85), ("stratum_corneum", 0.78), ("dermis", 0.94)):
        place = found.compartment_names.index(name)
        here = found.compartment[: code.shape[0], : code.shape[1]] == place
        overlap = dice(inside & here, (code == CODE_NAMES.index(name)) & free)
        print(f"{state} {name}: Dice {overlap:.3f}")
        assert overlap is not None
        assert overlap >= least
    assert found.epidermis_mm == pytest.approx(phantom.truth.epidermis_mm, rel=0.08)


def test_the_epithelium_of_real_skin_is_found_and_the_nerve_has_none(real_data: Path) -> None:
    import tifffile
    from PIL import Image

    skin = compartments(tifffile.imread(real_data / "slides" / "cmu-1-small-region.svs"), 0.499)
    areas = skin.areas()
    # By eye about 0.2 mm2 of the 0.63 are epithelium.
    assert 0.12 < areas["epidermis"]["area_mm2"] + areas["adnexa"]["area_mm2"] < 0.25
    nerve = np.asarray(Image.open(real_data / "skin_dab" / "Native_Trop_02.jpg").convert("RGB"))
    assert compartments(nerve, 0.5).flags & Flag.NO_EPIDERMIS
