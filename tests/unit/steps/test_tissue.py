"""Tissue: areas against drawn phantoms, and what must not count as tissue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import shapely
from scipy import ndimage

from ishcount.core.annotations import Annotation, role_of
from ishcount.core.flags import Flag
from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.core.units import PixelSize
from ishcount.steps.tissue import TissueParams, annotate, find_tissue

FACTOR, FINE_UM = 8, 0.5  # phantoms are drawn at 0.5 um/px and looked at in cells of 4 um
PIXEL = PixelSize(FINE_UM, FINE_UM)
HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
Array = np.ndarray[Any, Any]


class Phantom:
    """A slide drawn in optical density at 0.5 um/px, blurred by 1 um, then averaged to 4 um."""

    def __init__(self, width_um: float = 1600, height_um: float = 1200, *, seed: int = 5) -> None:
        self.rng = np.random.default_rng(seed)
        self.od = np.zeros((round(height_um / FINE_UM), round(width_um / FINE_UM), 3), np.float32)

    def disc(self, x_um: float, y_um: float, radius_um: float) -> Array:
        rows, cols = np.indices(self.od.shape[:2], dtype=np.float32)
        return np.hypot((cols + 0.5) * FINE_UM - x_um, (rows + 0.5) * FINE_UM - y_um) < radius_um

    def tissue(self, mask: Array, *, od: float = 0.12) -> None:
        """Pale matrix with nuclei of 7 um, a cell per 14 x 14 um."""
        self.od[mask] = od * HAEMATOXYLIN
        nuclei = np.zeros(mask.shape, np.uint8)
        for y, x in zip(*(self.rng.uniform(0, n, mask.size // 784) for n in mask.shape), strict=True):
            cv2.circle(nuclei, (int(x), int(y)), 7, 1, -1)
        self.od[(nuclei > 0) & mask] += 0.5 * HAEMATOXYLIN

    def look(self, params: TissueParams = TissueParams(), white: int = 244) -> TissueMap:
        blurred = cv2.GaussianBlur(self.od, (0, 0), 1 / FINE_UM)
        light = white * 10.0**-blurred
        height, width = light.shape[:2]
        rows, cols = np.arange(0, height, FACTOR), np.arange(0, width, FACTOR)
        sums = np.add.reduceat(np.add.reduceat(light, rows, axis=0), cols, axis=1)
        area = np.diff([*rows, height])[:, None] * np.diff([*cols, width])[None]
        rgb = sums / area[..., None] + self.rng.normal(0, 0.4, (*area.shape, 3))
        overview = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
        valid = np.ones(area.shape, np.bool_)
        return find_tissue(overview, valid, PIXEL, FACTOR, params, width_px=width, height_px=height)


def mm2(mask: Array) -> float:
    return PIXEL.area_mm2(int(mask.sum()))


def test_the_area_of_a_disc_is_right_within_one_percent() -> None:
    phantom = Phantom()
    disc = phantom.disc(800, 600, 450)
    phantom.tissue(disc)
    areas = phantom.look().areas()["tissue"]
    assert areas["area_mm2"] == pytest.approx(mm2(disc), rel=0.01)
    assert areas["area_low_mm2"] <= areas["area_mm2"] <= areas["area_high_mm2"]


@pytest.mark.parametrize("od", [0.08, 0.3, 0.8])
def test_the_area_does_not_depend_on_how_dark_tissue_is(od: float) -> None:
    phantom = Phantom()
    disc = phantom.disc(800, 600, 400)
    phantom.tissue(disc, od=od)
    assert phantom.look().areas()["tissue"]["area_mm2"] == pytest.approx(mm2(disc), rel=0.015)


def test_holes_and_clefts_are_out_of_tissue_but_inside_the_outline() -> None:
    phantom = Phantom()
    disc = phantom.disc(800, 600, 450)
    lumen = phantom.disc(700, 600, 60)
    cleft = np.zeros_like(disc)
    cleft[round(450 / FINE_UM) : round(480 / FINE_UM), round(800 / FINE_UM) : round(1100 / FINE_UM)] = True
    phantom.tissue(disc & ~lumen & ~cleft)
    found = phantom.look()
    areas = found.areas()["tissue"]
    assert areas["area_mm2"] == pytest.approx(mm2(disc & ~lumen & ~cleft), rel=0.01)
    assert areas["outline_mm2"] == pytest.approx(mm2(disc), rel=0.01)
    assert found.kind_at(np.array([700.0]), np.array([600.0]))[0] == RegionKind.HOLE


def test_serial_levels_are_numbered_in_reading_order() -> None:
    phantom = Phantom()
    for x, y in [(1200, 320), (400, 300), (800, 900)]:
        phantom.tissue(phantom.disc(x, y, 220))
    found = phantom.look()
    assert found.section_at(np.array([400.0, 1200, 800]), np.array([300.0, 320, 900])).tolist() == [1, 2, 3]


def test_parts_of_one_section_apart_by_a_tear_stay_one_section() -> None:
    phantom = Phantom()
    disc = phantom.disc(800, 600, 400)
    disc[:, round(780 / FINE_UM) : round(860 / FINE_UM)] = False
    phantom.tissue(disc)
    assert int(phantom.look().section.max()) == 1


def test_an_empty_slide_has_area_zero() -> None:
    found = Phantom().look()
    assert found.areas()["tissue"]["area_mm2"] == 0
    assert found.sections() == []


def test_a_slide_without_glass_is_tissue_all_over() -> None:
    phantom = Phantom(800, 600)
    phantom.tissue(np.ones(phantom.od.shape[:2], np.bool_))
    assert phantom.look().areas()["tissue"]["area_mm2"] == pytest.approx(0.48)


@pytest.mark.parametrize(
    "ink",
    [(1.0, 0.28, 0.36), (0.75, 0.42, 0.11), (0.05, 0.9, 0.8), (1.1, 1.05, 1.0)],
    ids=["green", "blue", "red", "black"],
)
def test_a_pen_stroke_is_no_tissue_on_glass_and_no_area_on_tissue(ink: tuple[float, ...]) -> None:
    phantom = Phantom()
    disc = phantom.disc(900, 600, 400)
    phantom.tissue(disc)
    stroke = np.zeros(disc.shape, np.uint8)
    cv2.line(stroke, (0, 700), (2000, 1100), 1, 200)  # 100 um wide
    phantom.od += cv2.GaussianBlur(stroke.astype(np.float32), (0, 0), 8)[..., None] * np.array(
        ink, np.float32
    )
    found = phantom.look()
    assert int(found.section.max()) == 1
    truth = mm2(disc & (stroke == 0))
    assert found.areas()["tissue"]["area_mm2"] == pytest.approx(truth, rel=0.06)
    assert found.artefact_areas_mm2()["pen"] > 0.8 * mm2(stroke > 0)


def test_grey_specks_are_dust_and_a_small_blue_fleck_is_tissue() -> None:
    phantom = Phantom()
    phantom.od[phantom.disc(400, 400, 25)] = 0.5
    phantom.tissue(phantom.disc(1000, 700, 30), od=0.2)
    found = phantom.look()
    assert found.kind_at(np.array([400.0, 1000]), np.array([400.0, 700])).tolist() == [
        RegionKind.DUST,
        RegionKind.TISSUE,
    ]


def test_an_air_bubble_on_glass_is_no_tissue() -> None:
    phantom = Phantom()
    phantom.tissue(phantom.disc(1100, 600, 300))
    phantom.od[phantom.disc(400, 600, 150) & ~phantom.disc(400, 600, 135)] = 0.35
    found = phantom.look()
    assert int(found.section.max()) == 1
    assert found.artefact_areas_mm2()["bubble"] == pytest.approx(np.pi * 0.15**2, rel=0.1)


def test_shaded_light_does_not_move_the_area() -> None:
    phantom = Phantom()
    disc = phantom.disc(800, 600, 400)
    phantom.tissue(disc)
    phantom.od += np.linspace(0, 0.04, phantom.od.shape[1], dtype=np.float32)[None, :, None]
    assert phantom.look().areas()["tissue"]["area_mm2"] == pytest.approx(mm2(disc), rel=0.015)


def test_unreadable_cells_are_neither_tissue_nor_glass() -> None:
    overview = np.full((50, 60, 3), 240, np.uint8)
    valid = np.ones((50, 60), np.bool_)
    valid[10:20, 10:30] = False
    found = find_tissue(overview, valid, PIXEL, FACTOR, width_px=480, height_px=400)
    assert found.artefact_areas_mm2() == {"damaged": pytest.approx(PIXEL.area_mm2(200 * 64))}


def area(name: str, box: tuple[float, float, float, float]) -> Annotation:
    """An annotation over a box in um."""
    return Annotation(name, role_of(name), shapely.box(*(value / FINE_UM for value in box)))


def test_annotations_limit_exclude_and_name_and_the_smaller_name_wins() -> None:
    phantom = Phantom(800, 800)
    phantom.tissue(np.ones(phantom.od.shape[:2], np.bool_))
    found = annotate(
        phantom.look(),
        [
            area("", (0, 0, 800, 400)),
            area("Exclude", (0, 0, 400, 200)),
            area("Inner", (400, 0, 500, 100)),
            area("Outer", (400, 0, 800, 400)),
        ],
    )
    areas = {name: value["area_mm2"] for name, value in found.areas().items()}
    assert areas == pytest.approx({"tissue": 0.24, "Inner": 0.01, "Outer": 0.15})
    assert found.artefact_areas_mm2() == pytest.approx({"excluded": 0.08})
    assert found.areas()["tissue"]["outline_mm2"] == pytest.approx(0.32)


def test_cells_cut_by_the_slide_edge_count_only_what_they_cover() -> None:
    found = find_tissue(
        np.zeros((2, 2, 3), np.uint8) + np.array([120, 90, 160], np.uint8),
        np.ones((2, 2), np.bool_),
        PIXEL,
        FACTOR,
        width_px=11,
        height_px=9,
    )
    assert found.n_px(np.ones((2, 2), np.bool_)) == 99


PICTURES = {
    "no-tissue": 0.0, "no-tissue-line": 0.0, "no-tissue-red-pen": 0.0, "no-tissue-green-pen": 0.0,
    "almost-white-1": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(("name", "share"), PICTURES.items())
def test_real_fields_without_tissue_have_none(name: str, share: float, real_data: Path) -> None:
    rgb = cv2.imread(str(real_data / "pen" / f"{name}.png"))[..., ::-1]
    overview = cv2.resize(rgb, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    found = find_tissue(
        overview, np.ones(overview.shape[:2], np.bool_), PixelSize(1, 1), 4, width_px=512, height_px=512
    )
    assert (found.kind == RegionKind.TISSUE).mean() == share


@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_the_fleck_on_an_almost_empty_real_slide_is_found(mpp: float, real_data: Path) -> None:
    import tifffile

    rgb = tifffile.imread(real_data / "slides" / "kidney-48-5.tif")
    factor = round(4 / mpp)
    overview = cv2.resize(rgb, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    found = find_tissue(
        overview, np.ones(overview.shape[:2], np.bool_), PixelSize(mpp, mpp), factor,
        width_px=rgb.shape[1], height_px=rgb.shape[0],
    )  # fmt: skip
    (section,) = found.sections()
    assert (section["x_um"] / mpp, section["y_um"] / mpp) == pytest.approx((346, 535), abs=30)


def test_pale_horn_along_the_surface_is_no_pencil_line() -> None:
    od = np.zeros((200, 300, 3), np.float32)
    od[40:50, 20:280] = 0.08
    od[50:180, 20:280] = 0.25 * np.array([0.65, 0.70, 0.29])
    rng = np.random.default_rng(5)
    grain = rng.normal(0, 1.5, od.shape)
    grain[:38] *= 0.3
    overview = np.clip(np.rint(245 * 10.0**-od + grain), 0, 255).astype(np.uint8)
    found = find_tissue(overview, np.ones((200, 300), bool), PixelSize(1, 1), 4, width_px=1200, height_px=800)
    assert (found.kind[41:49, 25:275] == RegionKind.TISSUE).mean() > 0.95


def test_an_air_bubble_over_tissue_is_no_tissue_and_nuclei_are_no_bubble() -> None:
    rng = np.random.default_rng(6)
    od = np.zeros((300, 300, 3), np.float32)
    nuclei = rng.random((240, 240)) < 0.1
    od[30:270, 30:270] = (0.15 + 0.35 * nuclei)[..., None] * np.array([0.65, 0.70, 0.29])
    without = np.clip(np.rint(245 * 10.0**-od + rng.normal(0, 0.4, od.shape)), 0, 255).astype(np.uint8)
    ring = np.zeros((300, 300), np.uint8)
    cv2.circle(ring, (150, 150), 30, 1, 2)
    disc = cv2.circle(np.zeros((300, 300), np.uint8), (150, 150), 29, 1, -1) > 0
    od += 0.5 * ring[..., None]
    overview = np.clip(np.rint(245 * 10.0**-od + rng.normal(0, 0.4, od.shape)), 0, 255).astype(np.uint8)
    valid = np.ones((300, 300), bool)
    kinds = [
        find_tissue(picture, valid, PixelSize(1, 1), 4, width_px=1200, height_px=1200).kind
        for picture in (overview, without)
    ]
    assert (kinds[0][disc] == RegionKind.BUBBLE).mean() > 0.95
    assert not (kinds[1] == RegionKind.BUBBLE).any()


def test_the_pale_edge_of_a_round_section_is_no_bubble() -> None:
    od = np.zeros((240, 300, 3), np.float32)
    edge, inside = (
        cv2.ellipse(np.zeros((240, 300), np.uint8), (150, 120), axes, 0, 0, 360, 1, -1) > 0
        for axes in ((110, 95), (104, 89))
    )
    od[edge] = 0.12
    od[inside] = 0.3 * np.array([0.65, 0.70, 0.29])
    rng = np.random.default_rng(7)
    overview = np.clip(np.rint(245 * 10.0**-od + rng.normal(0, 0.4, od.shape)), 0, 255).astype(np.uint8)
    found = find_tissue(overview, np.ones((240, 300), bool), PixelSize(1, 1), 4, width_px=1200, height_px=960)
    assert not (found.kind == RegionKind.BUBBLE).any()
    assert (found.kind[inside] == RegionKind.TISSUE).mean() > 0.95


@pytest.mark.parametrize(("od", "doubtful"), [(0.003, True), (0.018, False), (None, False)])
def test_dermis_too_pale_to_be_seen_makes_the_area_doubtful(od: float | None, doubtful: bool) -> None:
    """Nuclei 40 um apart with nothing between them; on glass without any the area is not in doubt."""
    slide = np.full((160, 200, 3), 240.0)
    slide[20:40, 30:170] = np.random.default_rng(2).integers(110, 180, (20, 140, 1))
    if od is not None:
        slide[40:140, 30:170] *= 10**-od
        for y in range(44, 138, 10):
            for x in range(34, 168, 10):
                slide[y : y + 2, x : x + 2] = (120, 110, 160)
    found = find_tissue(
        np.rint(slide).astype(np.uint8),
        np.ones(slide.shape[:2], np.bool_),
        PixelSize(0.25, 0.25),
        16,
        width_px=200 * 16,
        height_px=160 * 16,
    )
    assert bool(Flag(found.flags) & Flag.AREA_DOUBTFUL) == doubtful


def test_pale_dermis_inside_a_section_stays_tissue_in_uneven_light() -> None:
    """Stripes of a line scanner lift the cut above the middle of the section; a lumen there stays a hole."""
    rng = np.random.default_rng(5)
    od = np.zeros((200, 240))
    od[30:170, 30:210] = 0.1
    od[70:130, 80:160] = 0.026
    od[30:170, 30:210] *= 1 + 0.4 * ndimage.gaussian_filter(rng.standard_normal((140, 180)), (0.6, 3)) * 2.5
    od[140:150, 60:80] = 0
    light = 235 * np.where(np.arange(240) // 10 % 2, 1, 0.97)
    slide = np.repeat(np.rint(light * 10**-od).astype(np.uint8)[..., None], 3, axis=2)
    found = find_tissue(
        slide, np.ones(od.shape, np.bool_), PixelSize(0.25, 0.25), 16, width_px=240 * 16, height_px=200 * 16
    )
    assert (found.kind[74:126, 84:156] == RegionKind.TISSUE).mean() > 0.9
    assert (found.kind[142:148, 62:78] == RegionKind.HOLE).mean() > 0.9
