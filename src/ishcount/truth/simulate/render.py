"""From a scene to pixels, block by block; a block's pixels depend on nothing but the spec and its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import imagecodecs
import numpy as np
import numpy.typing as npt

from ishcount.core.errors import UsageError
from ishcount.truth.simulate import paint
from ishcount.truth.simulate.background import (
    Window,
    add_artefacts,
    add_chromogen_background,
    add_tissue,
    solid_weight,
    window,
)
from ishcount.truth.simulate.camera import Camera, draw_camera, expose, transmit
from ishcount.truth.simulate.randomness import Array, noise_tile, stream
from ishcount.truth.simulate.scene import Scene, draw_scene, nucleus_shapes
from ishcount.truth.simulate.spec import SUBSAMPLINGS, PhantomSpec
from ishcount.truth.simulate.truth import PhantomTruth, truth_of

BLOCK_PX = 1024  # of the stored image
MARGIN_PX = 64  # of the drawing: more than optics, sharpening and cell borders reach
TILE_PX = 256
DRAWING_UM = 0.25  # pixels are drawn no coarser than this and averaged, as a sensor does
MOST_PX_IN_MEMORY = 40_000_000
OUT_OF_FOCUS_UM = 0.55  # softness (sd) of a dot that lies out of focus
IN_FOCUS_UM = 0.12


@dataclass(frozen=True)
class Phantom:
    """A phantom in memory: `rgb` uint8 (height, width, 3) as read back from its JPEG tiles, and its truth."""

    spec: PhantomSpec
    rgb: npt.NDArray[np.uint8]
    truth: PhantomTruth


@dataclass(frozen=True)
class Canvas:
    """A scene with everything a block needs, made once."""

    scene: Scene
    camera: Camera
    shapes: np.ndarray
    shape_ids: np.ndarray
    particles: tuple[np.ndarray, np.ndarray]
    red_cells: np.ndarray
    hazes: np.ndarray
    sampling: int  # drawn pixels per stored pixel, each way

    @property
    def step_um(self) -> float:
        """Side of a drawn pixel."""
        return self.scene.spec.mpp_um / self.sampling


def prepare(spec: PhantomSpec) -> Canvas:
    """The scene and camera of `spec`, ready to be rendered."""
    scene = draw_scene(spec)
    shapes, ids = nucleus_shapes(scene)
    table = scene.confounders
    red = table[table["kind"] == "red_cell"]
    haze = table[table["kind"] == "haze"]
    return Canvas(
        scene=scene,
        camera=draw_camera(spec),
        shapes=shapes,
        shape_ids=ids,
        particles=_particles(scene),
        red_cells=red[["x_um", "y_um", "long_um", "peak_od"]].to_numpy(float),
        hazes=haze[["x_um", "y_um", "long_um", "peak_od"]].to_numpy(float),
        sampling=max(1, round(spec.mpp_um / DRAWING_UM)),
    )


def _particles(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Dots and granules as rows for `paint.stamp_particles`, and the colour of each."""
    staining, dots = scene.staining, scene.dots
    rng = stream(scene.spec.seed, "particle colours")
    vectors = dict(zip(scene.spec.markers, staining.chromogens, strict=True))
    radius = dots["diameter_um"].to_numpy(float) / 2
    softness = np.where(dots["in_focus"], IN_FOCUS_UM, OUT_OF_FOCUS_UM)
    dot_rows = np.column_stack(
        [dots["x_um"], dots["y_um"], radius, radius, np.zeros(len(dots)), softness, dots["strength_od_um2"]]
    )
    table = scene.confounders
    table = table[~table["kind"].isin(["red_cell", "haze"])]
    strength = table["peak_od"] * np.pi * table["long_um"] * table["short_um"]
    rows = np.column_stack(
        [
            table["x_um"],
            table["y_um"],
            table["long_um"],
            table["short_um"],
            table["angle_rad"],
            table["softness_um"],
            strength,
        ]
    )
    stains = {
        name: getattr(staining, name)
        for name in ("haematoxylin", "melanin_brown", "melanin_black", "haemosiderin")
    }
    stains["chromogen"] = staining.chromogens[0]
    colours = [vectors[marker] for marker in dots["marker"]] + [stains[name] for name in table["stain"]]
    all_vectors = np.array(colours, float).reshape(-1, 3)
    all_vectors = np.maximum(all_vectors + rng.normal(0, 0.015, all_vectors.shape), 0.01)
    all_vectors /= np.maximum(np.linalg.norm(all_vectors, axis=1, keepdims=True), 1e-9)
    return np.concatenate([dot_rows, rows]).astype(float), all_vectors


