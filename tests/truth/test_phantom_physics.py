"""The phantoms themselves are right: optics, amounts, areas, counts and colours are what their truth says."""

import cv2
import numpy as np
import pytest

from ishcount.truth.simulate import paint
from ishcount.truth.simulate.background import solid_weight
from ishcount.truth.simulate.camera import Camera, expose, transmit
from ishcount.truth.simulate.randomness import noise_tile
from ishcount.truth.simulate.render import draw_density, draw_phantom, encode_tile, prepare
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.staining import unit
from ishcount.truth.simulate.tissue import GRID_UM, HOLE

RED = unit((0.21, 0.85, 0.48))
PLAIN = Camera(
    blur_um=0.05, shift_um=np.zeros((3, 2)), stray=0.0, white=np.full(3, 240.0), matrix=np.eye(3), gamma=1.0,
    contrast=0.0, sharpening=0.0, sharpening_px=1.0, noise=0.0, shading=np.zeros((3, 4)), seed=1,
)  # fmt: skip


def spec(**changes):
    return PhantomSpec(**({"preset": "easy", "size_px": (1200, 1000), "seed": 3} | changes))


@pytest.mark.parametrize("offset", [0.0, 0.07, 0.125])
@pytest.mark.parametrize("step_um", [0.1, 0.25, 0.5])
def test_a_dot_holds_its_integrated_optical_density_wherever_it_falls(offset, step_um):
    od = np.zeros((3, 80, 80), np.float32)
    middle = 40 * step_um + offset
    dot = np.array([[middle, middle, 0.45, 0.45, 0.0, 0.12, 0.37]])
    paint.stamp_particles(od, 0.0, 0.0, step_um, dot, RED[None])
    along_red = np.tensordot(RED, od.astype(float), 1).sum() * step_um**2
    assert along_red == pytest.approx(0.37, rel=1e-4)


def test_a_dot_on_the_seam_of_two_blocks_is_drawn_once():
    whole, left, right = (np.zeros((3, 40, width), np.float32) for width in (80, 40, 40))
    dot = np.array([[10.03, 5.0, 0.6, 0.6, 0.0, 0.12, 0.5]])
    for od, origin in ((whole, 0.0), (left, 0.0), (right, 10.0)):
        paint.stamp_particles(od, origin, 0.0, 0.25, dot, RED[None])
    np.testing.assert_allclose(np.concatenate([left, right], 2), whole, atol=1e-6)


def test_a_drawn_nucleus_has_the_area_its_shape_promises():
    od, labels = np.zeros((3, 200, 200), np.float32), np.zeros((200, 200), np.uint32)
    shape = np.array([[12.5, 12.5, 6.0, 4.0, 0.5, 0.8, 0.3, 0.08, 0.3, 0.05, 1.0, 0.02, 2.0, 0, 0]], float)
    paint.stamp_nuclei(
        od, labels, 0.0, 0.0, 0.125, shape, np.array([7], np.uint32), RED, noise_tile(9, 1.6), 0.2
    )
    promised = np.pi * 6 * 4 * (1 + (0.08**2 + 0.05**2 + 0.02**2) / 2)
    assert (labels == 7).sum() * 0.125**2 == pytest.approx(promised, rel=0.01)


def test_light_follows_beer_and_lambert():
    od = np.zeros((3, 64, 64), np.float32)
    od[1] = 0.301
    light = transmit(PLAIN, od, 0.25, None)
    assert light[1].mean() == pytest.approx(0.5, abs=1e-3)
    assert light[0].mean() == pytest.approx(1.0, abs=1e-6)


def test_the_lens_blurs_light_and_not_optical_density():
    od = np.zeros((3, 101, 101), np.float32)
    od[:, 50, 50] = 3.0
    camera = Camera(**{**PLAIN.__dict__, "blur_um": 0.5})
    light = transmit(camera, od, 0.25, None)
    assert (1 - light[0]).sum() == pytest.approx(
        1 - 1e-3, rel=1e-3
    )  # what the pixel took away is only spread
    assert (-np.log10(light[0])).sum() < 0.5  # OD is not kept: 3 of one pixel would stay 3 if OD were blurred


def test_a_camera_without_faults_stores_the_light():
    light = np.full((3, 32, 32), 0.5, np.float32)
    zero = np.zeros((32, 32), np.float32)
    assert np.unique(expose(PLAIN, light, (zero, zero), (0, 0))).tolist() == [120]


def test_blur_leaves_a_dot_less_peak_and_the_same_shadow():
    od = np.zeros((3, 80, 80), np.float32)
    paint.stamp_particles(od, 0, 0, 0.25, np.array([[10.0, 10.0, 0.5, 0.5, 0, 0.12, 0.2]]), RED[None])
    sharp = transmit(PLAIN, od, 0.25, None)
    soft = transmit(PLAIN, od, 0.25, np.full((80, 80), 1.0, np.float32))
    assert soft[1].min() > sharp[1].min() + 0.1
    assert (1 - soft[1]).sum() == pytest.approx((1 - sharp[1]).sum(), rel=0.02)


