"""Edges stained by drying: bands of dye along the outline that fade inwards."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.core.connected import sizes_of_pieces
from ishcount.core.distance import distance_cells
from ishcount.core.stain_model import REFERENCE

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

# Bands of depth in um from the outline inwards: the rim itself, what is judged, how it fades, and what the
# same tissue looks like far from the edge.
RIM_UM, BESIDE_UM, INNER_UM = (2.0, 10.0), (10.0, 18.0), (60.0, 120.0)
FADING_UM = ((18.0, 26.0), (26.0, 36.0), (36.0, 50.0))
ALONG_UM = 74.0  # profiles are means over twice this along the edge: some 20 nuclei in each band
INNER_ALONG_UM = 148.0
# Nuclei and the crowds of them in an epidermis add haematoxylin, dried dye adds something else: only what
# stands across its reference direction is looked at.
HAEMATOXYLIN = np.array(REFERENCE["haematoxylin"]) / np.linalg.norm(REFERENCE["haematoxylin"])
# Optical density across haematoxylin that the judged band has more than the inside: over 16 drawn slides, ten
# of them with dried edges, .044 finds four fifths of the dried stretches before the rules below.
MIN_DRIED_OD = 0.044
EDGE_OD = 0.03  # the band ends where so much is left: half a chromogen's .06 lies across haematoxylin
MIN_DARKENING_OD = 0.02  # of all colours together; dye that is only of another hue is no drying
FADES = (0.85, 0.5)  # of the judged band's, at most, in the 2nd and 3rd of FADING_UM; horn and epidermis end
RIM_HOLDS = 0.6  # and at least so much at the rim itself: what lies deeper is a layer of the tissue
# 150 um of edge, 20 um deep; the only false one on real fields, a row of brown nuclei of OS-2, has 1,600.
MIN_DRIED_UM2 = 3000.0
MIN_BAND_CELLS = 0.004  # share of a window that must be known


def find_dried_edge(od: Array, tissue: Mask, outline: Mask, *, cell_um: float) -> Mask:
    """Cells of `tissue` under dye that dried in at the edge, bool (h, w).

    od: float32 (h, w, 3); outline: tissue with its holes filled. Stretches of edge are judged by the mean
    profile of what is no haematoxylin: it must be high at the rim and fade to less than half within 50 um.
    Where tissue is thinner than 60 um nothing is said.
    """
    found = np.zeros(tissue.shape, np.bool_)
    if outline.all() or not tissue.any():
        return found
    depth = _depth_um(outline, cell_um)
    rim = tissue & (depth <= 1.5 * cell_um)
    if not rim.any():
        return found
    dried, reach = _judged(np.maximum(od, 0), tissue, depth, rim, cell_um)
    votes, ends = np.zeros(tissue.shape, np.float32), np.zeros(tissue.shape, np.float32)
    votes[rim], ends[rim] = dried, np.where(dried, reach, 0)
    near = _mean_of(rim.astype(np.float32), ALONG_UM / 2 / cell_um)
    votes, ends = (_mean_of(plane, ALONG_UM / 2 / cell_um) for plane in (votes, ends))
    most = votes > 0.5 * np.maximum(near, 1e-6)
    found = tissue & most & (depth <= ends / np.maximum(votes, 1e-6))
    labels, n = ndimage.label(found)
    large = sizes_of_pieces(labels, n) * cell_um**2 >= MIN_DRIED_UM2
    return np.asarray(found & large[labels])


def _depth_um(outline: Mask, cell_um: float) -> Array:
    """Distance from the outline; the picture's edge is none."""
    padded = distance_cells(np.pad(outline, 1, mode="edge"))
    return np.asarray(padded[1:-1, 1:-1].astype(np.float64) * cell_um, np.float32)


def _mean_of(plane: Array, half_cells: float) -> Array:
    """Mean over a window, twice: weights fall off to twice `half_cells`."""
    side = (2 * max(1, round(half_cells / 2)) + 1,) * 2
    for _ in range(2):
        plane = cv2.blur(plane, side, borderType=cv2.BORDER_CONSTANT)
    return plane


def _judged(od: Array, tissue: Mask, depth: Array, rim: Mask, cell_um: float) -> tuple[Mask, Array]:
    """Whether each rim cell's stretch is dried, bool (n,), and how deep in um, (n,)."""

    def band(limits_um: tuple[float, float], along_um: float = ALONG_UM) -> Array:
        here = tissue & (depth > limits_um[0]) & (depth <= limits_um[1])
        half = along_um / cell_um
        weight = _mean_of(here.astype(np.float32), half)[rim]
        total = [_mean_of(np.where(here, od[..., k], 0).astype(np.float32), half)[rim] for k in range(3)]
        known = weight > MIN_BAND_CELLS
        means = np.stack(total, axis=-1) / np.maximum(weight, 1e-6)[:, None]
        return np.asarray(np.where(known[:, None], means, np.nan))

    inner = band(INNER_UM, INNER_ALONG_UM)
    more = [band(limits) - inner for limits in (RIM_UM, BESIDE_UM, *FADING_UM)]
    across = [rise - (rise @ HAEMATOXYLIN)[:, None] * HAEMATOXYLIN for rise in more]
    beside = across[1] / np.maximum(np.linalg.norm(across[1], axis=1, keepdims=True), 1e-6)
    at_rim, here, third, fourth, last = ((rise * beside).sum(axis=1) for rise in across)
    darker = more[1].mean(axis=1)
    dried = (here >= MIN_DRIED_OD) & (darker >= MIN_DARKENING_OD) & (at_rim >= RIM_HOLDS * here)
    dried &= (fourth <= FADES[0] * here) & (last <= FADES[1] * here)
    dried &= darker - more[4].mean(axis=1) >= 0.75 * MIN_DARKENING_OD
    # Under tinted horn lies an epidermis, whose nuclei absorb more red than horn does.
    dried &= np.maximum(more[3][:, 0], more[4][:, 0]) <= more[1][:, 0]
    return np.asarray(dried), _reach(np.stack([here, third, fourth, last], axis=-1))


def _reach(profile: Array) -> Array:
    """Depth in um where a profile (n, 4) falls to EDGE_OD, between the middles of its bands."""
    middles = np.array([sum(limits) / 2 for limits in (BESIDE_UM, *FADING_UM)])
    found = np.full(len(profile), middles[-1])
    for place in range(len(middles) - 1, 0, -1):
        high, low = profile[:, place - 1], profile[:, place]
        crossing = (high - EDGE_OD) / np.maximum(high - low, 1e-6)
        below = low < EDGE_OD
        step = middles[place] - middles[place - 1]
        found = np.where(below, middles[place - 1] + np.clip(crossing, 0, 1) * step, found)
    return np.asarray(found)
