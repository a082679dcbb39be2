"""The dermo-epidermal junction, depth below it, and the length of the epidermis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import find_contours

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

COURSE_UM = 50.0  # waves of the surface shorter than two nuclei or a ridge are no length of skin
SMOOTH_UM = 6.0  # takes the steps of the raster off the line, hardly any of the skin's own waves
TANGENT_UM = 40.0
MIN_RUN_UM = 150.0
FACING_UM = 12.0  # three cells: as far as smoothing carries a line
# Gaps that are bridged: the mouth of a follicle, 60 um; under horn, where there is an epidermis, what a
# follicle with its funnel or a stretch of pale epidermis can hide.
GAP_UM = 60.0
COVERED_UM = 300.0
END_TURN_DEG = 35.0  # waves of the surface turn less over 40 um, a cut end by 90


def depth_below(epidermis: Mask, dermis: Mask, cell_um: tuple[float, float]) -> Array:
    """Signed distance to the junction in um, float32 (h, w): positive in the dermis, negative above it.

    cell_um: height and width of a cell. The junction runs along the edges between cells, so half a cell is
    taken off either way. NaN where neither is known.
    """
    half = (cell_um[0] + cell_um[1]) / 4
    below = _distance_um(epidermis, cell_um) - half
    above = _distance_um(dermis, cell_um) - half
    return np.asarray(np.where(dermis, below, np.where(epidermis, -above, np.nan)), np.float32)


def surface_length_um(epidermis: Mask, dermis: Mask, hole: Mask, cell_um: tuple[float, float]) -> float:
    """Length of the free face of the epidermis in um: of its outline, what faces neither dermis nor a gap."""
    inner = dermis | _below(hole, epidermis, dermis)
    facing = _distance_um(inner, cell_um)
    total = 0.0
    for points, place in _outlines(epidermis, cell_um):
        total += _course_um(points, facing[place] > FACING_UM)
    return total


def epidermis_length_um(
    epidermis: Mask, horn: Mask, dermis: Mask, hole: Mask, cell_um: tuple[float, float]
) -> float:
    """Length of the skin's outer face where it is epidermis, its cut ends and the picture's edge not counted.

    The outline of all that lies under the horn is walked; what is epidermis there is surface, and so are gaps
    of up to GAP_UM and, under horn, COVERED_UM: mouths of follicles, places taken for dermis. What is
    measured is the course of the skin: the line smoothed by COURSE_UM along itself, so that neither crinkles
    nor the steps of the raster count.
    """
    body = ndimage.binary_fill_holes(epidermis | dermis | _below(hole, epidermis, dermis))
    near, covered = (_distance_um(mask, cell_um) <= FACING_UM for mask in (epidermis, horn))
    total = 0.0
    for points, place in _outlines(body, cell_um):
        total += _course_um(points, _without_gaps(points, near[place], covered[place]))
    return total


def _distance_um(mask: Mask, cell_um: tuple[float, float]) -> Array:
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=cell_um))


def _outlines(mask: Mask, cell_um: tuple[float, float]) -> Iterator[tuple[Array, tuple[Array, Array]]]:
    """Outlines of the smoothed mask, (n, 2) in um, and the cells they run through."""
    sigma = SMOOTH_UM / ((cell_um[0] + cell_um[1]) / 2)
    padded = np.pad(mask.astype(np.float32), 1, mode="edge")
    smooth = cv2.GaussianBlur(padded, (0, 0), sigma)[1:-1, 1:-1]
    lines: list[Array] = find_contours(smooth, 0.5)  # type: ignore[no-untyped-call]
    for line in lines:
        points = line * np.array(cell_um)
        if _length(points) >= MIN_RUN_UM:
            row, col = (np.clip(np.rint(line[:, k]).astype(int), 0, mask.shape[k] - 1) for k in (0, 1))
            yield points, (row, col)


def _closed(points: Array) -> bool:
    return bool(np.allclose(points[0], points[-1]))


def _course_um(points: Array, wanted: Mask) -> float:
    """Length of the wanted stretches of an outline.

    At both ends of each the part that turns away from its direction is the cut end of the band.
    """
    runs = _runs(points, wanted, _closed(points))
    return sum(_length(_course(_without_ends(run))) for run in runs)


def _without_gaps(points: Array, near: Mask, covered: Mask) -> Mask:
    """`near` with the short gaps between two stretches of it filled."""
    if near.all() or not near.any():
        return near
    first = int(np.argmax(near)) if _closed(points) else 0
    step = np.hypot(*np.diff(points, axis=0, append=points[-1:]).T)
    near, covered, step = (np.roll(values, -first) for values in (near, covered, step))
    filled = near.copy()
    for (gap,) in ndimage.find_objects(ndimage.label(~near)[0]):
        if not _closed(points) and (gap.start == 0 or gap.stop == len(near)):
            continue
        long = step[gap].sum()
        filled[gap] = long <= GAP_UM or (long <= COVERED_UM and covered[gap].mean() > 0.5)
    return np.roll(filled, first)


def _below(hole: Mask, epidermis: Mask, dermis: Mask) -> Mask:
    """Holes that lie between epidermis and dermis: blisters and clefts of the junction."""
    labels, n = ndimage.label(hole)
    touching = np.zeros((2, n + 1), np.bool_)
    for place, mask in enumerate((epidermis, dermis)):
        touching[place, labels[ndimage.binary_dilation(mask, iterations=2)]] = True
    both: Array = touching[0] & touching[1]
    both[0] = False
    return np.asarray(both[labels])


def _length(points: Array) -> float:
    return float(np.hypot(*np.diff(points, axis=0).T).sum()) if len(points) > 1 else 0.0


def _course(run: Array) -> Array:
    """The line smoothed along itself, point-symmetric beyond its ends, so that these stay where they are."""
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(run, axis=0).T))])
    step = 2.0
    places = np.arange(0, along[-1] + step / 2, step)
    even = np.stack([np.interp(places, along, run[:, axis]) for axis in (0, 1)], axis=-1)
    reach = min(len(even) - 1, round(4 * COURSE_UM / step))
    if reach < 1:
        return even
    before, after = 2 * even[:1] - even[reach:0:-1], 2 * even[-1:] - even[-2 : -reach - 2 : -1]
    longer = np.concatenate([before, even, after])
    smooth = ndimage.gaussian_filter1d(longer, COURSE_UM / step, axis=0, mode="nearest")
    return np.asarray(smooth[reach : reach + len(even)])


def _runs(points: Array, wanted: Mask, closed: bool) -> list[Array]:
    """Stretches of the line where `wanted` is True; one may run over the start of a closed line."""
    if wanted.all():
        return [points]
    if closed:
        first = int(np.argmin(wanted))
        points, wanted = np.roll(points[:-1], -first, axis=0), np.roll(wanted[:-1], -first)
    labels, n = ndimage.label(wanted)
    runs = [points[labels == number] for number in range(1, n + 1)]
    return [run for run in runs if _length(run) >= MIN_RUN_UM]


def _without_ends(run: Array) -> Array:
    """The run without the parts at its ends that turn by more than END_TURN_DEG from what follows."""
    for _ in range(2):
        run = _without_start(run)[::-1]
    return run


def _without_start(run: Array) -> Array:
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(run, axis=0).T))])
    if along[-1] < 4 * TANGENT_UM:
        return run
    ahead = np.searchsorted(along, along + TANGENT_UM).clip(max=len(run) - 1)
    direction = run[ahead] - run
    near = along < min(4 * TANGENT_UM, along[-1] / 3)
    later = (along >= 3 * TANGENT_UM) & (along < 7 * TANGENT_UM)
    course = direction[later].sum(axis=0) if later.any() else direction.sum(axis=0)
    size = np.hypot(*direction.T) * np.hypot(*course) + 1e-9
    turned = near & (direction @ course / size < np.cos(np.radians(END_TURN_DEG)))
    return run[np.flatnonzero(turned)[-1] + 1 :] if turned.any() else run


def detached_share(epidermis: Mask, dermis: Mask, hole: Mask) -> float:
    """Share of the junction where a hole lies between epidermis and dermis."""
    ring = ndimage.binary_dilation(epidermis, iterations=2) & ~epidermis
    gap = int(np.count_nonzero(ring & _below(hole, epidermis, dermis)))
    return gap / max(gap + int(np.count_nonzero(ring & dermis)), 1)