@pytest.mark.parametrize("subsampling", ["420", "422", "444"])
def test_known_colours_survive_the_jpeg(subsampling):
    import imagecodecs

    for colour in ((128, 128, 128), (200, 60, 90), (40, 60, 180)):
        tile = np.full((256, 256, 3), colour, np.uint8)
        encoded = encode_tile(tile, quality=90, subsampling=subsampling)
        back = imagecodecs.jpeg8_decode(encoded, colorspace="YCBCR", outcolorspace="RGB")
        assert np.abs(back.astype(int) - colour).max() <= 3  # one step of quantisation, thrice


def test_the_tissue_drawn_is_the_tissue_counted():
    canvas = prepare(spec(preset="medium", seed=6, confounders=frozenset()))
    od, _, place = draw_density(canvas, 0, 0, 1200, 1000)
    solid = solid_weight(place, canvas.scene.layers)
    code = canvas.scene.skin.tissue.code
    truth_um2 = ((code != 0) & (code != HOLE)).sum() * GRID_UM**2
    assert solid.sum() * 0.25**2 == pytest.approx(truth_um2, rel=0.003)
    assert (od.sum(0)[solid > 0.5] > 0.005).mean() > 0.995
    far_from_tissue = cv2.dilate(solid, np.ones((41, 41))) == 0
    assert od.sum(0)[far_from_tissue].max() < 0.01


def test_areas_are_counts_of_the_code_raster():
    truth = draw_phantom(spec(preset="hard", seed=5)).truth
    square = GRID_UM**2 * 1e-6
    assert truth.area_mm2["tissue"] == pytest.approx(truth.countable.sum() * square)
    parts = ("stratum_corneum", "epidermis", "dermis", "follicle", "gland", "hair")
    assert sum(truth.area_mm2[name] for name in parts) == pytest.approx(truth.area_mm2["tissue"])
    assert truth.area_mm2["tissue"] <= truth.area_mm2["outline"]


def test_the_stored_dots_are_the_counted_dots():
    truth = draw_phantom(spec()).truth
    owned = truth.dots[truth.dots["nucleus_id"] > 0]["nucleus_id"].value_counts()
    copies = truth.nuclei.set_index("nucleus_id")["IFNG_copies"]
    assert copies.sum() == owned.sum()
    assert (copies.loc[owned.index] == owned).all()
    assert truth.nuclei["IFNG_positive"].sum() > 5


def test_chromogen_in_the_picture_is_the_chromogen_of_the_dots():
    plain = spec(confounders=frozenset(), background_per_mm2=0.0)
    with_dots = prepare(plain)
    without = prepare(spec(confounders=frozenset(), background_per_mm2=0.0, prevalence=0.0))
    difference = draw_density(with_dots, 0, 0, 1200, 1000)[0] - draw_density(without, 0, 0, 1200, 1000)[0]
    strength = with_dots.scene.dots["strength_od_um2"].sum()
    amount = np.tensordot(with_dots.scene.staining.chromogens[0], difference.astype(float), 1).sum() * 0.25**2
    assert amount == pytest.approx(strength, rel=0.01)  # each dot's own colour lies a little off the mean


def test_every_label_is_a_nucleus_in_the_plane_at_its_place():
    truth = draw_phantom(spec(preset="medium")).truth
    nuclei = truth.nuclei.set_index("nucleus_id")
    step = 0.25 * truth.label_factor
    assert truth.labels.shape == (500, 600)
    seen = np.setdiff1d(np.unique(truth.labels), [0])
    assert nuclei.loc[seen, "in_plane"].all()
    assert len(seen) >= 0.98 * nuclei["in_plane"].sum()
    for nucleus_id in seen[:: max(len(seen) // 20, 1)]:
        rows, columns = np.nonzero(truth.labels == nucleus_id)
        assert abs((columns.mean() + 0.5) * step - nuclei.loc[nucleus_id, "x_um"]) < 2.0
        assert abs((rows.mean() + 0.5) * step - nuclei.loc[nucleus_id, "y_um"]) < 2.0


def test_dots_lie_at_most_six_micrometres_from_their_nucleus():
    scene = prepare(spec(preset="hard", size_px=(2000, 1600))).scene
    dots = scene.dots[(scene.dots["nucleus_id"] > 0) & ~scene.dots["clustered"]]
    nuclei = scene.nuclei.set_index("nucleus_id").loc[dots["nucleus_id"]]
    distance = np.hypot(dots["x_um"].to_numpy() - nuclei["x_um"], dots["y_um"].to_numpy() - nuclei["y_um"])
    assert (distance - nuclei["long_um"]).max() < 6.0
    assert (distance - nuclei["long_um"]).max() > 2.5
