"""Nuclei in haematoxylin on a grid of about 0.5 um.

Background by erosion, a local threshold held near the slide's own Otsu threshold, seeds and watershed on a
topography of distance and stain, neighbours merged where their union is one ellipse, and each nucleus trimmed
at a share of its own height (docs/methods.md). All normalisation is local (within 28 um) or frozen per slide,
so a nucleus does not depend on the block it is seen in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from ishcount.core.compiled import njit
from ishcount.core.flags import Flag
from ishcount.core.labels import borders, ellipse_fill, means, moments
from ishcount.core.settings import Settings
from ishcount.core.units import PixelSize
from ishcount.core.watershed import flood

Grey = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]
FINE = 16  # smoothed planes keep 16 steps per grey level of the input, in int16


class NucleiParams(Settings):
    """How nuclei are found. Lengths in um; a grey level of the input is 0.005 OD."""

    channels: Literal["haematoxylin", "all_stains"] = Field(
        "haematoxylin", description="stain in which nuclei are looked for; all_stains takes brown nuclei too"
    )
    smooth_um: float = Field(0.7, gt=0, description="smoothing before everything, um (docs/methods.md)")
    background_um: float = Field(
        30.0, gt=0, description="window of the background, um: wider than any nucleus"
    )
    threshold_low: float = Field(0.4, gt=0, description="floor of the threshold in units of the slide's Otsu")
    threshold_high: float = Field(
        0.9, gt=0, description="ceiling of the threshold in units of the slide's Otsu"
    )
    local_um: float = Field(20.0, gt=0, description="window of the local threshold, um: some ten nuclei")
    stain_weight: float = Field(0.8, ge=0, description="weight of stain beside distance in the topography")
    seed_um: float = Field(2.5, gt=0, description="seeds are maxima within this radius, um")
    merge_fill: float = Field(
        0.94, gt=0, le=1, description="neighbours whose union fills its ellipse so far are one"
    )
    merge_area_um2: float = Field(160.0, gt=0, description="no merged nucleus is larger, um2")
    min_area_um2: float = Field(
        10.0, gt=0, description="smaller objects are no nuclei, um2 (QuPath's default too)"
    )
    max_area_um2: float = Field(
        400.0, gt=0, description="larger objects are no nuclei, um2 (QuPath's default too)"
    )
    trim: float = Field(0.4, ge=0, lt=1, description="each nucleus ends at this share of its own height")
    min_contrast: float = Field(
        0.5, ge=0, description="fainter objects are dropped, in units of the slide's Otsu"
    )


@dataclass(frozen=True)
class NucleiCalibration:
    """Frozen per slide: Otsu's threshold of background-corrected haematoxylin, in grey levels (0.005 OD)."""

    otsu: float


@dataclass(frozen=True)
class Nuclei:
    """Nuclei of one array. labels: int32 (h, w). The rest per nucleus, ordered by label.

    label int32; x_px, y_px float64 centroid (pixel centres at whole numbers); area_px int64; mean_od float64;
    flags uint32 (`core.flags`).
    """

    labels: npt.NDArray[np.int32]
    label: npt.NDArray[np.int32]
    x_px: npt.NDArray[np.float64]
    y_px: npt.NDArray[np.float64]
    area_px: npt.NDArray[np.int64]
    mean_od: npt.NDArray[np.float64]
    flags: npt.NDArray[np.uint32]


