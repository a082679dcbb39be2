"""Where absorbing matter ends: cut at half height between glass and the tissue beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.core.connected import share_of_pieces, sizes_of_pieces
from ishcount.core.distance import distance_cells
from ishcount.steps.tissue.glass import Glass, deviation

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


PALE_OD = 0.06  # darker pieces are matter whatever their texture: shade on glass reaches .04
SEED_OD = 0.03  # a piece without any cell above this is a smear
SMALL_SEED_OD = 0.07  # the same for pieces under SMALL_UM2: specks reach .065, the palest fleck seen .11
SMALL_UM2 = 20_000.0
LEAST_OD = 1e-3
# Of a piece: even 1,500 sparse nuclei per mm2 roughen half of flat pale tissue, marks on shaded glass .16.
ROUGH_SHARE = 0.25


@dataclass(frozen=True)
class Extent:
    """Masks (h, w) with the edge at the middle, an inner and an outer height."""

    middle: Mask
    inner: Mask
    outer: Mask


def find_extent(
    od: Array,
    glass: Glass,
    *,
    smooth_cells: float,
    rim_cells: float,
    cell_um2: float,
    min_od: float,
    pinhole_um2: float,
    heights: tuple[float, float, float],
) -> Extent:
    """Tissue masks from mean optical density (h, w).

    A low cut says what is not glass; then the rim of `rim_cells` along glass is trimmed at the given heights
    (middle, inner, outer) between glass and the tissue just inside, because blur carries a low cut outwards:
    a fixed one adds 1-3 % of area as a halo. Without glass everything is tissue.
    """
    if not glass.present:
        everything = np.ones(od.shape, np.bool_)
        return Extent(everything, everything, everything)
    smooth = cv2.GaussianBlur(od, (0, 0), smooth_cells)
    noise = 1.4826 * float(np.median(np.abs(smooth[glass.cells])))
    above = smooth > max(min_od, 5 * noise)
    if 5 * noise > min_od:
        above |= _rough_gaps(above, smooth > min_od, od, glass)
    above = _with_texture(above, od, smooth, glass, cell_um2)
    above = fill_pinholes(above, pinhole_um2 / cell_um2)
    plateau = _plateau(smooth, above, rim_cells)
    rim = distance_cells(above) <= rim_cells
    middle, inner, outer = (above & ~(rim & (smooth < height * plateau)) for height in heights)
    return Extent(middle, inner, outer)


def _rough_gaps(above: Mask, matter: Mask, od: Array, glass: Glass) -> Mask:
    """Cells of enclosed gaps that are rougher than glass: uneven light lifts the cut over pale tissue there.

    The edge of a lumen is rough too; only what lies off it says anything.
    """
    gaps, n = ndimage.label(~above)
    enclosed = np.ones(n + 1, np.bool_)
    enclosed[np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]])] = False
    inner = ndimage.binary_erosion(~above, np.ones((3, 3)))
    rough = inner & (deviation(od, 3) > _flat_od(od, glass))
    near = [cv2.blur(mask.astype(np.float32), (7, 7)) for mask in (rough, inner)]
    mostly = near[0] > 0.5 * np.maximum(near[1], 2 / 49)
    return np.asarray(enclosed[gaps] & ~above & matter & mostly)


def _flat_od(od: Array, glass: Glass) -> float:
    """Local deviation of optical density that glass stays under."""
    return 3 * float(np.median(deviation(od, 3)[glass.cells])) + 0.002


def _with_texture(above: Mask, od: Array, smooth: Array, glass: Glass, cell_um2: float) -> Mask:
    """Drop pale pieces as flat as glass (shade of a coverslip, drops of medium) or with nothing in them."""
    labels, n = ndimage.label(above, structure=np.ones((3, 3), int))
    if n == 0:
        return above
    rough = share_of_pieces(deviation(od, 3) > _flat_od(od, glass), labels, n) > ROUGH_SHARE
    strong = share_of_pieces(smooth > PALE_OD, labels, n) > 0.5
    small = sizes_of_pieces(labels, n) * cell_um2 < SMALL_UM2
    seeded, surely = (share_of_pieces(smooth > least, labels, n) > 0 for least in (SEED_OD, SMALL_SEED_OD))
    kept = (rough | strong) & np.where(small, surely, seeded)
    kept[0] = False
    return np.asarray(kept[labels])


def _plateau(smooth: Array, above: Mask, rim_cells: float) -> Array:
    """Geometric mean of the OD of tissue just inside the rim, carried outwards; of thin pieces the maximum.

    Geometric, because a few nuclei in pale stroma say nothing about the height of the stroma's edge.
    """
    core = distance_cells(above) > rim_cells
    reach = 2 * rim_cells
    weight = cv2.GaussianBlur(core.astype(np.float32), (0, 0), reach)
    height = np.log(np.maximum(smooth, LEAST_OD))
    total = cv2.GaussianBlur(np.where(core, height, 0).astype(np.float32), (0, 0), reach)
    side = 2 * int(np.ceil(rim_cells)) + 1
    own = cv2.dilate(smooth, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return np.asarray(np.where(weight > 0.02, np.exp(total / np.maximum(weight, 1e-6)), own))


def fill_pinholes(mask: Mask, max_cells: float) -> Mask:
    """`mask` with enclosed gaps of at most `max_cells` cells filled."""
    gaps, n = ndimage.label(~mask)
    if n == 0:
        return mask
    size = sizes_of_pieces(gaps, n)
    border = np.unique(np.concatenate([gaps[0], gaps[-1], gaps[:, 0], gaps[:, -1]]))
    small = size <= max_cells
    small[border] = False
    small[0] = False
    return np.asarray(mask | small[gaps])