def draw_density(
    canvas: Canvas, x_px: int, y_px: int, columns: int, rows: int
) -> tuple[Array, np.ndarray, Window]:
    """Optical density (3, rows, columns) of a region in drawn pixels, nucleus labels, and the region's
    window.
    """
    scene, step = canvas.scene, canvas.step_um
    left, top = x_px * step, y_px * step
    od = np.zeros((3, rows, columns), np.float32)
    labels = np.zeros((rows, columns), np.uint32)
    place = window(left, top, columns, rows, step)
    box = (left, top, left + columns * step, top + rows * step)
    here = _near(canvas.shapes, box, 12)
    contrast = scene.spec.preset_numbers.chromatin_contrast
    paint.stamp_nuclei(
        od, labels, left, top, step, canvas.shapes[here], canvas.shape_ids[here], scene.staining.haematoxylin,
        noise_tile(9, 1.6), contrast,
    )  # fmt: skip
    solid = solid_weight(place, scene.layers)
    od *= solid  # nuclei end where the tissue does
    labels[solid < 0.5] = 0
    if solid.any():
        _add_background(od, place, scene, solid, labels)
    paint.stamp_red_cells(
        od, left, top, step, canvas.red_cells[_near(canvas.red_cells, box, 6)], scene.staining.red_cell
    )
    paint.stamp_blobs(
        od, left, top, step, canvas.hazes[_near(canvas.hazes, box, 75)], scene.staining.chromogens[0]
    )
    rows_here = _near(canvas.particles[0], box, 8)
    paint.stamp_particles(od, left, top, step, canvas.particles[0][rows_here], canvas.particles[1][rows_here])
    add_artefacts(od, place, scene.artefacts, scene.staining.chromogens[0])
    return od, labels, place


def _add_background(
    od: Array, place: Window, scene: Scene, solid: Array, labels: npt.NDArray[np.uint32]
) -> None:
    tissue, staining = scene.skin.tissue, scene.staining
    add_tissue(od, place, tissue, scene.layers, solid, staining, labels)
    held = 0.16 * scene.spec.preset_numbers.confounders.get("corneum", 0.0)
    for number, vector in enumerate(staining.chromogens):
        corneum_od = held if number == 0 else 0.0
        add_chromogen_background(
            od, place, tissue, scene.layers, solid, vector, staining.chromogen_background_od, corneum_od
        )


def _near(rows: np.ndarray, box: tuple[float, float, float, float], reach_um: float) -> np.ndarray:
    x, y = rows[:, 0], rows[:, 1]
    left, top, right, bottom = box
    return np.flatnonzero(
        (x > left - reach_um) & (x < right + reach_um) & (y > top - reach_um) & (y < bottom + reach_um)
    )


