"""The viable epidermis: the band rich in nuclei along the surface of a section."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ishcount.steps.compartments.features import likelihood, otsu, smoothed, texture_features

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]

SEED_REACH_UM = 150.0  # the band lies at most this far below the surface: stratum corneum, but for acral skin
SEED_THICK_UM = 60.0  # of it, only the outer part teaches: an infiltrate may lie against the inner
DEEP_UM = 150.0  # what lies so far below the band and its ridges teaches what dermis looks like
MAX_EPIDERMIS_UM = 500.0  # acanthosis; 100 um is normal (83-116, field notes)
ROUNDS = 3
# An 'other' whose log-likelihood is this near to that of a typical seed is a follicle or a gland, not
# infiltrate; 6 and 10 did as well on phantoms, 16 worse.
ALIKE = 8.0
UNLIKE = 9.0  # chi-square of 7 features at 99 %, halved: what is farther is neither (horn, an infiltrate)
WIDENED = 2.5  # trimming twice leaves about this share of the true variance out
MIN_BAND_MM2 = 0.004  # 100 um of surface by 40 um
MIN_CONTACT_UM = 200.0
MIN_SHARE_OF_CONTACT = 0.3  # of the longest piece: infiltrates at a cut margin are shorter
MIN_CONTRAST = (
    1.5  # tint of the band over that of the rest: phantoms 1.7-2.5, tissues that are no skin 1.3-1.4
)
MAX_SHARE = 0.4  # of the section; more is a sheet of epithelium or a tumour, not a band


def find_epidermis(od: Array, tissue: Mask, outline: Mask, cell_um: float) -> Mask:
    """Viable epidermis of one section, bool (h, w); empty where there is none.

    od: (h, w, 3). A band rich in haematoxylin that runs along the outline gives seeds; the rest of the tissue
    gives two kinds of others (pale stroma, dense infiltrate). Each cell near the surface goes to the nearest
    in colour and texture, so that nothing about the stain is assumed but its place.
    """
    empty = np.zeros(tissue.shape, np.bool_)
    inward = ndimage.distance_transform_edt(np.pad(outline, 1))[1:-1, 1:-1] * cell_um
    rich, tint = _rich(od, tissue, cell_um)
    band = _bands(rich, inward, outline, cell_um)
    if not band.any() or tint[band].mean() < MIN_CONTRAST * tint[tissue & ~band].mean():
        return empty
    red = smoothed(od[..., 0], tissue, 14 / cell_um)
    crowded = tissue & (red > otsu(red[tissue]))
    seeds, others = _seeds(band, crowded, tissue, inward, cell_um)
    if seeds.sum() < 50 or not others:
        return empty
    found = _tidied(_classified(od, tissue, seeds, others, inward, cell_um), seeds, tissue, cell_um)
    return found if _plausible(found, tint, tissue, cell_um) else empty


def _plausible(found: Mask, tint: Array, tissue: Mask, cell_um: float) -> bool:
    """Whether what was found is a band unlike the rest of the section."""
    if not found.any() or found.sum() > MAX_SHARE * tissue.sum():
        return False
    thickest = 2 * float(ndimage.distance_transform_edt(np.pad(found, 1)).max()) * cell_um
    contrast = np.median(tint[found]) / max(float(np.median(tint[tissue & ~found])), 1e-6)
    return bool(thickest <= MAX_EPIDERMIS_UM and contrast >= MIN_CONTRAST)


def _rich(od: Array, tissue: Mask, cell_um: float) -> tuple[Mask, Array]:
    """Cells with nuclei in a tinted matrix, as packed keratinocytes are, and the tint of red between nuclei.

    Horn has tint without nuclei, infiltrated stroma nuclei without tint.
    """
    features = texture_features(od, tissue, cell_um)
    tint, spread = smoothed(features[..., 0], tissue, 10 / cell_um), features[..., -1]
    nucleated = spread > 0.5 * np.median(spread[tissue])
    rich = tissue & nucleated & (tint > otsu(tint[tissue]))
    return ndimage.binary_opening(rich, iterations=max(1, round(8 / cell_um))), tint


def _bands(rich: Mask, inward: Array, outline: Mask, cell_um: float) -> Mask:
    """Pieces of `rich` that follow the outline for long enough."""
    labels, n = ndimage.label(rich & (inward <= SEED_REACH_UM + SEED_THICK_UM))
    if n == 0:
        return rich
    edge = outline & (inward <= 1.5 * cell_um) & _inside_picture(outline.shape)
    distance, nearest = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    owner = np.where(distance * cell_um <= SEED_REACH_UM, labels[tuple(nearest)], 0)
    contact = np.bincount(owner[edge], minlength=n + 1) * cell_um
    area = np.bincount(labels.ravel(), minlength=n + 1) * cell_um**2 * 1e-6
    contact[0] = 0
    long_enough = max(MIN_CONTACT_UM, MIN_SHARE_OF_CONTACT * contact.max())
    kept = (contact >= long_enough) & (area >= MIN_BAND_MM2)
    return np.asarray(kept[labels])


def _inside_picture(shape: tuple[int, ...]) -> Mask:
    inside = np.zeros(shape, np.bool_)
    inside[2:-2, 2:-2] = True
    return inside


def _seeds(band: Mask, crowded: Mask, tissue: Mask, inward: Array, cell_um: float) -> tuple[Mask, list[Mask]]:
    """Seeds of the epidermis, and of the other kinds of tissue that have enough cells."""
    # How deep each place is below the outer face of the band, which lies under the stratum corneum.
    face = _outer_face(band, inward)
    below = ndimage.distance_transform_edt(~face) * cell_um
    seeds = band & (below <= SEED_THICK_UM) & (below > 1.5 * cell_um)
    far = ndimage.distance_transform_edt(~band) * cell_um
    deep = tissue & (far > DEEP_UM) & (inward > 60)
    if deep.sum() < 0.1 * tissue.sum():  # a thin or torn specimen has no depth
        deep = tissue & (far > 40)
    pale, dense = deep & ~crowded, deep & crowded
    return seeds, [mask for mask in (pale, dense) if mask.sum() >= 100]


def _outer_face(band: Mask, inward: Array) -> Mask:
    """Cells of the band's rim that are nearer to the outline than the band behind them."""
    rim = band & ~ndimage.binary_erosion(band)
    shallow = ndimage.minimum_filter(np.where(band, inward, np.inf), size=9)
    return np.asarray(rim & (inward <= shallow + 1.5 * 4))


