"""Evidence about candidates in patches with known dots and in real fields that hold none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ishcount.core.optical_density import block_mean, separate
from ishcount.core.stain_model import StainModel, angle_deg
from ishcount.core.tables import DOT_REASONS
from ishcount.core.units import PixelSize
from ishcount.steps.colour_shift import in_register
from ishcount.steps.dots import Candidates, DotParams, find_candidates, measure_noise
from ishcount.steps.stains import learn_stains
from ishcount.truth.training.imaginary_slide import draw_slide
from ishcount.truth.training.patches import draw_patch

Labels = npt.NDArray[np.int8]

PATCHES_PER_SLIDE = 4
SAME_UM = 0.5  # a candidate this near a true dot is that dot (the contract's matching radius)
NEAR_UM = 1.2  # a candidate this near but not matched is neither: left out of training
VISIBLE_OD = 0.05  # a true dot weaker than this at its peak is left out: nobody could call it
EDGE_PX = 16
ASIDE_UM = 0.4  # the peak of a thing may lie this far from its middle: its grain and the camera's noise


@dataclass(frozen=True)
class Field:
    """Candidates of one field: evidence (n, n_features), pixels, label (1 a dot, 0 none, -1 neither), and of
    those that are none the place in `DOT_REASONS` of what they are (0: not known)."""

    features: npt.NDArray[np.float32]
    x: npt.NDArray[np.int32]
    y: npt.NDArray[np.int32]
    label: Labels
    reason: Labels
    um_per_px: float


def evidence(
    rgb: npt.NDArray[np.uint8],
    stains: StainModel,
    pixel_size: PixelSize,
    noise_planes: Sequence[npt.NDArray[np.int16]],
) -> Candidates:
    """Every candidate of a field with its evidence, as `quantify` computes it."""
    factor = max(1, round(0.5 / pixel_size.mean_um))
    tables = stains.tables()
    noise = measure_noise(list(noise_planes), pixel_size, DotParams())
    return find_candidates(
        separate(rgb, tables), separate(block_mean(rgb, factor), tables), factor, pixel_size, noise,
        stain_angle_deg=angle_deg(stains.vectors[0], stains.vectors[1]), is_brown=stains.names[1] == "dab",
    )  # fmt: skip


def synthetic_slide(seed: int) -> list[Field]:
    """The fields of one imaginary slide."""
    rng = np.random.default_rng([20261122, seed])
    chromogen = str(rng.choice(["fast_red", "dab"]))
    mpp = float(rng.choice([0.25, rng.uniform(0.22, 0.28), rng.uniform(0.45, 0.52)], p=[0.6, 0.2, 0.2]))
    draw = draw_slide(rng, chromogen, mpp)
    patches = [draw_patch(rng, draw) for _ in range(PATCHES_PER_SLIDE)]
    pixel_size = PixelSize(mpp, mpp)
    red, green, blue = draw.white + rng.normal(0, 1.5, 3)
    seen, _ = in_register([patch.rgb for patch in patches])
    stains = learn_stains(seen, (red, green, blue), [chromogen], pixel_size)
    planes = [np.ascontiguousarray(separate(rgb, stains.tables())[1]) for rgb in seen]
    fields = []
    for patch, rgb in zip(patches, seen, strict=True):
        found = evidence(rgb, stains, pixel_size, planes)
        places = np.column_stack([found.x + found.dx, found.y + found.dy]).astype(np.float64)
        label = label_candidates(places, patch.dots, mpp)
        size = patch.rgb.shape[0]
        label[((places < EDGE_PX) | (places > size - EDGE_PX)).any(axis=1)] = -1
        reason = name_candidates(places, patch.others, mpp)
        fields.append(Field(found.features, found.x, found.y, label, reason, mpp))
    return fields


def label_candidates(places: npt.NDArray[np.float64], dots: npt.NDArray[np.float64], mpp_um: float) -> Labels:
    """1 where a candidate is the nearest to a true dot within 0.5 um, -1 undecidable, 0 elsewhere."""
    label = np.zeros(len(places), np.int8)
    if len(dots) == 0 or len(places) == 0:
        return label
    distance, _ = cKDTree(dots[:, :2]).query(places)
    label[distance * mpp_um <= NEAR_UM] = -1
    nearest, which = cKDTree(places).query(dots[:, :2])
    label[which[(nearest * mpp_um <= SAME_UM) & (dots[:, 2] >= VISIBLE_OD)]] = 1
    return label


def name_candidates(
    places: npt.NDArray[np.float64], others: Sequence[tuple[str, float, float, float]], mpp_um: float
) -> Labels:
    """What a candidate is if it is no dot: of the things that reach it, the smallest; 0 where none does."""
    reason = np.full(len(places), DOT_REASONS.index("low_score"), np.int8)
    if len(places) == 0:
        return reason
    tree = cKDTree(places)
    for name, x, y, reach in sorted(others, key=lambda other: -other[3]):
        reason[tree.query_ball_point((x, y), reach + ASIDE_UM / mpp_um)] = DOT_REASONS.index(name)
    return reason


def real_negative(path: Path, chromogen: str, mpp_um: float) -> Field:
    """Every candidate of a real picture that holds no dot of this chromogen."""
    from ishcount.core.geometry import Region
    from ishcount.slide.open import open_slide

    with open_slide(path) as slide:
        whole = slide.read(Region(0, 0, min(slide.width, 4096), min(slide.height, 4096)))
    (rgb,), _ = in_register([whole])
    pixel_size = PixelSize(mpp_um, mpp_um)
    red, green, blue = (float(value) for value in np.percentile(rgb.reshape(-1, 3), 99.9, axis=0))
    stains = learn_stains([rgb], (red, green, blue), [chromogen], pixel_size)
    plane = np.ascontiguousarray(separate(rgb, stains.tables())[1])
    found = evidence(rgb, stains, pixel_size, [plane])
    none = np.zeros(len(found.x), np.int8)
    return Field(found.features, found.x, found.y, none, none, mpp_um)


def real_negatives(folder: Path) -> Iterator[tuple[str, Field]]:
    """Real texture without probe signal: pens, glass, H&E and IHC read in the colour they do not hold."""
    for path in sorted((folder / "pen").glob("*.png")):
        for chromogen in ("fast_red", "dab"):
            yield f"{path.stem}/{chromogen}", real_negative(path, chromogen, 0.5)
    for path in sorted((folder / "dsb2018_brightfield").glob("*.png"))[::2]:
        for chromogen in ("fast_red", "dab"):
            for mpp in (0.25, 0.35):
                yield f"{path.stem}/{chromogen}/{mpp}", real_negative(path, chromogen, mpp)
    for name, mpp in (("OS-2-ndpi.ome.tif", 0.2271), ("kidney-48-5.tif", 0.25)):
        yield f"{name}/fast_red", real_negative(folder / "slides" / name, "fast_red", mpp)
