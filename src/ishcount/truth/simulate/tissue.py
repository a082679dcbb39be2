"""The shape of one skin section on its glass: epidermis, dermis and what lies between, on a 2 um grid.

The grid decides what every place is; areas of the truth are counts of its pixels. Level 0 is drawn from the
same grid, enlarged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.truth.simulate.randomness import Array, field, stream, wave
from ishcount.truth.simulate.spec import PhantomSpec

GRID_UM = 2.0
GLASS, CORNEUM, EPIDERMIS, DERMIS, FOLLICLE, GLAND, HAIR, HOLE = range(8)
CODE_NAMES = ("glass", "stratum_corneum", "epidermis", "dermis", "follicle", "gland", "hair", "hole")
Curve = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Profile:
    """Curves along the skin, one value per 2 um: depth (um) of each border below the top of the frame."""

    surface_um: Curve
    corneum_end_um: Curve
    junction_um: Curve
    bottom_um: Curve
    start_um: float
    end_um: float

    def length_mm(self, curve_um: Curve) -> float:
        """Length of a border from one side of the section to the other."""
        inside = curve_um[int(self.start_um / GRID_UM) : int(self.end_um / GRID_UM)]
        return float(np.hypot(GRID_UM, np.diff(inside)).sum() / 1000)

    @property
    def epidermis_mm(self) -> float:
        """Length of the epidermis: its middle line, without the swing of the ridges (smoothed by 50 um)."""
        middle = (self.corneum_end_um + self.junction_um) / 2
        return self.length_mm(ndimage.gaussian_filter1d(middle, 50 / GRID_UM))

    @property
    def junction_mm(self) -> float:
        """Length of the dermo-epidermal junction with every ridge."""
        return self.length_mm(self.junction_um)


@dataclass(frozen=True)
class Frame:
    """Skin coordinates of each grid pixel: `along_um` beside the surface, `down_um` into the skin."""

    along_um: Array
    down_um: Array
    angle_rad: float  # how far the skin is turned on the glass
    size_um: tuple[float, float]  # along, down


@dataclass(frozen=True)
class Tissue:
    """The section as rasters of (grid rows, grid columns)."""

    code: npt.NDArray[np.uint8]  # GLASS ... HOLE
    outline: npt.NDArray[np.bool_]
    depth_um: Array  # below the junction; negative in the epidermis
    surface_um: Array  # below the skin's surface
    along_um: Array
    collagen: Array  # relative amount, about 1
    angle_rad: float
    profile: Profile


def grid_shape(spec: PhantomSpec) -> tuple[int, int]:
    """Rows and columns of the 2 um grid that covers the slide."""
    width_px, height_px = spec.shape_px
    return int(np.ceil(height_px * spec.mpp_um / GRID_UM)), int(np.ceil(width_px * spec.mpp_um / GRID_UM))


def draw_frame(spec: PhantomSpec) -> Frame:
    """How the skin lies on the glass: a quarter turn of chance and a few degrees more."""
    rng = stream(spec.seed, "frame")
    rows, columns = grid_shape(spec)
    quarter = int(rng.integers(4))
    angle = quarter * np.pi / 2 + np.radians(np.clip(rng.normal(0, 4), -8, 8))
    size = (columns * GRID_UM, rows * GRID_UM)
    size = size if quarter % 2 == 0 else size[::-1]
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    x, y = (x + 0.5 - columns / 2) * GRID_UM, (y + 0.5 - rows / 2) * GRID_UM
    along = np.cos(angle) * x + np.sin(angle) * y + size[0] / 2
    down = -np.sin(angle) * x + np.cos(angle) * y + size[1] / 2
    along += 5 * field(rng, (rows, columns), 40) + 2 * field(rng, (rows, columns), 9)
    down += 4 * field(rng, (rows, columns), 40) + 1.5 * field(rng, (rows, columns), 9)
    return Frame(along.astype(np.float32), down.astype(np.float32), float(angle), size)


def draw_profile(spec: PhantomSpec, size_um: tuple[float, float]) -> Profile:
    """The borders of corneum, epidermis and dermis along the skin."""
    rng = stream(spec.seed, "profile")
    along, down = size_um
    n = int(along / GRID_UM) + 400  # the frame's warp may step over the ends
    scale = min(1.0, down / 350)  # small pictures get thin skin, so that some dermis remains
    margin_along, margin_down = float(np.clip(0.06 * along, 12, 200)), float(np.clip(0.07 * down, 12, 180))
    surface = margin_down + 10 * scale + scale * (7 * wave(rng, n, 200) + 3 * wave(rng, n, 40))
    corneum = scale * rng.uniform(14, 34) * np.exp(0.25 * wave(rng, n, 120))
    thicker = 1.3 if spec.state == "inflamed" else 1.0
    plate = scale * rng.uniform(38, 52) * thicker * np.exp(0.2 * wave(rng, n, 150))
    phase = np.cumsum(2 * np.pi * GRID_UM / rng.uniform(85, 140) * np.exp(0.35 * wave(rng, n, 80)))
    height = scale * rng.uniform(22, 48) * np.exp(0.4 * wave(rng, n, 60))
    ridges = height * (0.5 + 0.5 * np.sin(phase)) ** 1.4
    bottom = down - margin_down - scale * (12 + 9 * wave(rng, n, 130) + 3 * wave(rng, n, 20))
    corneum_end = surface + corneum
    return Profile(
        surface, corneum_end, corneum_end + plate + ridges, bottom, margin_along, along - margin_along
    )


def draw_tissue(spec: PhantomSpec) -> Tissue:
    """Skin without the structures in its dermis: corneum, epidermis, dermis, clefts and blisters."""
    frame = draw_frame(spec)
    profile = draw_profile(spec, frame.size_um)
    index = np.clip((frame.along_um / GRID_UM).astype(int), 0, len(profile.surface_um) - 1)
    ragged = 6 * field(stream(spec.seed, "sides"), frame.along_um.shape, 35)
    outline = (frame.along_um > profile.start_um + ragged) & (frame.along_um < profile.end_um + ragged)
    outline &= (frame.down_um > profile.surface_um[index]) & (frame.down_um < profile.bottom_um[index])
    outline = _largest(outline)
    code = np.full(outline.shape, DERMIS, np.uint8)
    code[frame.down_um < profile.junction_um[index]] = EPIDERMIS
    code[frame.down_um < profile.corneum_end_um[index]] = CORNEUM
    above = code != DERMIS
    depth = ndimage.distance_transform_edt(~above) - ndimage.distance_transform_edt(above)
    depth_um = (depth * GRID_UM).astype(np.float32)
    code[~outline] = GLASS
    code[(code == DERMIS) & (depth_um < _gap_um(spec, profile)[index])] = HOLE
    surface_um = (frame.down_um - profile.surface_um[index]).astype(np.float32)
    collagen = _collagen(spec, depth_um)
    return Tissue(code, outline, depth_um, surface_um, frame.along_um, collagen, frame.angle_rad, profile)


def _largest(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    labels, n = ndimage.label(mask)
    if n:
        mask = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return np.asarray(ndimage.binary_fill_holes(mask))


def _gap_um(spec: PhantomSpec, profile: Profile) -> Curve:
    """Width of the gap under the epidermis along the skin: retraction clefts, and blisters where inflamed."""
    rng = stream(spec.seed, "gaps")
    n = len(profile.surface_um)
    gap = 9 * spec.preset_numbers.tears * np.maximum(wave(rng, n, 60) - 1.5, 0)
    if spec.state == "inflamed" and rng.random() < 0.45 * spec.preset_numbers.tears:
        centre = rng.uniform(profile.start_um, profile.end_um) / GRID_UM
        half = min(rng.uniform(40, 140), n * GRID_UM / 8) / GRID_UM
        dome = np.sqrt(np.maximum(1 - ((np.arange(n) - centre) / half) ** 2, 0))
        gap = np.maximum(gap, dome * rng.uniform(12, 45))
    return np.asarray(gap)


def _collagen(spec: PhantomSpec, depth_um: Array) -> Array:
    """Relative density of the dermis: loose below the junction, looser where swollen with oedema."""
    rng = stream(spec.seed, "collagen")
    papillary = np.exp(-np.maximum(depth_um, 0) / 60)
    patches = field(rng, depth_um.shape, 110)
    oedema = 0.55 if spec.state == "inflamed" else 0.15
    swollen = oedema * papillary * np.clip(0.6 + 0.5 * patches, 0, 1.2)
    return np.asarray(np.clip(1 - 0.25 * papillary - swollen + 0.12 * patches, 0.42, 1.4), np.float32)
