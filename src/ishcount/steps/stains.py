"""Stain colours of one slide: learned once from sampled windows, then frozen.

Each stain is a unit vector of optical density in R, G, B (Ruifrok and Johnston 2001). Haematoxylin is
measured
on the slide. A chromogen is measured where there is enough of it and drawn half-way back to its reference,
because on a slide with few positives its pixels are few and an error of 5 degrees adds half the false counts
(measured on phantoms, see docs/methods.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field

from ishcount.core.colour_peak import MIN_PIXELS, MIXED, beyond_surroundings, pure_pixels
from ishcount.core.dot_colours import DotColours, dot_colours
from ishcount.core.errors import SlideError
from ishcount.core.optical_density import block_mean, median_colour, to_od
from ishcount.core.settings import Settings
from ishcount.core.stain_model import REFERENCE, StainModel, angle_deg, unit
from ishcount.core.units import PixelSize

MELANIN = (0.31, 0.47, 0.83)  # absorption falls as about wavelength^-3.5 (Jacques 2013)
PIXELS_PER_DOT = 8  # of 0.25 um2: a dot of 1.6 um across; its pixels are not independent
AUTO_CHROMOGENS = ("fast_red", "dab")
ALIKE_DEG = 20.0  # Fast Red and DAB are 24 apart; AEC lies 16 and 9 from them and may look like either

Array = npt.NDArray[np.float64]


class StainParams(Settings):
    """How stain colours are measured."""

    vectors: dict[str, tuple[float, float, float]] = Field(
        {}, description="stain name -> fixed R, G, B optical density; a stain named here is not measured"
    )
    haematoxylin_cone_deg: float = Field(
        24.0,
        gt=0,
        le=45,
        description="pixels this near the reference count as haematoxylin: real tiles lie 9-17 degrees "
        "from it, Fast Red 29",
    )
    haematoxylin_strongest: float = Field(
        0.4, gt=0, le=1, description="share of the darkest such pixels used (docs/methods.md)"
    )
    chromogen_cone_deg: float = Field(
        14.0, gt=0, le=45, description="pixels this near the reference may be chromogen (docs/methods.md)"
    )
    chromogen_min_pixels: int = Field(
        200, ge=1, description="fewer such pixels of 0.5 um: keep the reference (about 15 dots of 1.8 um2)"
    )
    chromogen_shrinkage: float = Field(
        0.5, ge=0, le=1, description="weight of the reference beside the measured colour (docs/methods.md)"
    )
    min_angle_deg: float = Field(
        15.0,
        ge=0,
        le=90,
        description="stain pairs nearer than this are flagged: noise grows as 1/sin(angle), fourfold here",
    )
    max_diffuse_od: float = Field(
        0.18,
        ge=0,
        description="median chromogen OD of all tissue above this is no punctate stain (H&E as "
        "Fast Red 0.20-0.50; drawn slides with a tinted background up to 0.17, real IHC and haematoxylin "
        "tiles under 0.09)",
    )
    max_residual_od: float = Field(
        0.12,
        ge=0,
        description="a tenth of the tissue farther than this from the plane of the two stains "
        "carries another "
        "dye (right pairs 0.01-0.10 on real tiles, wrong ones 0.11-0.30)",
    )


def estimate_white(
    overview: npt.NDArray[np.uint8], glass: npt.NDArray[np.bool_]
) -> tuple[tuple[float, float, float], str]:
    """The colour of light through empty glass: the median of glass, else the 99.9th percentile of everything.

    `overview` uint8 (h, w, 3), `glass` bool (h, w). At least 50 cells of glass (about 800 um2 at 4 um/px) are
    asked for. Returns (R, G, B) and "glass" or "percentile".
    """
    if np.count_nonzero(glass) >= 50:
        red, green, blue = median_colour(overview, glass)
        return (float(red), float(green), float(blue)), "glass"
    red, green, blue = np.percentile(overview.reshape(-1, 3), 99.9, axis=0)
    return (float(red), float(green), float(blue)), "percentile"


def refuse_dark_field(overview: npt.NDArray[np.uint8]) -> None:
    """SlideError E_STAIN for fluorescence or dark field: most of the picture is darker than any bright field.

    Bright-field tissue transmits some light in its brightest channel nearly everywhere; half of the picture
    below grey level 60 in all channels (OD 0.6 in every colour) is background that emits no light.
    """
    dark = float(np.mean(overview.max(axis=-1) < 60))
    if dark > 0.5:
        raise SlideError(
            f"{dark:.0%} of the picture is black, as in fluorescence; ishcount counts "
            f"chromogenic stains on a bright field",
            "E_STAIN",
        )


def _grid_od(windows: Sequence[npt.NDArray[np.uint8]], white: npt.ArrayLike, factor: int) -> list[Array]:
    return [to_od(block_mean(window, factor), white) for window in windows]


def _tissue(od: Array) -> Array:
    """Pixels that absorb: mean OD above 0.06, twice the OD of dirty glass."""
    flat = od.reshape(-1, 3)
    return np.asarray(flat[(flat[:, 0] + flat[:, 1] + flat[:, 2]) / 3 > 0.06])


def _length(od: Array) -> Array:
    """Length of each row of (n, 3); several times faster than `numpy.linalg.norm`, same numbers."""
    return np.asarray(np.sqrt(od[:, 0] * od[:, 0] + od[:, 1] * od[:, 1] + od[:, 2] * od[:, 2]))


def measure_haematoxylin(
    grids: Sequence[Array], params: StainParams, grid_um: float, chromogens: Sequence[str] = ()
) -> tuple[Array, int, float]:
    """Colour (unit vector) of what nuclei absorb beyond their surroundings, pixels, uncertainty in degrees.

    What surrounds them within 24 um is taken off: the tint of cytoplasm and collagen would pull the colour.
    Where one of `chromogens` covers much of the nuclei, pixels that lean to it are left out.
    """
    reference = unit(REFERENCE["haematoxylin"])
    share, reach = params.haematoxylin_strongest, params.haematoxylin_cone_deg
    od = beyond_surroundings(grids, reference, reach, round(12 / grid_um), paler=False)
    if len(od) < MIN_PIXELS:
        return reference, 0, float("nan")
    for name in chromogens:
        rival = REFERENCE[name]
        if pure_pixels(od, reference, rival, reach, share).all():
            continue
        if count_spots(grids, reference, name, params, grid_um) > MIXED * share * len(od):
            od = beyond_surroundings(grids, reference, reach, round(12 / grid_um), paler=True)
            od = od[pure_pixels(od, reference, rival, reach, share)]
            break
    strength = _length(od)
    strongest = strength >= np.quantile(strength, 1 - share)
    colours = od[strongest] / strength[strongest, None]
    return unit(np.median(colours, axis=0)), len(colours), _spread_deg(colours)


def _spread_deg(colours: Array) -> float:
    """Standard error of the median direction, pixels in a nucleus counted as one (about 100 of 0.25 um2)."""
    spread = (
        np.degrees(np.linalg.norm(np.median(np.abs(colours - np.median(colours, axis=0)), axis=0))) * 1.4826
    )
    return float(spread * 1.2533 / np.sqrt(max(1.0, len(colours) / 100)))


def _concentrations(od: Array, haematoxylin: Array, chromogen: npt.ArrayLike) -> Array:
    rows = np.stack([haematoxylin, unit(chromogen), unit(np.cross(haematoxylin, unit(chromogen)))])
    return np.asarray(od @ np.linalg.inv(rows))


def compact_spots(
    grids: Sequence[Array], haematoxylin: Array, name: str, grid_um: float
) -> Iterator[tuple[Array, Array]]:
    """Optical density (n, 3) and amounts (n, 3) of the pixels of each grid that are compact spots of `name`.

    Compact: 0.10 OD above the mean of the surrounding 6 um, which leaves out diffuse counterstain.
    """
    side = 2 * max(1, round(3 / grid_um)) + 1
    for od in grids:
        amounts = _concentrations(od, haematoxylin, REFERENCE[name])
        chromogen = np.ascontiguousarray(amounts[..., 1])
        spot = chromogen - cv2.blur(chromogen, (side, side)) > 0.10
        yield od[spot], amounts[spot]


def count_spots(
    grids: Sequence[Array], haematoxylin: Array, name: str, params: StainParams, grid_um: float
) -> int:
    """Pixels of compact spots that are nearer to chromogen `name` than to haematoxylin or melanin."""
    reference = unit(REFERENCE[name])
    rivals = np.stack([haematoxylin, unit(MELANIN)])
    nearest = np.cos(np.radians(params.chromogen_cone_deg))
    count = 0
    for od, _ in compact_spots(grids, haematoxylin, name, grid_um):
        colours = od / np.maximum(np.linalg.norm(od, axis=1, keepdims=True), 1e-9)
        likeness = colours @ reference
        count += int(np.count_nonzero((likeness > nearest) & (likeness > (colours @ rivals.T).max(axis=1))))
    return count


def choose_chromogen(spots: DotColours) -> str:
    """The chromogen of the dot-sized spots on nuclei; SlideError E_STAIN where they do not tell."""
    if spots.chromogen is None:
        raise SlideError(
            f"cannot tell the chromogen from the pixels ({spots}); name it, as in --marker IFNG:fast_red",
            "E_STAIN",
        )
    return spots.chromogen


def learn_stains(
    windows: Sequence[npt.NDArray[np.uint8]],
    white: tuple[float, float, float],
    chromogens: Sequence[str],
    pixel_size: PixelSize,
    params: StainParams = StainParams(),
    *,
    white_source: str = "glass",
) -> StainModel:
    """Freeze the colours of a slide from level-0 `windows` (uint8 (h, w, 3)) of its tissue.

    `chromogens`: one or two names, or "auto" (SlideError E_STAIN when the pixels do not tell). With no window
    the references are used. Two chromogens leave no residual direction.
    """
    factor = max(1, round(0.5 / pixel_size.mean_um))
    grid_um = factor * pixel_size.mean_um
    grids = _grid_od(windows, white, factor)
    likely = AUTO_CHROMOGENS if "auto" in chromogens else [name for name in chromogens if name in REFERENCE]
    measured = {"haematoxylin": measure_haematoxylin(grids, params, grid_um, likely)}
    haematoxylin = unit(params.vectors.get("haematoxylin", measured["haematoxylin"][0]))
    spots = dot_colours(grids, haematoxylin, grid_um)
    names = ["haematoxylin"]
    for chromogen in chromogens:
        name = choose_chromogen(spots) if chromogen == "auto" else chromogen
        names.append(name)
        if name in REFERENCE:
            measured[name] = _measure_chromogen(grids, haematoxylin, name, params, grid_um)
    vectors, sources, counts, spreads = [], [], [], []
    for name in names:
        estimate, n_pixels, spread = measured.get(
            name, (unit(params.vectors.get(name, (1, 1, 1))), 0, float("nan"))
        )
        fixed = name in params.vectors
        vectors.append(unit(params.vectors[name]) if fixed else estimate)
        sources.append("user" if fixed else "measured" if n_pixels else "reference")
        counts.append(n_pixels)
        spreads.append(spread)
    diffuse, residual = _diffuse_od(grids, vectors)
    return StainModel(
        white=white,
        white_source=white_source,
        names=tuple(names),
        vectors=tuple((float(v[0]), float(v[1]), float(v[2])) for v in vectors),
        sources=tuple(sources),
        n_pixels=tuple(counts),
        angle_to_reference_deg=tuple(
            angle_deg(v, REFERENCE.get(n, v)) for n, v in zip(names, vectors, strict=True)
        ),
        uncertainty_deg=tuple(spreads),
        diffuse_od=diffuse,
        mismatch=_mismatch(names, diffuse, residual, counts, spots, params),
        ill_conditioned=_ill_conditioned(names, vectors, params),
    )


def _measure_chromogen(
    grids: Sequence[Array], haematoxylin: Array, name: str, params: StainParams, grid_um: float
) -> tuple[Array, int, float]:
    """The chromogen's colour from its tilt out of the plane of haematoxylin and reference.

    Spots lie over nuclei, so their colour is a mixture with haematoxylin; how far they leave that plane per
    unit
    of chromogen is the same whatever the mixture. The tilt is halved (`chromogen_shrinkage`).
    """
    reference = unit(REFERENCE[name])
    spots = [amounts for _, amounts in compact_spots(grids, haematoxylin, name, grid_um)]
    amounts = np.concatenate(spots) if spots else np.empty((0, 3))
    amounts = amounts[amounts[:, 1] > 0.15]  # half of a usual single dot
    tilt = amounts[:, 2] / np.maximum(amounts[:, 1], 1e-9)
    tilt = tilt[np.abs(tilt) < np.tan(np.radians(params.chromogen_cone_deg))]
    if len(tilt) < params.chromogen_min_pixels:
        return reference, 0, float("nan")
    middle = float(np.median(tilt)) * (1 - params.chromogen_shrinkage)
    spread = 1.4826 * float(np.median(np.abs(tilt - np.median(tilt))))
    normal = unit(np.cross(haematoxylin, reference))
    error_deg = float(np.degrees(1.2533 * spread / np.sqrt(max(1.0, len(tilt) / PIXELS_PER_DOT))))
    return unit(reference + middle * normal), len(tilt), error_deg


def _diffuse_od(grids: Sequence[Array], vectors: Sequence[Array]) -> tuple[tuple[float, ...], float]:
    """Median OD of each stain over all tissue, and the 90th percentile of what no stain explains.

    Every second pixel each way is looked at: a quarter of three million.
    """
    rows = np.linalg.inv(np.stack([*vectors, unit(np.cross(vectors[0], vectors[1]))][:3]))
    parts = [np.ascontiguousarray((_tissue(od[::2, ::2]) @ rows).T) for od in grids]
    amounts = [np.concatenate([part[place] for part in parts] or [np.empty(0)]) for place in range(3)]
    if len(amounts[0]) == 0:
        return tuple(0.0 for _ in vectors), 0.0
    residual = float(np.quantile(np.abs(amounts[2]), 0.9)) if len(vectors) == 2 else 0.0
    medians = tuple(float(np.median(amounts[place])) for place in range(len(vectors)))
    return medians, residual


def _mismatch(
    names: Sequence[str],
    diffuse: Sequence[float],
    residual: float,
    counts: Sequence[int],
    spots: DotColours,
    params: StainParams,
) -> str:
    """Why the colours do not look like haematoxylin and the named chromogens; "" where they do."""
    for name, od in zip(names[1:], diffuse[1:], strict=True):
        if od > params.max_diffuse_od:
            return (
                f"half of the tissue carries more than {od:.2f} OD in the colour of {name}: "
                "this looks like H&E or a diffuse stain, not like in situ hybridisation"
            )
    if residual > params.max_residual_od:
        return (
            f"a tenth of the tissue is more than {residual:.2f} OD off the colours of {' and '.join(names)}: "
            "another dye is on this slide"
        )
    seen = REFERENCE.get(spots.chromogen or "")
    if seen and all(angle_deg(seen, REFERENCE.get(name, seen)) > ALIKE_DEG for name in names[1:]):
        return f"dots look like {spots.chromogen}, not like {' and '.join(names[1:])}: {spots}"
    if counts[0] == 0 and any(diffuse):
        return "no haematoxylin was found; nuclei cannot be trusted"
    return ""


def _ill_conditioned(names: Sequence[str], vectors: Sequence[Array], params: StainParams) -> str:
    pairs: Mapping[str, float] = {
        f"{names[i]} and {names[j]}": angle_deg(vectors[i], vectors[j])
        for i in range(len(names))
        for j in range(i + 1, len(names))
    }
    near = [f"{pair} ({angle:.0f} degrees)" for pair, angle in pairs.items() if angle < params.min_angle_deg]
    return ", ".join(near)