def render_block(
    canvas: Canvas, row: int, column: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint32]]:
    """Pixels (before JPEG) and nucleus labels (on the nuclei grid) of one block of 1024 stored pixels."""
    k, spec = canvas.sampling, canvas.scene.spec
    width, height = spec.shape_px
    margin = -(-MARGIN_PX // k) * k
    out_w, out_h = min(BLOCK_PX, width - column * BLOCK_PX), min(BLOCK_PX, height - row * BLOCK_PX)
    columns, rows = out_w * k + 2 * margin, out_h * k + 2 * margin
    od, labels, place = draw_density(
        canvas, column * BLOCK_PX * k - margin, row * BLOCK_PX * k - margin, columns, rows
    )
    extra = canvas.scene.artefacts.blur_um
    light = transmit(canvas.camera, od, canvas.step_um, place.enlarge(extra) if extra.any() else None)
    light = light.reshape(3, rows // k, k, columns // k, k).mean(axis=(2, 4), dtype=np.float32)
    side_x, side_y = (width * spec.mpp_um, height * spec.mpp_um)
    over = (
        place.x_um[k // 2 :: k, k // 2 :: k] / side_x * 2 - 1,
        place.y_um[k // 2 :: k, k // 2 :: k] / side_y * 2 - 1,
    )
    rgb = expose(canvas.camera, light, over, (row, column))
    inner, every = margin // k, k * spec.label_factor
    first = margin + every // 2
    return (
        rgb[inner : inner + out_h, inner : inner + out_w],
        labels[
            first : margin + out_h * k + every // 2 : every, first : margin + out_w * k + every // 2 : every
        ],
    )


def render_strips(canvas: Canvas) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint32]]]:
    """The image from top to bottom in strips of 1024 rows: pixels before JPEG, labels."""
    width, height = canvas.scene.spec.shape_px
    for row in range(-(-height // BLOCK_PX)):
        blocks = [render_block(canvas, row, column) for column in range(-(-width // BLOCK_PX))]
        yield np.concatenate([rgb for rgb, _ in blocks], 1), np.concatenate([label for _, label in blocks], 1)


def encode_tile(tile: npt.NDArray[np.uint8], *, quality: int, subsampling: str) -> bytes:
    """A tile as JPEG, stored as YCbCr with the wanted chroma subsampling."""
    return bytes(
        imagecodecs.jpeg8_encode(
            np.ascontiguousarray(tile), level=quality, colorspace="RGB", outcolorspace="YCBCR",
            subsampling=SUBSAMPLINGS[subsampling],
        )
    )  # fmt: skip


def encode_strip(strip: npt.NDArray[np.uint8], spec: PhantomSpec) -> Iterator[bytes]:
    """The JPEG tiles of a strip, from left to right, then down; tiles at the border are filled by
    repetition.
    """
    rows, columns = (-(-side // TILE_PX) * TILE_PX for side in strip.shape[:2])
    filled = np.pad(strip, ((0, rows - strip.shape[0]), (0, columns - strip.shape[1]), (0, 0)), mode="edge")
    quality = spec.preset_numbers.jpeg_quality
    for top in range(0, rows, TILE_PX):
        for left in range(0, columns, TILE_PX):
            tile = filled[top : top + TILE_PX, left : left + TILE_PX]
            yield encode_tile(tile, quality=quality, subsampling=spec.subsampling)


def through_jpeg(strip: npt.NDArray[np.uint8], spec: PhantomSpec) -> npt.NDArray[np.uint8]:
    """A strip as it is read back from its tiles."""
    columns = -(-strip.shape[1] // TILE_PX)
    tiles = [
        imagecodecs.jpeg8_decode(tile, colorspace="YCBCR", outcolorspace="RGB")
        for tile in encode_strip(strip, spec)
    ]
    rows = [np.concatenate(tiles[first : first + columns], 1) for first in range(0, len(tiles), columns)]
    return np.concatenate(rows, 0)[: strip.shape[0], : strip.shape[1]]


def draw_phantom(spec: PhantomSpec) -> Phantom:
    """Pixels and truth in memory, the same pixels that `write_phantom` stores.

    UsageError above 40 megapixels: write those to a file.
    """
    width, height = spec.shape_px
    if width * height > MOST_PX_IN_MEMORY:
        raise UsageError(
            f"a phantom of {width} x {height} px is too large to hold; use write_phantom, or at most "
            f"{MOST_PX_IN_MEMORY // 1_000_000} megapixels"
        )
    canvas = prepare(spec)
    strips = [(through_jpeg(rgb, spec), labels) for rgb, labels in render_strips(canvas)]
    rgb = np.concatenate([rgb for rgb, _ in strips], 0)
    return Phantom(spec, rgb, truth_of(canvas.scene, np.concatenate([labels for _, labels in strips], 0)))
