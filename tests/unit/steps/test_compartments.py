"""Compartments on drawn skin: epidermis by its place, depth with sign, length; none where there is none."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import shapely

from ishcount.core.annotations import Annotation, role_of
from ishcount.core.flags import Flag
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.core.units import PixelSize
from ishcount.steps.compartments import CompartmentParams, find_compartments
from ishcount.steps.compartments.junction import depth_below, epidermis_length_um
from ishcount.steps.compartments.layers import NAMES, without_strip
from ishcount.steps.tissue import annotate, find_tissue

CELL_UM = 4.0
HAEMATOXYLIN = np.array([0.65, 0.70, 0.29], np.float32)
COLLAGEN = np.array([0.45, 0.62, 0.64], np.float32)
Array = np.ndarray[Any, Any]


def nuclei(rng: np.random.Generator, mask: Array, per_mm2: float, radius_px: int) -> Array:
    drawn = np.zeros(mask.shape, np.uint8)
    for _ in range(round(per_mm2 * mask.size * 1e-6)):
        x, y = rng.integers(mask.shape[1]), rng.integers(mask.shape[0])
        if mask[y, x]:
            cv2.circle(drawn, (int(x), int(y)), radius_px, 1, -1)
    return (drawn > 0) & mask


def skin(*, epidermis: bool = True, infiltrate: bool = False) -> tuple[TissueMap, Array]:
    """Skin drawn at 1 um: surface at y = 150, epidermis to 230, horn 24 um above it; x from 150 to 1250."""
    rng = np.random.default_rng(3)
    od = np.zeros((1000, 1400, 3), np.float32)
    y = np.arange(1000)[:, None]
    band, stroma, horn = (np.zeros(od.shape[:2], np.bool_) for _ in range(3))
    top = 150 if epidermis else 230
    band[150:230, 150:1250] = epidermis
    horn[126:150, 150:1250] = epidermis
    stroma[230 if epidermis else top : 850, 150:1250] = True
    od[stroma] += 0.06 * COLLAGEN
    od[horn] += 0.08 * COLLAGEN
    od[band] += 0.16 * HAEMATOXYLIN
    od[nuclei(rng, band, 9000, 4)] += 0.4 * HAEMATOXYLIN
    od[nuclei(rng, stroma, 1500, 3)] += 0.4 * HAEMATOXYLIN
    if infiltrate:
        od[nuclei(rng, stroma & (y < 300), 9000, 3)] += 0.5 * HAEMATOXYLIN
        od[nuclei(rng, stroma & (y > 600) & (y < 700), 9000, 3)] += 0.5 * HAEMATOXYLIN
    light = 245 * 10.0 ** -cv2.GaussianBlur(od, (0, 0), 1)
    cells = cv2.resize(light, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    overview = np.clip(np.rint(cells + rng.normal(0, 0.4, cells.shape)), 0, 255).astype(np.uint8)
    valid = np.ones(overview.shape[:2], np.bool_)
    found = find_tissue(overview, valid, PixelSize(1, 1), 4, width_px=1400, height_px=1000)
    return found, overview


def test_the_band_along_the_surface_is_epidermis_and_what_lies_outside_it_horn() -> None:
    found = find_compartments(*skin(), (245, 245, 245))
    areas = found.areas()
    # The drawing has no collagen texture; bars on skin with texture are in tests/truth.
    assert areas["epidermis"]["area_mm2"] == pytest.approx(0.088, rel=0.2)
    assert areas["stratum_corneum"]["area_mm2"] == pytest.approx(0.0264, rel=0.25)
    assert areas["viable"]["area_mm2"] == pytest.approx(
        areas["epidermis"]["area_mm2"] + areas["dermis"]["area_mm2"]
    )
    assert found.epidermis_mm == pytest.approx(1.1, rel=0.05)
    assert found.compartment_at(np.array([700.0, 700, 700]), np.array([138.0, 190, 500])).tolist() == [
        "stratum_corneum",
        "epidermis",
        "dermis",
    ]


def test_under_a_dense_infiltrate_the_length_stays_right() -> None:
    found = find_compartments(*skin(infiltrate=True), (245, 245, 245))
    assert found.epidermis_mm == pytest.approx(1.1, rel=0.05)


def test_depth_is_positive_in_the_dermis_and_negative_in_the_epidermis() -> None:
    found = find_compartments(*skin(), (245, 245, 245))
    depth = found.depth_at(np.array([700.0, 700]), np.array([190.0, 430]))
    assert depth == pytest.approx([-40, 200], abs=16)


def test_where_there_is_no_epidermis_it_says_so_and_leaves_length_and_depth_missing() -> None:
    found = find_compartments(*skin(epidermis=False), (245, 245, 245))
    assert found.flags & Flag.NO_EPIDERMIS
    assert found.epidermis_mm is None
    assert found.depth_um is None
    assert list(found.areas()) == ["tissue"]


def test_the_papillary_band_has_the_asked_depth() -> None:
    params = CompartmentParams(papillary_um=100)
    found = find_compartments(*skin(), (245, 245, 245), params)
    assert found.areas()["papillary_dermis"]["area_mm2"] == pytest.approx(0.11, rel=0.08)


def test_compartments_can_be_left_to_the_annotations() -> None:
    tissue, overview = skin()
    assert find_compartments(tissue, overview, (245, 245, 245), CompartmentParams(automatic=False)) is tissue


def test_depth_counts_from_the_edge_between_cells() -> None:
    epidermis, dermis = np.zeros((2, 6, 5), np.bool_)
    epidermis[:3], dermis[3:] = True, True
    assert depth_below(epidermis, dermis, (CELL_UM, CELL_UM))[:, 2].tolist() == [-10, -6, -2, 2, 6, 10]


def test_cut_ends_of_the_band_are_not_surface() -> None:
    epidermis, dermis = np.zeros((2, 100, 320), np.bool_)
    epidermis[20:40, 10:310], dermis[40:90, 10:310] = True, True
    none = np.zeros_like(dermis)
    length = epidermis_length_um(epidermis, none, dermis, none, (CELL_UM, CELL_UM))
    assert length == pytest.approx(1200, rel=0.04)


@pytest.mark.parametrize(
    ("gap_um", "covered", "length_um"), [(48, False, 1200), (240, True, 1200), (240, False, 960)]
)
def test_a_mouth_of_a_follicle_and_a_gap_under_horn_belong_to_the_length(
    gap_um: int, covered: bool, length_um: float
) -> None:
    epidermis, dermis = np.zeros((2, 100, 320), np.bool_)
    epidermis[20:32, 10:310], dermis[20:90, 10:310] = True, True
    epidermis[:, 150 : 150 + gap_um // 4] = False
    horn = np.zeros_like(dermis)
    horn[14:20, 10:310] = covered
    length = epidermis_length_um(epidermis, horn, dermis & ~epidermis, np.zeros_like(dermis), (4.0, 4.0))
    assert length == pytest.approx(length_um, rel=0.05)


def test_an_epidermis_too_thin_to_keep_the_dermis_away_has_its_length() -> None:
    epidermis, dermis = np.zeros((2, 100, 320), np.bool_)
    epidermis[20:30, 10:310], epidermis[22:30, 100:200], dermis[20:90, 10:310] = True, False, True
    none = np.zeros_like(dermis)
    length = epidermis_length_um(epidermis, none, dermis & ~epidermis, none, (4.0, 4.0))
    assert length == pytest.approx(1200, rel=0.05)


def test_every_cell_of_tissue_has_a_compartment_where_there_is_epidermis() -> None:
    found = find_compartments(*skin(), (245, 245, 245))
    assert np.all(found.compartment[found.kind == RegionKind.TISSUE] > 0)


def test_annotations_override_what_was_found() -> None:
    found = find_compartments(*skin(), (245, 245, 245))
    drawn = Annotation("dermis", role_of("dermis"), shapely.box(600, 150, 800, 230))
    place = annotate(found, [drawn]).compartment_at(np.array([700.0, 500.0]), np.array([190.0, 190.0]))
    assert place.tolist() == ["dermis", "epidermis"]


def test_crinkles_of_the_surface_and_steps_of_the_raster_are_no_length() -> None:
    y, x = np.mgrid[:120, :300]
    for wave in (np.zeros(300), 2 * np.sin(np.arange(300) * 2 * np.pi / 8)):
        for tilt in (0.0, 0.1):
            depth = y - 30 - wave[None, :] - tilt * x
            epidermis, dermis = (depth >= 0) & (depth < 18), depth >= 18
            none = np.zeros_like(dermis)
            length = epidermis_length_um(epidermis, none, dermis, none, (4.0, 4.0))
            assert abs(length / (300 * 4 * np.hypot(1, tilt)) - 1) < 0.03


def test_dermis_outside_the_epidermis_is_horn_or_under_horn_pale_epidermis() -> None:
    """A strip that hangs on the dermis round the end of the epidermis; the dermis below it stays."""
    epidermis, horn, dermis = (NAMES.index(name) for name in ("epidermis", "stratum_corneum", "dermis"))
    outline = np.zeros((120, 220), np.bool_)
    outline[10:110, 10:210] = True
    codes = np.where(outline, dermis, 0).astype(np.uint8)
    codes[16:32, 30:190] = epidermis
    found = without_strip(codes, outline, 4.0)
    assert (found[10:16, 40:180] == horn).mean() > 0.95
    assert (found[16:32, 30:190] == epidermis).all()
    assert (found[40:110, 40:180] == dermis).all()
    codes[10:13, 12:208] = horn
    found = without_strip(codes, outline, 4.0)
    assert (found[13:16, 40:180] == epidermis).mean() > 0.95
