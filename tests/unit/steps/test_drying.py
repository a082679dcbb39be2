"""Edges stained by drying: drawn bands, layers that are none, real fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from ishcount.core.stain_model import REFERENCE
from ishcount.core.tissue_map import RegionKind
from ishcount.core.units import PixelSize
from ishcount.slide.open import open_slide
from ishcount.slide.overview import read_overview
from ishcount.steps.tissue import find_tissue
from ishcount.steps.tissue.drying import find_dried_edge

CELL_UM = 4.0


def _section(seed: int = 0):
    """Optical density (h, w, 3) of a round section of 1 mm with nuclei, its mask and depth in um."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[0:300, 0:300]
    outline = np.hypot(rows - 150, cols - 150) < 125
    nuclei = 0.3 * (rng.random(outline.shape) < 0.08) + 0.05 * rng.random(outline.shape)
    od = outline[..., None] * (0.05 + nuclei[..., None] * np.array(REFERENCE["haematoxylin"]))
    return od.astype(np.float32), outline, ndimage.distance_transform_edt(outline) * CELL_UM


def _fading(depth, outline, strength=0.2, reach_um=35):
    return (strength * np.clip(1.2 - depth / reach_um, 0, 1) * outline)[..., None]


@pytest.mark.parametrize("dye", ["fast_red", "dab"])
def test_dye_that_fades_inwards_from_the_edge_is_a_dried_edge(dye):
    od, outline, depth = _section()
    od += (_fading(depth, outline) * np.array(REFERENCE[dye])).astype(np.float32)
    found = find_dried_edge(od, outline, outline, cell_um=CELL_UM)
    band = outline & (depth < 30)
    assert found[band].mean() > 0.9
    assert not found[outline & (depth > 50)].any()


def test_half_of_an_edge_is_found_where_half_is_dried():
    od, outline, depth = _section()
    left = np.arange(300) < 150
    od += (_fading(depth, outline) * left[:, None] * np.array(REFERENCE["dab"])).astype(np.float32)
    found = find_dried_edge(od, outline, outline, cell_um=CELL_UM)
    assert found[outline & (depth < 30) & (np.arange(300) < 140)].mean() > 0.85
    assert found[outline & (depth < 30) & (np.arange(300) > 165)].mean() < 0.05


@pytest.mark.parametrize("dye", ["fast_red", "dab", "haematoxylin"])
def test_an_even_layer_along_the_edge_is_no_dried_edge(dye):
    od, outline, depth = _section()
    layer = 0.3 * (outline & (depth < 70))
    od += (layer[..., None] * np.array(REFERENCE[dye])).astype(np.float32)
    assert not find_dried_edge(od, outline, outline, cell_um=CELL_UM).any()


def test_nuclei_crowded_at_the_edge_are_no_dried_edge():
    od, outline, depth = _section()
    od += (_fading(depth, outline, 0.4) * np.array(REFERENCE["haematoxylin"])).astype(np.float32)
    assert not find_dried_edge(od, outline, outline, cell_um=CELL_UM).any()


def test_the_edge_of_the_picture_is_no_dried_edge():
    od, outline, depth = _section()
    od += (_fading(depth, outline) * np.array(REFERENCE["dab"])).astype(np.float32)
    inside = (slice(90, 210), slice(90, 210))
    assert not find_dried_edge(od[inside], outline[inside], outline[inside], cell_um=CELL_UM).any()


def test_a_turned_section_has_the_same_dried_edge_turned():
    od, outline, depth = _section()
    left = np.arange(300) < 120
    od += (_fading(depth, outline) * left[:, None] * np.array(REFERENCE["dab"])).astype(np.float32)
    found = find_dried_edge(od, outline, outline, cell_um=CELL_UM)
    turned = find_dried_edge(np.rot90(od).copy(), np.rot90(outline), np.rot90(outline), cell_um=CELL_UM)
    assert (np.rot90(found) != turned).sum() <= 0.01 * found.sum()


@pytest.mark.parametrize(
    ("name", "um_per_px"),
    [
        ("slides/cmu-1-small-region.svs", None),
        ("slides/OS-2-ndpi.ome.tif", None),
        ("skin_dab/Native_Trop_02.jpg", 0.5),
        ("skin_dab/Alex_Pan_08.jpg", 0.5),
        ("deepliif/ROI_7.png", 0.25),
    ],
)
def test_real_fields_without_dried_edges_have_none(real_data: Path, name, um_per_px):
    with open_slide(real_data / name) as slide:
        size = PixelSize(um_per_px, um_per_px) if um_per_px else slide.pixel_size
        factor = max(1, round(CELL_UM / size.mean_um))
        overview, valid, _ = read_overview(slide, factor)
        found = find_tissue(overview, valid, size, factor, width_px=slide.width, height_px=slide.height)
    assert not (found.kind == RegionKind.EDGE_DRYING).any()
