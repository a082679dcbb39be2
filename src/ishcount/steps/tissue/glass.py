"""The colour of empty glass on the overview, and how evenly it is lit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.core.colours import least_of_colours, range_of_colours, sum_of_colours
from ishcount.core.optical_density import median_colour, od_table

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Light = npt.NDArray[np.uint16]  # sum of a cell's three colours, the place of its grey level:
GREY_LEVELS = np.arange(3 * 255 + 1, dtype=np.float32) / 3

# Light through glass is bright, nearly neutral and flat. Grey levels of block means over at least 64 pixels:
# camera noise and JPEG leave under 1 level, the palest collagen at 4 um varies by 3 or more (measured on the
# real fields named in docs/methods.md); glass there has channels
# above 210 that differ by at most 11 levels.
FLAT_LEVELS = 1.5
NEUTRAL_LEVELS = 16
DARKEST_GLASS = 170
MIN_CELLS = 50  # as for the white point: about 800 um2
MIN_SHARE = 0.002
# Tinted light makes tinted glass. It is believed where nothing on the slide is brighter and it lies open for
# 200 um without a nucleus or a fibre: so does no tissue on the real fields.
OPEN_CELLS = 25  # from its middle
MAX_BRIGHTER_SHARE = 0.01
MODE_REACH = 6  # grey levels: uneven light and dirt spread glass this far about its mode
LIGHT_REACH_CELLS = 75  # 300 um: lamps and cameras shade slowly, tissue edges do not
LIGHT_STEP = 8  # cells: on large slides the light is smoothed on squares of this side (differs by .0005 OD)
MANY_CELLS = 1_000_000  # about 16 mm2 of slide; up to this many all cells are smoothed
MAX_UNEVEN_OD = 0.10  # light at the corner of a badly set condenser is down by a fifth
BESIDE_CELLS = 4 * LIGHT_REACH_CELLS
LIGHT_ROUNDS = 8
NEAR_CELLS = 25  # how far glass grows in a round: 100 um


@dataclass(frozen=True)
class Glass:
    """white: (R, G, B) through empty glass, or the 99.9th percentile where `present` is False.

    cells: bool (h, w), cells that are surely empty; none when `present` is False.
    """

    white: tuple[float, float, float]
    present: bool
    cells: Mask


def find_glass(rgb: npt.NDArray[np.uint8], valid: Mask) -> Glass:
    """Flat, bright, neutral cells about the brightest frequent grey level; without any, tinted ones if there
    nothing is brighter; else no glass."""
    light, flat = np.empty(valid.shape, np.uint16), np.empty(valid.shape, np.bool_)
    neutral = np.empty(valid.shape, np.bool_)
    for band, inner in bands(valid.shape, 1):
        total = sum_of_colours(rgb[band], np.uint16)
        level = GREY_LEVELS[total]
        even = (deviation(level, 3) < FLAT_LEVELS) & (level >= DARKEST_GLASS)
        place = slice(band.start + inner.start, band.start + inner.stop)
        light[place], flat[place] = total[inner], even[inner]
        neutral[place] = (range_of_colours(rgb[band]) <= NEUTRAL_LEVELS)[inner]
    flat &= valid
    cells = _bright_cells(light, _without_fill(flat & neutral, rgb), valid)
    if not cells.any():
        cells = _tinted_cells(rgb, light, flat, valid)
    if not cells.any():
        white = np.percentile(rgb[valid], 99.9, axis=0) if valid.any() else np.full(3, 255.0)
        return Glass(_triple(white), False, cells)
    return Glass(_triple(median_colour(rgb, cells)), True, cells)


def _bright_cells(light: Light, flat: Mask, valid: Mask) -> Mask:
    """Flat cells about the brightest frequent grey level, over uneven light."""
    few = max(2, min(MIN_CELLS, valid.sum() // 2))  # one cell is no evidence of glass
    mode = _brightest_mode(light, flat, max(few, MIN_SHARE * valid.sum()))
    if mode is None:
        return np.zeros(light.shape, np.bool_)
    return _follow_light(light, flat, flat & (np.abs(GREY_LEVELS - mode) <= MODE_REACH)[light])


def _tinted_cells(rgb: npt.NDArray[np.uint8], light: Light, flat: Mask, valid: Mask) -> Mask:
    """Flat cells of one hue, whatever it is, if they lie open and next to nothing is brighter; else none."""
    cells = _bright_cells(light, flat, valid)
    if not cells.any():
        return cells
    glass, brighter = np.asarray(median_colour(rgb, cells), np.float32), 0
    for band, _ in bands(cells.shape, 0):
        beyond = rgb[band] - glass
        brighter += int(np.count_nonzero(valid[band] & (beyond > MODE_REACH).any(axis=-1) & ~cells[band]))
        cells[band] &= range_of_colours(beyond) <= NEUTRAL_LEVELS
    widest = cv2.distanceTransform(np.pad(cells, 1).astype(np.uint8), cv2.DIST_L2, 3).max()
    believed = widest >= OPEN_CELLS and brighter <= MAX_BRIGHTER_SHARE * valid.sum()
    return cells if believed else np.zeros_like(cells)


def bands(shape: tuple[int, ...], halo: int) -> Iterator[tuple[slice, slice]]:
    """Rows to read and, of these, rows to keep, for a filter of reach `halo`; `MANY_CELLS` at a time."""
    height = max(1, MANY_CELLS // max(1, shape[1]))
    for first in range(0, shape[0], height):
        last = min(shape[0], first + height)
        read = slice(max(0, first - halo), min(shape[0], last + halo))
        yield read, slice(first - read.start, last - read.start)


def matter_window(glass: Glass) -> tuple[slice, slice]:
    """The part of a large slide that holds anything but empty glass, and glass enough around it.

    Specks under 3 x 3 cells do not count. All of a slide that is not large or has no glass.
    """
    height, width = glass.cells.shape
    if not glass.present or glass.cells.size <= MANY_CELLS:
        return slice(0, height), slice(0, width)
    solid = cv2.morphologyEx((~glass.cells).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    window = []
    for axis, size in ((1, height), (0, width)):
        held = np.flatnonzero(solid.any(axis=axis))
        first, last = (int(held[0]), int(held[-1]) + 1) if len(held) else (0, 0)
        window.append(slice(max(0, first - BESIDE_CELLS), min(size, last + BESIDE_CELLS)))
    return window[0], window[1]


def _without_fill(flat: Mask, rgb: npt.NDArray[np.uint8]) -> Mask:
    """`flat` without pure white, which scanners fill in where they did not look, if other glass is there."""
    looked = flat & (least_of_colours(rgb) < 255)
    return looked if looked.sum() >= MIN_CELLS and looked.sum() >= 0.02 * flat.sum() else flat


def _follow_light(light: Light, flat: Mask, cells: Mask) -> Mask:
    """Flat cells on the quadratic surface through `cells`, grown outwards: light may fall off sideways."""
    y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in light.shape)
    level = np.log(np.maximum(GREY_LEVELS, 1))
    for _ in range(LIGHT_ROUNDS):
        n_cells = int(cells.sum())
        if n_cells < MIN_CELLS:
            return cells
        row, col = _every(cells, max(1, n_cells // 20_000))
        v, u = y[row], x[col]
        terms = np.linalg.lstsq(_quadratic(u, v), level[light[row, col]], rcond=None)[0]
        beyond = (~cells).astype(np.uint8)
        near = cv2.distanceTransform(beyond, cv2.DIST_L1, 3, dstType=cv2.CV_8U) <= NEAR_CELLS
        for band, _ in bands(light.shape, 0):
            off = np.abs(level[light[band]] - _surface(terms, x, y[band]))
            cells[band] = flat[band] & near[band] & (off <= MODE_REACH / 240)
    return cells


def _every(cells: Mask, step: int) -> tuple[Array, Array]:
    """Rows and columns of every `step`-th cell of a mask in reading order."""
    found, n_seen = [], 0
    for band, _ in bands(cells.shape, 0):
        places = np.flatnonzero(cells[band])
        found.append(places[-n_seen % step :: step] + band.start * cells.shape[1])
        n_seen += len(places)
    row, col = np.divmod(np.concatenate(found), cells.shape[1])
    return row, col


def _triple(colour: Array) -> tuple[float, float, float]:
    red, green, blue = (float(max(value, 1.0)) for value in colour)
    return red, green, blue


def _brightest_mode(light: Light, flat: Mask, needed: float) -> float | None:
    """The peak of grey levels within reach of the brightest level round which at least `needed` cells lie.

    A peak, not the middle of the fullest reach, which lies between glass and flat pale dermis just below it.
    """
    counts = np.zeros(256, np.int64)
    for band, _ in bands(flat.shape, 0):
        counts += np.bincount(np.rint(GREY_LEVELS[light[band][flat[band]]]).astype(np.int64), minlength=256)
    near = np.convolve(counts, np.ones(2 * MODE_REACH + 1, np.int64), mode="same")
    levels = np.flatnonzero(near >= needed)
    if len(levels) == 0:
        return None
    top = np.arange(max(0, levels[-1] - 2 * MODE_REACH), levels[-1] + 1)
    peak = np.convolve(counts, np.ones(3, np.int64), mode="same")[top]
    return float(np.mean(top[peak == peak.max()]))


def deviation(values: Array, side: int) -> Array:
    """Standard deviation of float32 `values` in windows of `side` x `side` cells."""
    values = values.astype(np.float32)
    mean = cv2.blur(values, (side, side))
    square = cv2.blur(values * values, (side, side))
    return np.asarray(np.sqrt(np.maximum(square - mean * mean, 0)))


def overview_od(rgb: npt.NDArray[np.uint8], glass: Glass) -> Array:
    """Optical density float32 (h, w, 3) relative to the glass nearby: slow shading is taken off."""
    table = od_table(glass.white).astype(np.float32)
    looked_up = cv2.LUT(np.ascontiguousarray(rgb), np.ascontiguousarray(table.T[np.newaxis]))
    od: Array = np.asarray(looked_up, np.float32)
    if not glass.present:
        return np.maximum(od, 0)
    step = LIGHT_STEP if glass.cells.size > MANY_CELLS else 1
    _level(od, glass.cells)
    shape, weight = glass.cells.shape, _wide(glass.cells.astype(np.float32), step)
    for channel in range(3):
        light = _wide(np.where(glass.cells, od[..., channel], np.float32(0)), step)
        # Far from any glass nothing is known of the light: the slide's own white holds there.
        known = np.clip(light / (weight + 0.01), -MAX_UNEVEN_OD, MAX_UNEVEN_OD)
        od[..., channel] -= cv2.resize(known, (0, 0), fx=step, fy=step)[: shape[0], : shape[1]]
    return od


def _level(od: Array, cells: Mask) -> None:
    """Take the quadratic surface through glass off `od` (h, w, 3): the lamp of a microscope falls off so.

    What is taken off tissue stays within what is seen on glass: a surface is not followed beyond it.
    """
    height, width = cells.shape
    y, x = (np.linspace(-1, 1, size, dtype=np.float32) for size in (height, width))
    row, col = _every(cells, max(1, int(np.count_nonzero(cells)) // 20_000))
    seen = _quadratic(x[col], y[row])
    for channel in range(3):
        terms = np.linalg.lstsq(seen, od[row, col, channel], rcond=None)[0].astype(np.float32)
        least, most = np.quantile(seen @ terms, (0.01, 0.99)).clip(-MAX_UNEVEN_OD, MAX_UNEVEN_OD)
        for band, _ in bands(cells.shape, 0):
            od[band, :, channel] -= np.clip(_surface(terms, x, y[band]), least, most)


def _quadratic(x: Array, y: Array) -> Array:
    """Terms of a quadratic surface at places, (n, 6)."""
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


def _surface(terms: Array, x: Array, y: Array) -> Array:
    """A quadratic surface on the grid of rows `y` and columns `x`."""
    c, cx, cy, cxx, cxy, cyy = terms
    surface = (c + cx * x + cxx * x * x)[None, :] + (cy * y + cyy * y * y)[:, None]
    return np.asarray(surface + cxy * y[:, None] * x[None, :])


def _wide(plane: Array, step: int) -> Array:
    """Gaussian mean over `LIGHT_REACH_CELLS`, of squares of `step` cells: so wide a mean has no detail."""
    down, right = (-size % step for size in plane.shape)
    padded = cv2.copyMakeBorder(plane, 0, down, 0, right, cv2.BORDER_REPLICATE)
    small = (padded.shape[1] // step, padded.shape[0] // step)
    squares = cv2.resize(padded, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(squares, (0, 0), LIGHT_REACH_CELLS / step))
