"""A stain plane seen as a landscape in which each nucleus is a hill.

Planes are int16 with `FINE` steps per grey level of the plane they come from; every filter is local (within
`background_um`), so a pixel's height does not depend on the array it is seen in.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit
from ishcount.core.pieces import OUTSIDE
from ishcount.core.units import PixelSize

Grey = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.int16]
Height = npt.NDArray[np.float32]
FINE = 16  # steps per grey level that smoothing brings out
DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
# Weights of a height, the best of a few on hand-drawn tiles; .5 to 2 times each is alike.
PER_UM = 0.3  # of a um from the mask's edge, beside 1 for stain above its surroundings
VALLEY = 0.8  # of the steepest upward curvature per um2: what parts two nuclei of one darkness


@dataclass(frozen=True)
class Relief:
    """contrast: stain above its background, int16 (h, w). height: float32, `frame` px wider on each side,
    `OUTSIDE` beyond the mask of pixels darker than their surroundings.
    """

    contrast: Plane
    height: Height
    frame: int


def relief(
    stain: Grey, pixel_size: PixelSize, *, smooth_um: float, background_um: float, surround_um: float,
    least: float, usual: float, frame: int,
) -> Relief:  # fmt: skip
    """The landscape of a stain plane (uint8).

    smooth_um: sigma of the first smoothing. background_um: window whose minimum is the background.
    surround_um: a nucleus is darker than the mean with this sigma. least, usual: contrast, in grey levels,
    below which nothing is looked at, and of a usual nucleus of the slide.
    """
    smooth = smoothed(stain, pixel_size, smooth_um)
    contrast = above_background(smooth, pixel_size, background_um)
    around = wide_mean(smooth, pixel_size, surround_um)
    mask = _darker(smooth, around, contrast, round(least * FINE))
    opened = cv2.morphologyEx(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, DISC), cv2.MORPH_OPEN, DISC)
    distance = np.asarray(cv2.distanceTransform(opened, cv2.DIST_L2, 3), np.float32)
    fine = _blurred(smooth, pixel_size, smooth_um)
    height = _height(
        smooth, fine, around, contrast, distance, PER_UM * pixel_size.mean_um,
        VALLEY * pixel_size.to_px(1) ** 2, 0.1 * usual * FINE, frame,
    )  # fmt: skip
    return Relief(contrast, height, frame)


def smoothed(stain: Grey, pixel_size: PixelSize, sigma_um: float) -> Plane:
    """The plane in int16, smoothed."""
    return _blurred(stain.astype(np.int16) * FINE, pixel_size, sigma_um)


def _blurred(plane: Plane, pixel_size: PixelSize, sigma_um: float) -> Plane:
    sigma = pixel_size.to_px(sigma_um)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.int16)


def above_background(smooth: Plane, pixel_size: PixelSize, background_um: float) -> Plane:
    """Stain above its background, the smoothed minimum of the neighbourhood; never negative."""
    side = _side(background_um, pixel_size)
    floor = cv2.erode(smooth, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
    floor = cv2.blur(floor, (side // 2 | 1, side // 2 | 1), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.maximum(smooth - floor, 0))


def wide_mean(plane: Plane, pixel_size: PixelSize, sigma_um: float) -> Plane:
    """Mean with about a Gaussian's weights: two boxes, each of variance (side^2 - 1) / 12."""
    side = _side(pixel_size.to_um((6 * pixel_size.to_px(sigma_um) ** 2 + 1) ** 0.5), pixel_size)
    once = cv2.blur(plane, (side, side), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.blur(once, (side, side), borderType=cv2.BORDER_REPLICATE))


def _side(length_um: float, pixel_size: PixelSize) -> int:
    """An odd number of pixels."""
    return 2 * max(1, round(pixel_size.to_px(length_um) / 2)) + 1


@njit
def _darker(smooth: Plane, around: Plane, contrast: Plane, least: int) -> Grey:
    height, width = smooth.shape
    mask = np.empty((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            mask[y, x] = (smooth[y, x] > around[y, x]) & (contrast[y, x] > least)
    return mask


@njit
def _height(
    smooth: Plane, fine: Plane, around: Plane, contrast: Plane, distance: Height,
    per_px: float, valley: float, least: float, frame: int,
) -> Height:  # fmt: skip
    """Stain above its surroundings less the curvature of a valley, in units of the local contrast, plus
    distance.
    """
    rows, cols = smooth.shape
    out = np.full((rows + 2 * frame, cols + 2 * frame), OUTSIDE, np.float32)
    for y in range(rows):
        up, down = max(y - 1, 0), min(y + 1, rows - 1)
        for x in range(cols):
            if distance[y, x] == 0:
                continue
            left, right = max(x - 1, 0), min(x + 1, cols - 1)
            here = np.int32(fine[y, x])
            xx = np.int32(fine[y, left]) + fine[y, right] - 2 * here
            yy = np.int32(fine[up, x]) + fine[down, x] - 2 * here
            xy = (np.int32(fine[up, left]) + fine[down, right] - fine[up, right] - fine[down, left]) / 4
            steepest = (xx + yy + np.sqrt((xx - yy) ** 2 + 4 * xy * xy)) / 2
            background = np.int32(smooth[y, x]) - contrast[y, x]
            unit = 0.5 * max(np.int32(around[y, x]) - background, 0) + least
            bulge = here - np.int32(around[y, x]) - valley * max(steepest, 0.0)
            out[y + frame, x + frame] = per_px * distance[y, x] + bulge / unit
    return out