def calibrate_nuclei(
    samples: Sequence[Grey], pixel_size: PixelSize, params: NucleiParams = NucleiParams()
) -> NucleiCalibration:
    """The slide's own threshold from sampled haematoxylin planes (uint8, nuclei grid); 30 (0.15 OD) without
    any."""
    if not samples:
        return NucleiCalibration(30.0)
    pooled = np.concatenate([_contrast(sample, pixel_size, params).ravel() for sample in samples])
    levels = np.clip(pooled // FINE, 0, 255).astype(np.uint8).reshape(1, -1)
    otsu, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return NucleiCalibration(float(max(otsu, 6.0)))  # 0.03 OD: twice the noise of a scanner


def find_nuclei(
    haematoxylin: Grey,
    pixel_size: PixelSize,
    calibration: NucleiCalibration,
    params: NucleiParams = NucleiParams(),
    *,
    chromogen: Grey | None = None,
) -> Nuclei:
    """Nuclei of a haematoxylin plane (uint8, 200 levels per OD) on the nuclei grid.

    chromogen: the chromogen's plane, used with `all_stains` alone. Results within 20 um of the array's edge
    are
    cut off there: read with that margin. An even plane gives no nuclei.
    """
    stain = haematoxylin
    if params.channels == "all_stains" and chromogen is not None:
        stain = np.maximum(haematoxylin, chromogen)
    contrast = _contrast(stain, pixel_size, params)
    mask = _mask(contrast, pixel_size, calibration, params)
    topography = _topography(contrast, mask, pixel_size, params)
    labels = flood(255 - topography, _seeds(topography, mask, pixel_size, params), mask)
    labels = merge_neighbours(labels, contrast, pixel_size, params)
    labels = _trim(labels, contrast, params.trim)
    return _measure(_tidy(labels, pixel_size, params), contrast, pixel_size, calibration, params)


def _odd(length_um: float, pixel_size: PixelSize) -> int:
    return 2 * max(1, round(pixel_size.to_px(length_um) / 2)) + 1


def _contrast(stain: Grey, pixel_size: PixelSize, params: NucleiParams) -> npt.NDArray[np.int16]:
    """Smoothed stain above its background, `FINE` steps per level, never negative."""
    sigma = pixel_size.to_px(params.smooth_um)
    smooth = cv2.GaussianBlur(stain.astype(np.int16) * FINE, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    side = _odd(params.background_um, pixel_size)
    floor = cv2.erode(smooth, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
    floor = cv2.blur(floor, (side // 2 | 1, side // 2 | 1), borderType=cv2.BORDER_REPLICATE)
    return np.maximum(smooth - floor, 0)


def _mask(
    contrast: npt.NDArray[np.int16],
    pixel_size: PixelSize,
    calibration: NucleiCalibration,
    params: NucleiParams,
) -> npt.NDArray[np.uint8]:
    """Pixels above the local threshold, pinholes filled, specks and threads opened away."""
    side = _odd(params.local_um, pixel_size)
    local = cv2.blur(contrast, (side, side), borderType=cv2.BORDER_REPLICATE)
    otsu = calibration.otsu * FINE
    threshold = np.clip(local, round(params.threshold_low * otsu), round(params.threshold_high * otsu))
    mask = (contrast > threshold).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disc)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc))


def _topography(
    contrast: npt.NDArray[np.int16], mask: npt.NDArray[np.uint8], pixel_size: PixelSize, params: NucleiParams
) -> Grey:
    """Height of each pixel, 0-255, 20 levels per um of distance: distance to the edge plus locally
    normalised stain."""
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 5) * pixel_size.mean_um
    sigma = pixel_size.to_px(params.smooth_um)
    distance = cv2.GaussianBlur(distance, (0, 0), sigma)
    side = _odd(params.local_um, pixel_size)
    wide = contrast.astype(np.float32)
    mean = cv2.blur(wide, (side, side), borderType=cv2.BORDER_REPLICATE)
    square = cv2.blur(wide * wide, (side, side), borderType=cv2.BORDER_REPLICATE)
    spread = np.sqrt(np.maximum(square - mean * mean, 1)) + FINE
    stain = cv2.GaussianBlur((wide - mean) / spread, (0, 0), sigma)
    height = (distance + params.stain_weight * np.clip(stain, -2, 3)) * 20 + 40
    return np.where(mask > 0, np.clip(np.rint(height), 1, 255), 0).astype(np.uint8)


def _seeds(
    topography: Grey, mask: npt.NDArray[np.uint8], pixel_size: PixelSize, params: NucleiParams
) -> npt.NDArray[np.int32]:
    """One seed for each maximum of the topography within `seed_um`; equal neighbours share one."""
    radius = max(1, round(pixel_size.to_px(params.seed_um)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    peaks = (topography == cv2.dilate(topography, disc)) & (mask > 0)
    return np.asarray(cv2.connectedComponents(peaks.astype(np.uint8), connectivity=8)[1])


def merge_neighbours(
    labels: npt.NDArray[np.int32],
    contrast: npt.NDArray[np.int16],
    pixel_size: PixelSize,
    params: NucleiParams,
) -> npt.NDArray[np.int32]:
    """Join touching pieces whose union is one full ellipse of a nucleus' size, fullest first, twice at
    most."""
    most = params.merge_area_um2 / pixel_size.area_um2(1)
    for _ in range(2):
        n = int(labels.max(initial=0))
        if n < 2:
            return labels
        target = _merge_targets(moments(labels, n), borders(labels, n, contrast), most, params.merge_fill)
        if np.array_equal(target, np.arange(n + 1)):
            return labels
        labels = target[labels].astype(np.int32)
    return labels


@njit
def _merge_targets(moment, pairs, most_px, least_fill):  # type: ignore[no-untyped-def]
    """Where each label goes; a label takes part in one merger a round."""
    fill = np.zeros(len(pairs))
    for i in range(len(pairs)):
        union = moment[pairs[i, 0]] + moment[pairs[i, 1]]
        if union[0] <= most_px:
            fill[i] = ellipse_fill(union)
    target = np.arange(len(moment))
    free = np.ones(len(moment), np.bool_)
    for i in np.argsort(-fill, kind="mergesort"):
        a, b = pairs[i, 0], pairs[i, 1]
        if fill[i] >= least_fill and free[a] and free[b]:
            target[b] = a
            free[a] = free[b] = False
    return target


def _trim(
    labels: npt.NDArray[np.int32], contrast: npt.NDArray[np.int16], share: float
) -> npt.NDArray[np.int32]:
    """Each object without the pixels below `share` of its own maximum."""
    _, top = means(labels, int(labels.max(initial=0)), contrast)
    return np.where(contrast >= share * top[labels], labels, 0).astype(np.int32)


def _tidy(
    labels: npt.NDArray[np.int32], pixel_size: PixelSize, params: NucleiParams
) -> npt.NDArray[np.int32]:
    """Only the largest piece of each object, holes filled, and only objects of a nucleus' size."""
    n_pieces, pieces = cv2.connectedComponents(_edges_apart(labels), connectivity=4)
    pieces[labels == 0] = 0
    owner = np.zeros(n_pieces, np.int64)
    owner[pieces.ravel()] = labels.ravel()
    size = np.bincount(pieces.ravel(), minlength=n_pieces)
    size[0] = 0
    order = np.lexsort((np.arange(n_pieces), -size, owner))
    first = np.r_[True, owner[order][1:] != owner[order][:-1]]
    pixel_um2 = pixel_size.area_um2(1)
    fits = (size * pixel_um2 >= params.min_area_um2) & (size * pixel_um2 <= params.max_area_um2)
    keep = np.zeros(n_pieces, np.int32)
    keep[order[first]] = owner[order[first]]
    keep[~fits] = 0
    return keep[pieces]


def _edges_apart(labels: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
    """Mask of the labels with one-pixel gaps where two labels touch, so that components do not run
    together."""
    apart = labels > 0
    apart[:, :-1] &= (labels[:, :-1] == labels[:, 1:]) | (labels[:, 1:] == 0)
    apart[:-1] &= (labels[:-1] == labels[1:]) | (labels[1:] == 0)
    return apart.astype(np.uint8)


def _measure(
    labels: npt.NDArray[np.int32],
    contrast: npt.NDArray[np.int16],
    pixel_size: PixelSize,
    calibration: NucleiCalibration,
    params: NucleiParams,
) -> Nuclei:
    n = int(labels.max(initial=0))
    moment = moments(labels, n)
    total, _ = means(labels, n, contrast)
    here = np.flatnonzero(moment[:, 0] > 0)
    height = total[here] / np.maximum(moment[here, 0], 1) / FINE
    here, height = (values[height >= params.min_contrast * calibration.otsu] for values in (here, height))
    keep = np.zeros(n + 1, np.int32)
    keep[here] = here
    area = moment[here, 0]
    faint = height < calibration.otsu
    large = area * pixel_size.area_um2(1) > params.merge_area_um2
    flags = np.where(faint, np.uint32(Flag.NUCLEUS_FAINT), 0) | np.where(
        large, np.uint32(Flag.NUCLEUS_LARGE), 0
    )
    return Nuclei(
        labels=keep[labels],
        label=here.astype(np.int32),
        x_px=moment[here, 1] / np.maximum(area, 1),
        y_px=moment[here, 2] / np.maximum(area, 1),
        area_px=area,
        mean_od=height / 200,
        flags=flags.astype(np.uint32),
    )
