"""The whole slide at a few micrometres per pixel, in bounded memory.

Each cell is the mean of the level-0 pixels it covers. A pyramid level gives the same far cheaper, so one is
used when its downsample divides the cell and when it agrees with level 0 at sampled places; otherwise level 0
itself is read in windows. Which one it was is part of the answer, and depends on nothing but the file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ishcount.core.geometry import Region
from ishcount.slide.protocol import MISSING_RGB, Mask, Rgb, Slide
from ishcount.slide.tiff import TiffSlide

WINDOW_PX = 2048  # pixels read at once along a side: 12 MB of RGB
SAMPLE_CELLS = 16  # side of one compared place, in cells
GRID_PLACES = 4  # places along each side of a fixed grid over the slide
STRUCTURED_PLACES = 12  # further places, where the level itself shows most structure
# Grey levels by which a pyramid may differ from level 0 at the compared places, in cells of 8 to 16 pixels.
# Measured on two tissues with levels shrunk by means, linear or Lanczos and JPEG quality 30 to 90: up to 6.8
# on average, whatever the content; a level half a cell out of place: 9.6 or more. The mean over all places
# says whether it is as bright.
MAX_DIFFERENCE = 7.5
MAX_BIAS = 2.0


def read_overview(slide: Slide, factor: int) -> tuple[Rgb, Mask, str]:
    """The slide shrunk by `factor`: (rgb, valid, source).

    `rgb` is uint8 (ceil(height/factor), ceil(width/factor), 3): cell (r, c) is the rounded mean of level-0
    pixels [r*factor, (r+1)*factor) x [c*factor, (c+1)*factor) cut at the slide's edge. `valid` is False where
    any pixel of the cell is damaged or missing; there `rgb` is 255. `source` is `level 0`, or e.g. `level 2
    (downsample 16)`.
    """
    if factor < 1:
        raise ValueError(f"a factor of {factor} does not shrink; give 1 or more")
    shape = -(-slide.height // factor), -(-slide.width // factor)
    for number in _dividing_levels(slide, factor):
        downsample = int(slide.levels[number].downsample)
        whole = _whole_cells(slide, number, factor)
        if 0 in whole:
            continue
        rgb, valid = np.full((*shape, 3), MISSING_RGB, np.uint8), np.zeros(shape, np.bool_)
        _fill(slide, number, factor // downsample, Region(0, 0, whole[1], whole[0]), rgb, valid)
        if not valid[: whole[0], : whole[1]].all() or not _agrees(slide, factor, rgb, whole):
            continue
        for rest in _rests(shape, whole):
            _fill(slide, 0, factor, rest, rgb, valid)
        _mark_damage(slide, factor, rgb, valid)
        return rgb, valid, f"level {number} (downsample {downsample})"
    rgb, valid = np.full((*shape, 3), MISSING_RGB, np.uint8), np.zeros(shape, np.bool_)
    _fill(slide, 0, factor, Region(0, 0, shape[1], shape[0]), rgb, valid)
    return rgb, valid, "level 0"


def _dividing_levels(slide: Slide, factor: int) -> list[int]:
    """Levels below 0 whose whole downsample divides `factor`, cheapest first."""
    numbers = range(len(slide.levels) - 1, 0, -1)
    return [number for number in numbers if factor % slide.levels[number].downsample == 0]


def _whole_cells(slide: Slide, number: int, factor: int) -> tuple[int, int]:
    """Rows and columns of cells made only of whole pixels of the level, none of them padded or cut."""
    level = slide.levels[number]
    downsample = int(level.downsample)
    rows = min(level.height, slide.height // downsample) * downsample // factor
    columns = min(level.width, slide.width // downsample) * downsample // factor
    return rows, columns


def _rests(shape: tuple[int, int], whole: tuple[int, int]) -> list[Region]:
    """The cells right of and below the whole ones."""
    right = Region(whole[1], 0, shape[1] - whole[1], shape[0])
    below = Region(0, whole[0], whole[1], shape[0] - whole[0])
    return [region for region in (right, below) if region.width and region.height]


def _fill(slide: Slide, number: int, step: int, cells: Region, rgb: Rgb, valid: Mask) -> None:
    """Write the means of `step` x `step` pixels of a level into `cells` of the overview, window by window."""
    side = max(1, WINDOW_PX // step)
    level = slide.levels[number]
    for y in range(cells.y, cells.y_end, side):
        for x in range(cells.x, cells.x_end, side):
            part = Region(x, y, min(side, cells.x_end - x), min(side, cells.y_end - y))
            read = Region(part.x * step, part.y * step, part.width * step, part.height * step)
            pixels, real = slide.read_masked(read.clip(level.width, level.height), number)
            means, whole = block_means(pixels, real, step)
            rgb[y : part.y_end, x : part.x_end], valid[y : part.y_end, x : part.x_end] = means, whole


def block_means(pixels: Rgb, real: Mask, step: int) -> tuple[Rgb, Mask]:
    """Rounded means of `step` x `step` blocks from the top-left corner, and whether all their pixels are
    real.

    Blocks cut by the right and lower edge are means of what is there. Sums are integers, so the answer is
    exact.
    """
    if step == 1:
        return pixels, real
    rows, columns = np.arange(0, pixels.shape[0], step), np.arange(0, pixels.shape[1], step)
    heights, widths = np.diff(rows, append=pixels.shape[0]), np.diff(columns, append=pixels.shape[1])
    area = (heights[:, np.newaxis] * widths[np.newaxis, :]).astype(np.uint32)[:, :, np.newaxis]
    # Rows first: adding whole rows runs along memory, and leaves little for the columns.
    flat = pixels.reshape(pixels.shape[0], -1)
    sums = np.stack(
        [
            flat[row : row + height].sum(axis=0, dtype=np.uint32)
            for row, height in zip(rows, heights, strict=True)
        ]
    )
    sums = np.add.reduceat(sums.reshape(len(rows), -1, 3), columns, axis=1)
    means = ((sums + area // 2) // area).astype(np.uint8)
    whole = np.ones(means.shape[:2], np.bool_)
    if not real.all():
        whole = np.logical_and.reduceat(np.logical_and.reduceat(real, rows, axis=0), columns, axis=1)
        means[~whole] = MISSING_RGB
    return means, whole


def _agrees(slide: Slide, factor: int, rgb: Rgb, whole: tuple[int, int]) -> bool:
    """Whether the overview made from a pyramid level is level 0 shrunk, at the compared places."""
    differences: list[NDArray[np.int16]] = []
    for place in _places(rgb[: whole[0], : whole[1]]):
        read = Region(place.x * factor, place.y * factor, place.width * factor, place.height * factor)
        pixels, real = slide.read_masked(read)
        means, sound = block_means(pixels, real, factor)
        guess = rgb[place.y : place.y_end, place.x : place.x_end]
        differences.append(means[sound].astype(np.int16) - guess[sound])
    pooled = np.concatenate(differences)
    if not len(pooled):
        return False
    bias = np.abs(pooled.mean(axis=0)).max()
    return bool(bias <= MAX_BIAS and np.abs(pooled).mean() <= MAX_DIFFERENCE)


def _places(rgb: Rgb) -> list[Region]:
    """A fixed grid of places, and those where the green channel varies most (ties: the first in reading
    order).
    """
    rows, columns = rgb.shape[0], rgb.shape[1]
    side = min(SAMPLE_CELLS, rows, columns)
    grid_y = np.linspace(0, rows - side, GRID_PLACES).astype(int)
    grid_x = np.linspace(0, columns - side, GRID_PLACES).astype(int)
    places = {Region(int(x), int(y), side, side) for y in grid_y for x in grid_x}
    spread = _spread(rgb[:, :, 1], side)
    for index in np.argsort(-spread, axis=None, kind="stable")[:STRUCTURED_PLACES]:
        row, column = divmod(int(index), spread.shape[1])
        places.add(Region(column * side, row * side, side, side))
    return sorted(places, key=lambda place: (place.y, place.x))


def _spread(green: NDArray[np.uint8], side: int) -> NDArray[np.int64]:
    """Variance of green in each whole square of `side` cells, as an integer so that order never depends on
    rounding.
    """
    rows, columns = green.shape[0] // side, green.shape[1] // side
    spread = np.empty((rows, columns), np.int64)
    for row in range(rows):  # a row of squares at a time: the overview of a large slide has 40 million cells
        band = (
            green[row * side : (row + 1) * side, : columns * side]
            .reshape(side, columns, side)
            .astype(np.int64)
        )
        total, squared = band.sum(axis=(0, 2)), (band**2).sum(axis=(0, 2))
        spread[row] = squared * side * side - total**2
    return spread


def _mark_damage(slide: Slide, factor: int, rgb: Rgb, valid: Mask) -> None:
    """Cells over level-0 tiles that the file does not hold, which a pyramid level would hide."""
    if not isinstance(slide, TiffSlide):
        return
    for tile in slide.damaged_regions(0):
        cells = tile.coarser(factor)
        valid[cells.y : cells.y_end, cells.x : cells.x_end] = False
        rgb[cells.y : cells.y_end, cells.x : cells.x_end] = MISSING_RGB
