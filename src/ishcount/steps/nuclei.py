"""Nuclei in haematoxylin on a grid of about 0.5 um.

A nucleus is darker than its near surroundings, whatever those are: the mask is where the stain lies above
its own mean over about 8 um. The mask is cut into hills of stain and distance (`core.relief`,
`core.pieces`), too many, each trimmed at a share of its own height, so that a faint nucleus beside a dark one
keeps its outline. Touching pieces are joined into a tree (`core.region_tree`), a judge gives every node the
probability of being one whole nucleus, and the best set of nodes that do not overlap is taken. The judge
knows how large and dark a usual nucleus of the slide is, from those that a first judge, who does not, found
in sampled windows. All normalisation is local (within 20 um) or frozen per slide, so a nucleus does not
depend on the block it is seen in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from ishcount.core.flags import Flag
from ishcount.core.forest import Forest, forest_of
from ishcount.core.labels import tidy
from ishcount.core.pieces import (
    AREA,
    LEVELS,
    X,
    Y,
    aspect_and_fill,
    basins,
    measure_pieces,
    shape_sums,
    trim,
)
from ishcount.core.region_tree import FEATURES, choose, grow_tree, node_features
from ishcount.core.relief import FINE, above_background, relief, smoothed
from ishcount.core.settings import Settings
from ishcount.core.units import PixelSize

Grey = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.int16]
Labels = npt.NDArray[np.int32]
Array = npt.NDArray[Any]
Features = npt.NDArray[np.float32]
Chances = npt.NDArray[np.float64]
LOG_AREA, HEIGHT = FEATURES.index("log_area_um2"), FEATURES.index("height")
BESIDE_USUAL = ("log_area_beside_usual", "height_beside_usual")
LEAST_NUCLEI = 20  # a median of fewer moves by more than a tenth of the spread of sizes
LEVELS_PER_OD = 200  # of the input (core.optical_density)
MODEL_FILE = "nuclei_model.json"


class NucleiParams(Settings):
    """How nuclei are found. Lengths in um; OD of haematoxylin above its background."""

    channels: Literal["haematoxylin", "all_stains"] = Field(
        "haematoxylin", description="stain in which nuclei are looked for; all_stains takes brown nuclei too"
    )
    network: str | None = Field(
        None, description="TOML that describes your own ONNX network, used instead (docs/networks.md)"
    )
    network_sha256: str | None = Field(
        None,
        description="of the network's file and description, filled in when a run begins; another stops it",
    )
    smooth_um: float = Field(
        0.5, gt=0, description="smoothing before everything, um (real tiles: .35-.6 are alike)"
    )
    background_um: float = Field(
        18.0, gt=0, description="window of the background, um: wider than any nucleus"
    )
    surround_um: float = Field(
        4.0, gt=0, description="a nucleus is darker than the mean with this sigma, um (real tiles: 2-6 alike)"
    )
    floor: float = Field(
        0.2,
        gt=0,
        description="nothing fainter is looked at, in units of the slide's Otsu (real tiles: .15-.3 alike)",
    )
    seed_um: float = Field(0.8, gt=0, description="one seed within this radius, um: pieces, not yet nuclei")
    trim: float = Field(
        0.33,
        ge=0,
        lt=1,
        description="each piece ends at this share of its own height (best of 0-.5 on real tiles)",
    )
    min_area_um2: float = Field(8.0, gt=0, description="smaller objects are no nuclei, um2: 3.2 um across")
    max_area_um2: float = Field(
        400.0, gt=0, description="larger objects are no nuclei, um2 (as QuPath's default)"
    )
    min_probability: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="less probable objects are dropped; F1 (real tiles, drawn planes) is flat over .2-.4",
    )
    sure_probability: float = Field(
        0.9,
        gt=0,
        le=1,
        description="so probable an object is one nucleus even if its halves look like some",
    )


@dataclass(frozen=True)
class NucleiCalibration:
    """Frozen per slide.

    otsu: Otsu's threshold of background-corrected haematoxylin, in grey levels (0.005 OD). log_area_um2,
    height: medians of the nuclei in the sampled windows: natural logarithm of the area in um2, and mean stain
    above the background in units of `otsu` (the defaults are medians of the training's drawn planes).
    """

    otsu: float
    log_area_um2: float = 3.75
    height: float = 1.45


@dataclass(frozen=True)
class Nuclei:
    """Nuclei of one array. labels: int32 (h, w), 1 to n without gaps. The rest per nucleus, ordered by label.

    label int32; x_px, y_px float64 centroid (pixel centres at whole numbers); area_px int64; mean_od
    float64 above the background; aspect float64 (shorter over longer axis, 0-1); fill float64 (area over
    that of the ellipse of the same moments, 1: convex and full); score float64 (0-1, probability of being
    one whole nucleus); at_border bool (touches the array's edge); flags uint32 (`core.flags`).
    """

    labels: Labels
    label: Labels
    x_px: npt.NDArray[np.float64]
    y_px: npt.NDArray[np.float64]
    area_px: npt.NDArray[np.int64]
    mean_od: npt.NDArray[np.float64]
    aspect: npt.NDArray[np.float64]
    fill: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]
    at_border: npt.NDArray[np.bool_]
    flags: npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Candidates:
    """Every object that could be a nucleus: pieces int32 (h, w), the tree over them, what is known of each
    node.

    contrast: stain above its background, int16, 16 steps per grey level.
    """

    contrast: Plane
    pieces: Labels
    n_pieces: int
    children: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]


def calibrate_nuclei(
    samples: Sequence[Grey], pixel_size: PixelSize, params: NucleiParams = NucleiParams()
) -> NucleiCalibration:
    """The slide's own threshold and usual nucleus from sampled haematoxylin planes (uint8, nuclei grid).

    Without any sample the threshold is 30 (0.15 OD); with fewer than 20 nuclei the usual one is the default.
    """
    if not samples:
        return NucleiCalibration(30.0)
    otsu = NucleiCalibration(stain_threshold(samples, pixel_size, params))
    return usual_nucleus([candidates(s, pixel_size, otsu, params) for s in samples], otsu, params)


def stain_threshold(samples: Sequence[Grey], pixel_size: PixelSize, params: NucleiParams) -> float:
    """Otsu's threshold of background-corrected stain, in grey levels; 6 (0.03 OD, twice a scanner's noise)
    at least.
    """
    smooth = [smoothed(sample, pixel_size, params.smooth_um) for sample in samples]
    pooled = np.concatenate([above_background(s, pixel_size, params.background_um).ravel() for s in smooth])
    levels = np.clip(pooled // FINE, 0, 255).astype(np.uint8).reshape(1, -1)
    otsu, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return float(max(otsu, 6.0))


def usual_nucleus(
    found: Sequence[Candidates], calibration: NucleiCalibration, params: NucleiParams,
    judge: Callable[[Features], Chances] | None = None,
) -> NucleiCalibration:  # fmt: skip
    """The calibration with medians of the nuclei that the first judge (the shipped one) finds."""
    raw = judge or load_models().alone.raw
    chosen = [
        c.features[np.unique(nodes[nodes > 0])][:, [LOG_AREA, HEIGHT]]
        for c in found
        for nodes in [chosen_nodes(c, c.features, raw, params)]
    ]
    nuclei = np.concatenate([*chosen, np.zeros((0, 2), np.float32)]).astype(np.float64)
    if len(nuclei) < LEAST_NUCLEI:
        return calibration
    log_area, height = np.median(nuclei, axis=0)
    return replace(calibration, log_area_um2=float(log_area), height=float(max(height, 0.1)))


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
    are cut off there: read with that margin. An even plane gives no nuclei.
    """
    stain = haematoxylin
    if params.channels == "all_stains" and chromogen is not None:
        stain = np.maximum(haematoxylin, chromogen)
    found = candidates(stain, pixel_size, calibration, params)
    probability = _chance(load_models().among.raw, beside_usual(found.features, calibration), params)
    owner = _choose(found, probability, params)
    nodes = np.unique(owner[owner > 0])
    renumber = np.zeros(len(found.children), np.int32)
    renumber[nodes] = np.arange(1, len(nodes) + 1)
    labels = renumber[owner][found.pieces]
    tidy(labels)
    return _measure(labels, found.contrast, probability[nodes], pixel_size, calibration)


def nuclei_of_labels(
    labels: Labels, haematoxylin: Grey, pixel_size: PixelSize, calibration: NucleiCalibration,
    params: NucleiParams = NucleiParams(),
) -> Nuclei:  # fmt: skip
    """Nuclei that something else outlined (int32, 1 to n without gaps), each made one part without holes."""
    tidy(labels)
    smooth = smoothed(haematoxylin, pixel_size, params.smooth_um)
    contrast = above_background(smooth, pixel_size, params.background_um)
    return _measure(labels, contrast, np.ones(int(labels.max(initial=0))), pixel_size, calibration)


def candidates(
    stain: Grey, pixel_size: PixelSize, calibration: NucleiCalibration, params: NucleiParams
) -> Candidates:
    """All pieces of the mask and every union of neighbours that was tried, with features (`FEATURES`)."""
    land = relief(
        stain,
        pixel_size,
        smooth_um=params.smooth_um,
        background_um=params.background_um,
        surround_um=params.surround_um,
        least=params.floor * calibration.otsu,
        usual=calibration.otsu,
        frame=max(1, round(pixel_size.to_px(params.seed_um))),
    )
    pieces, n_pieces = basins(land.height, land.frame)
    trim(pieces, n_pieces, land.contrast, params.trim)
    steepness = cv2.morphologyEx(land.contrast, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    gradient = np.asarray(steepness, np.int16)
    sums, borders = measure_pieces(pieces, n_pieces, land.contrast, gradient)
    nodes, children, inner = grow_tree(sums, borders, params.max_area_um2 / pixel_size.area_um2(1))
    features = node_features(nodes, children, inner, pixel_size.area_um2(1), calibration.otsu * FINE)
    return Candidates(land.contrast, pieces, n_pieces, children, features)


@dataclass(frozen=True)
class Models:
    """The shipped trees (docs/model_card_nuclei.md): judges that know a node alone, and among its slide's."""

    alone: Forest
    among: Forest


@cache
def load_models() -> Models:
    """Both judges, read once per process."""
    content = json.loads((files("ishcount") / "data" / MODEL_FILE).read_text("utf-8"))
    return Models(forest_of(content["alone"]), forest_of(content["among"]))


def beside_usual(features: Features, calibration: NucleiCalibration) -> Features:
    """Features (n, 28) and two more: size and height beside those of the slide's usual nucleus."""
    size = features[:, LOG_AREA] - np.float32(calibration.log_area_um2)
    return np.column_stack([features, size, features[:, HEIGHT] / np.float32(calibration.height)])


def _chance(judge: Callable[[Features], Chances], features: Features, params: NucleiParams) -> Chances:
    """Probability (n_nodes,) that each node is one whole nucleus; 0 outside the area limits."""
    area = np.exp(features[:, LOG_AREA].astype(np.float64))
    allowed = (area >= params.min_area_um2) & (area <= params.max_area_um2)
    allowed[0] = False
    chance = np.zeros(len(allowed))
    chance[allowed] = 1 / (1 + np.exp(-np.clip(judge(features[allowed]), -40, 40)))
    return chance


def chosen_nodes(
    found: Candidates, features: Features, judge: Callable[[Features], Chances], params: NucleiParams
) -> npt.NDArray[np.int64]:
    """The node that a judge chooses over each piece (n_pieces + 1,), 0 where none."""
    return _choose(found, _chance(judge, features, params), params)


def _choose(found: Candidates, chance: Chances, params: NucleiParams) -> npt.NDArray[np.int64]:
    value = chance - params.min_probability + (chance >= params.sure_probability)
    return choose(found.children, value, found.n_pieces)


def _measure(
    labels: Labels,
    contrast: Plane,
    score: npt.NDArray[np.float64],
    pixel_size: PixelSize,
    calibration: NucleiCalibration,
) -> Nuclei:
    n = len(score)
    sums = shape_sums(labels, n, contrast)
    shape = aspect_and_fill(sums[1:])
    area = sums[1:, AREA]
    height = sums[1:, LEVELS] / np.maximum(area, 1) / FINE
    edge = np.concatenate(
        [labels[:1].ravel(), labels[-1:].ravel(), labels[:, :1].ravel(), labels[:, -1:].ravel()]
    )
    faint = height < calibration.otsu
    large = area * pixel_size.area_um2(1) > 160  # um2, 14 um across: larger than a round nucleus of skin
    flags = np.where(faint, np.uint32(Flag.NUCLEUS_FAINT), 0) | np.where(
        large, np.uint32(Flag.NUCLEUS_LARGE), 0
    )
    label = np.arange(1, n + 1, dtype=np.int32)
    return Nuclei(
        labels=labels,
        label=label,
        x_px=sums[1:, X] / np.maximum(area, 1),
        y_px=sums[1:, Y] / np.maximum(area, 1),
        area_px=area,
        mean_od=height / LEVELS_PER_OD,
        aspect=shape[:, 0],
        fill=shape[:, 1],
        score=score,
        at_border=np.isin(label, edge),
        flags=flags.astype(np.uint32),
    )
