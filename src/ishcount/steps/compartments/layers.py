"""From what each cell looks like to the layers of one section."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.core.connected import share_of_pieces, sizes_of_pieces
from ishcount.core.distance import distance_cells
from ishcount.steps.compartments.features import section_features, smoothed
from ishcount.steps.compartments.model import CLASSES, log_likelihoods
from ishcount.steps.compartments.refine import own_looks, refined

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

NAMES = ("", *CLASSES)
EPIDERMIS, CORNEUM, DERMIS, ADNEXA, FAT, HAIR = range(1, 7)
STEP = 2  # cells: kinds are looked up every 8 um and carried to the cells between
RIM_UM = 150.0  # but every 4 um where an epidermis and its horn lie: most are thinner than this
SMOOTH_UM = 6.0
SURFACE_UM = 60.0  # viable epidermis comes so near to horn or glass somewhere: normal horn is 10-30 um
FACE_UM = 20.0  # two nuclei: what counts as the outer face of a band
THICK = 2.5  # a band of even thickness has a median depth of half of it; ridges reach farther
MIN_ADNEXA_UM2 = 6000.0  # a follicle 60 um wide and 100 um long; less at the epidermis is a ridge
MIN_CONTACT_UM = 100.0
MIN_CONTACT_SHARE = 0.15  # of the longest piece
# How often each kind was sampled in training against how often it occurs, drawn half-way to even (a rare kind
# must stay findable): horn and hair are rarer, dermis commoner than in training.
PRIOR = np.array([1.0, 0.25, 1.5, 1.0, 1.0, 0.25], np.float32)
MAX_SLIVER_UM = 48.0  # wide: half of a thin epidermis
MAX_STRIP_SHARE = 0.3  # of all that looks like dermis: under a superficial shave it may be thin too
MIN_EPIDERMIS_UM2 = 4000.0  # 100 um of surface by 40 um
MIN_PIECE_UM2 = 2500.0  # smaller pieces take the kind of what surrounds them: two dozen cells
# Mean probability of epithelium over what is called epidermis, before the section's own look is learned: 12
# phantoms of two unseen generators .72-.92, real H&E skin .657; drawn sections and real fields without an
# epidermis .52-.68, of which a nerve .648; larger sheets are refused by MAX_SHARE and MAX_THICK_UM. The gap
# on real tissue is narrow: NO_EPIDERMIS on skin, or an epidermis on a nerve, are to be expected.
SURE = 0.655
SURE_UNDER_HORN = 0.56  # horn along it is evidence of its own: two sharp phantoms with horn have .58 and .60
HORN_SHARE = 0.15  # of the epidermis' area: 10 um of horn over 70 um
MAX_THICK_UM = 400.0  # acanthosis reaches 300 um
MAX_SHARE = 0.5  # of the section; more is a sheet of epithelium or a tumour


def find_layers(od: Array, solid: Mask, outline: Mask, cell_um: float) -> npt.NDArray[np.uint8]:
    """Kind of each cell of one section's tissue, uint8 (h, w), place in `NAMES`; all 0 without an epidermis.

    od: float32 (h, w, 3). The outer band of epithelium is epidermis, other epithelium adnexa; what lies
    outside the epidermis and looks like horn is horn.
    """
    nothing = np.zeros(solid.shape, np.uint8)
    if solid.sum() * cell_um**2 < 2 * MIN_EPIDERMIS_UM2:
        return nothing
    features, chosen = section_features(od, solid, outline, cell_um, STEP, RIM_UM)
    general = np.exp(log_likelihoods(features))
    looks = own_looks(features)
    del features
    chances = _spread(refined(looks, general * PRIOR), chosen, solid, cell_um)
    codes = _most_likely(chances, solid)
    codes = _tidied(codes, solid, cell_um)
    codes = _epithelium_named(codes, chances, outline, cell_um)
    epidermis = codes == EPIDERMIS
    codes = _horn_outside(codes, outline, cell_um)
    if not _plausible(epidermis, codes == CORNEUM, general, chosen, solid, cell_um):
        return nothing
    return codes


def _spread(looked: Array, chosen: Mask, solid: Mask, cell_um: float) -> Array:
    """Smoothed probabilities of every cell, float32 (h, w, 6), from those of `chosen`; 0 outside `solid`."""
    found = np.zeros((*solid.shape, len(CLASSES)), np.float32)
    weight = cv2.GaussianBlur(chosen.astype(np.float32), (0, 0), SMOOTH_UM / cell_um)
    for place in range(len(CLASSES)):
        plane = np.zeros(solid.shape, np.float32)
        plane[chosen] = looked[:, place]
        found[..., place] = cv2.GaussianBlur(plane, (0, 0), SMOOTH_UM / cell_um) / np.maximum(weight, 1e-4)
    found *= solid[..., None]
    return found


def _most_likely(chances: Array, solid: Mask) -> npt.NDArray[np.uint8]:
    """Epithelium is one kind here: epidermis and adnexa differ by place, not by look."""
    codes = np.zeros(solid.shape, np.uint8)
    for row, inside in enumerate(solid):  # a row at a time: no copy of all chances
        joined = chances[row].copy()
        joined[:, EPIDERMIS - 1] += joined[:, ADNEXA - 1]
        joined[:, ADNEXA - 1] = 0
        codes[row] = np.where(inside, joined.argmax(axis=-1) + 1, 0)
    return codes


def _tidied(codes: npt.NDArray[np.uint8], solid: Mask, cell_um: float) -> npt.NDArray[np.uint8]:
    """Pieces too small for their kind take that of the nearest other cell."""
    small = np.zeros_like(solid)
    for kind in range(1, len(NAMES)):
        if kind == HAIR:
            continue
        labels, n = ndimage.label(codes == kind)
        size = sizes_of_pieces(labels, n) * cell_um**2
        few = size < MIN_PIECE_UM2
        few[0] = False
        small |= few[labels]
    if not small.any() or not (solid & ~small).any():
        return codes
    nearest = ndimage.distance_transform_edt(~(solid & ~small), return_distances=False, return_indices=True)
    return np.where(small, codes[tuple(nearest)], codes).astype(np.uint8)


def _epithelium_named(
    codes: npt.NDArray[np.uint8], chances: Array, outline: Mask, cell_um: float
) -> npt.NDArray[np.uint8]:
    """Epithelium split: the band along the surface is epidermis; what is no band, or grows out of it, adnexa.

    A look at the cells cannot tell them apart; where they lie can.
    """
    epithelium, horn = codes == EPIDERMIS, codes == CORNEUM
    # The picture's edge cuts the skin off and is no surface of it.
    inward = distance_cells(np.pad(outline & ~horn, 1, mode="edge"))[1:-1, 1:-1] * cell_um
    labels, n = ndimage.label(epithelium)
    bands = _bands(labels, n, inward, horn, cell_um)
    wide = [smoothed(chances[..., kind - 1], epithelium, 20 / cell_um) for kind in (EPIDERMIS, ADNEXA)]
    found = np.zeros_like(epithelium)
    for place, box in enumerate(ndimage.find_objects(labels, n), start=1):
        if not bands[place]:
            continue
        piece = labels[box] == place
        face = piece & (inward[box] <= inward[box][piece].min() + FACE_UM)
        face |= piece & ndimage.binary_dilation(horn[box], iterations=2)
        below = distance_cells(~face) * cell_um
        usual = THICK * float(np.median(below[piece])) + FACE_UM
        more = (wide[0][box] >= wide[1][box]) & (below <= 2 * usual)
        found[box] |= piece & ((below <= usual) | more)
    rest, n_rest = ndimage.label(epithelium & ~found)
    size = sizes_of_pieces(rest, n_rest) * cell_um**2
    attached = np.bincount(rest[ndimage.binary_dilation(found)], minlength=n_rest + 1) > 0
    ridge = (size < MIN_ADNEXA_UM2) & attached  # the tip of a ridge
    ridge[0] = False
    return np.where(epithelium & ~found & ~ridge[rest], ADNEXA, codes).astype(np.uint8)


def _bands(labels: Array, n: int, inward: Array, horn: Mask, cell_um: float) -> Mask:
    """Which of n pieces of epithelium run along the surface, bool (n + 1,)."""
    size = sizes_of_pieces(labels, n) * cell_um**2
    beside_horn = ndimage.binary_dilation(horn, iterations=3)
    near = (labels > 0) & (ndimage.minimum_filter(inward, size=3) <= SURFACE_UM)
    rim = near & ~ndimage.binary_erosion((labels > 0) & near)
    contact = np.bincount(labels[rim], minlength=n + 1) * cell_um / 2  # both faces of the strip
    under_horn = np.bincount(labels[beside_horn & (labels > 0)], minlength=n + 1) * cell_um
    contact[0] = under_horn[0] = 0
    kept = (size >= MIN_EPIDERMIS_UM2) & (contact >= max(MIN_CONTACT_UM, MIN_CONTACT_SHARE * contact.max()))
    horny = under_horn > 0.3 * contact
    if (horny & kept)[contact.argmax()]:  # where the epidermis bears horn, what bears none is something else
        kept &= horny
    return np.asarray(kept)


def _plausible(
    epidermis: Mask, horn: Mask, general: Array, chosen: Mask, solid: Mask, cell_um: float
) -> bool:
    """Whether it is large enough, not nearly all there is, and epithelium for skin in general."""
    if epidermis.sum() * cell_um**2 < MIN_EPIDERMIS_UM2 or epidermis.sum() > MAX_SHARE * solid.sum():
        return False
    deepest = distance_cells(np.pad(epidermis, 1, mode="edge")).max() * cell_um
    if 2 * deepest > MAX_THICK_UM:
        return False
    inside = epidermis[chosen]
    sure = general[inside, EPIDERMIS - 1] + general[inside, ADNEXA - 1]
    least = SURE_UNDER_HORN if horn.sum() >= HORN_SHARE * epidermis.sum() else SURE
    return bool(len(sure) and sure.mean() >= least)


def _horn_outside(codes: npt.NDArray[np.uint8], outline: Mask, cell_um: float) -> npt.NDArray[np.uint8]:
    """Horn lies nearer to the outline than the epidermis next to it; what does not is dermis.

    A sliver of dermis on that side, shut off from the dermis, is pale epidermis where horn covers it, else
    horn: nothing else lies there.
    """
    inward = distance_cells(np.pad(outline, 1))[1:-1, 1:-1]
    distance, nearest = ndimage.distance_transform_edt(codes != EPIDERMIS, return_indices=True)
    outer = inward <= inward[tuple(nearest)] + 1
    found = codes.copy()
    for kind, other in ((CORNEUM, DERMIS), (DERMIS, CORNEUM)):
        labels, n = ndimage.label(codes == kind)
        touches = share_of_pieces(distance * cell_um <= 20, labels, n) > 0
        is_horn = (share_of_pieces(outer, labels, n) > 0.5) & touches
        if kind == DERMIS:
            deep = 2 * distance_cells(np.pad(codes == kind, 1))[1:-1, 1:-1] * cell_um >= MAX_SLIVER_UM
            is_horn &= share_of_pieces(deep, labels, n) == 0
        changed = is_horn if kind == DERMIS else ~is_horn
        changed[0] = False
        found[changed[labels]] = other
        if kind == DERMIS:
            beside = [
                np.bincount(labels[ndimage.binary_dilation(mask)], minlength=n + 1)
                for mask in (codes == CORNEUM, ~outline)
            ]
            covered = changed & (beside[0] > beside[1])
            found[covered[labels]] = EPIDERMIS
    return found


def outside(epidermis: Mask, outline: Mask, cell_um: float) -> Mask:
    """What lies within half of a thin epidermis of it, on its outer side: going to it is going inwards."""
    inward = distance_cells(np.pad(outline, 1))[1:-1, 1:-1]
    distance, nearest = ndimage.distance_transform_edt(~epidermis, return_indices=True)
    outer = inward + 0.3 * distance <= inward[tuple(nearest)]
    return np.asarray(outer & ~epidermis & (distance * cell_um <= MAX_SLIVER_UM))


def without_strip(codes: npt.NDArray[np.uint8], outline: Mask, cell_um: float) -> npt.NDArray[np.uint8]:
    """Layers without dermis like a strip between epidermis and horn or glass, which would hide the surface.

    The strip may hang on the dermis at an end; going from it to the epidermis is going inwards. It is pale
    epidermis where horn covers it, else horn.
    """
    strip = (codes == DERMIS) & outside(codes == EPIDERMIS, outline, cell_um)
    labels, n = ndimage.label(strip)
    size = sizes_of_pieces(labels, n)
    size[0] = 0
    kept = (size * cell_um**2 >= MIN_PIECE_UM2) & (size < MAX_STRIP_SHARE * (codes == DERMIS).sum())
    beside = [
        np.bincount(labels[ndimage.binary_dilation(mask, iterations=2)], minlength=n + 1)
        for mask in (codes == CORNEUM, ~outline)
    ]
    found = codes.copy()
    found[(kept & (beside[0] > beside[1]))[labels]] = EPIDERMIS
    found[(kept & (beside[1] >= np.maximum(beside[0], 1)))[labels]] = CORNEUM
    return _horn_outside(found, outline, cell_um)