def _classified(
    od: Array, tissue: Mask, seeds: Mask, others: list[Mask], inward: Array, cell_um: float
) -> Mask:
    """Cells near the surface that look like the seeds; what was learned is refined on what it found."""
    near = tissue & (inward <= MAX_EPIDERMIS_UM)
    used = near | seeds
    for mask in others:
        used |= mask
    features = texture_features(od, tissue, cell_um)[used]
    seeds, others = _cleaned(features, used, seeds, others)
    if not others:
        return np.zeros_like(tissue)
    sets = [seeds, *others]
    found = near
    for _ in range(ROUNDS):
        widths = [WIDENED] + [1.0] * len(others)
        scores = np.stack(
            [likelihood(features, m[used], widened=w) for m, w in zip(sets, widths, strict=True)]
        )
        evidence = np.zeros(tissue.shape, np.float32)
        typical = float(np.median(scores[0][seeds[used]]))
        rival = np.maximum(scores[1:].max(axis=0), typical - UNLIKE)
        evidence[used] = np.clip(scores[0] - rival, -4, 4)
        found = near & (smoothed(evidence, tissue, 4 / cell_um) > 0)
        kind = np.zeros(tissue.shape, np.int8)
        kind[used] = np.argmax(scores, axis=0)
        sets = [seeds] + [
            mask | (near & ~found & (kind == number)) for number, mask in enumerate(others, start=1)
        ]
    return found


def _cleaned(features: Array, used: Mask, seeds: Mask, others: list[Mask]) -> tuple[Mask, list[Mask]]:
    """Seeds without the fifth least like the rest, and others without what looks like seeds (follicles)."""
    likeness = np.full(used.shape, -np.inf, np.float32)
    for quantile in (0.2, 0.1):
        likeness[used] = likelihood(features, seeds[used])
        limit = float(np.quantile(likeness[seeds], quantile))
        seeds = seeds & (likeness >= limit)
    alike = float(np.median(likeness[seeds])) - ALIKE
    unlike = [mask & (likeness < alike) for mask in others]
    return seeds, [mask for mask in unlike if mask.sum() >= 100]


def _large(mask: Mask) -> Mask:
    """Pieces of at least a fifth of the largest: epidermis is a band, not islands."""
    labels, n = ndimage.label(mask)
    size = np.bincount(labels.ravel(), minlength=n + 1)
    size[0] = 0
    return np.asarray((size >= max(1, 0.2 * size.max()))[labels])


def _reached(found: Mask, seeds: Mask) -> Mask:
    """Pieces of `found` that hold seeds."""
    labels, n = ndimage.label(found)
    hits = np.bincount(labels[seeds], minlength=n + 1) >= 25
    hits[0] = False
    return np.asarray(hits[labels])


def _tidied(found: Mask, seeds: Mask, tissue: Mask, cell_um: float) -> Mask:
    """Pieces that hold seeds, with small gaps closed and thin bridges cut."""
    steps = max(1, round(6 / cell_um))
    found = ndimage.binary_opening(found, iterations=steps)
    found = np.pad(found, 4 * steps, mode="edge")
    found = ndimage.binary_closing(found, iterations=2 * steps)[
        4 * steps : -4 * steps, 4 * steps : -4 * steps
    ]
    kept = _large(_reached(found, seeds))
    gaps, n_gaps = ndimage.label(~kept)
    small = np.bincount(gaps.ravel(), minlength=n_gaps + 1) * cell_um**2 < 3000  # a papilla cut across
    small[0] = False
    return np.asarray((kept | small[gaps]) & tissue)
