"""One bit and one sentence per doubt.

Tables and JSON carry names joined by `;`, `cells.parquet` the bits.
"""

from __future__ import annotations

from enum import IntFlag


class Flag(IntFlag):
    """Doubts about a slide (low bits) or a cell (high bits)."""

    NO_TISSUE = 1 << 0
    NO_GLASS = 1 << 1
    STAIN_MISMATCH = 1 << 2
    STAIN_ILL_CONDITIONED = 1 << 3
    STAIN_PRIOR_ONLY = 1 << 4
    COARSE_PIXELS = 1 << 5
    CHROMA_SUBSAMPLED = 1 << 6
    DAMAGED_TILES = 1 << 7
    OVERVIEW_FROM_LEVEL_0 = 1 << 8
    REGION_ONLY = 1 << 9
    FALSE_COUNT_NOT_SMALL = 1 << 10
    BLURRED = 1 << 11
    SATURATED = 1 << 12
    NO_EPIDERMIS = 1 << 13
    EPIDERMIS_DETACHED = 1 << 14
    CONTROL_MISSING = 1 << 15
    CONTROL_FAILED = 1 << 16
    PIXEL_SIZE_DOUBTFUL = 1 << 17
    MANY_ARTEFACTS = 1 << 18
    AREA_DOUBTFUL = 1 << 20
    DENSE_STAIN = 1 << 21
    PIGMENT_OR_DOTS = 1 << 22
    NUCLEUS_FAINT = 1 << 25
    NUCLEUS_LARGE = 1 << 26
    CLUSTERED_DOTS = 1 << 27


MEANING: dict[Flag, str] = {
    Flag.NO_TISSUE: "no tissue was found, so there is no density",
    Flag.NO_GLASS: "no empty glass was found; the white point is the 99.9th percentile of the image",
    Flag.STAIN_MISMATCH: "the colours do not look like the chromogen that was asked for",
    Flag.STAIN_ILL_CONDITIONED: "two stains are too alike in colour to be told apart safely",
    Flag.STAIN_PRIOR_ONLY: "too little chromogen to measure its colour; the reference colour was used",
    Flag.COARSE_PIXELS: "pixels are larger than 0.35 um: single dots cannot be resolved reliably",
    Flag.CHROMA_SUBSAMPLED: "the file stores colour at half resolution (4:2:0) and pixels are coarse",
    Flag.DAMAGED_TILES: "some tiles could not be read; their area is left out",
    Flag.OVERVIEW_FROM_LEVEL_0: "no pyramid level agrees with level 0; the overview was made from level 0",
    Flag.REGION_ONLY: "only a part of the slide was counted",
    Flag.FALSE_COUNT_NOT_SMALL: "the expected number of false cells is not small beside the number found",
    Flag.BLURRED: "much of the tissue is out of focus",
    Flag.SATURATED: "dots are saturated; copies in clusters are lower bounds",
    Flag.NO_EPIDERMIS: "no epidermis was found",
    Flag.EPIDERMIS_DETACHED: "the epidermis is detached or re-growing; its length is unreliable",
    Flag.CONTROL_MISSING: "no negative control is linked to this slide",
    Flag.CONTROL_FAILED: "a control linked to this slide did not pass",
    Flag.PIXEL_SIZE_DOUBTFUL: "sources of the pixel size or magnification disagree",
    Flag.MANY_ARTEFACTS: "more than a tenth of the outline is artefact",
    Flag.AREA_DOUBTFUL: "nuclei lie in what looks like glass: tissue there is too pale to be measured",
    Flag.DENSE_STAIN: "much of the nuclei is covered by stain so dense that no dot stands out; "
    "it was not counted",
    Flag.PIGMENT_OR_DOTS: "more cells hold spots that may be pigment or dark chromogen, not told apart, "
    "than were called positive: look at them",
    Flag.NUCLEUS_FAINT: "the nucleus is barely darker than its surroundings",
    Flag.NUCLEUS_LARGE: "the outline may hold more than one nucleus",
    Flag.CLUSTERED_DOTS: "dots merge; copies are estimated",
}


def names(flags: int) -> str:
    """`NO_GLASS;BLURRED` for the set bits, in the order of the bits; empty for none."""
    return ";".join(flag.name for flag in MEANING if flags & flag and flag.name)


def parse(text: str) -> Flag:
    """The bits of `text` as written by `names`."""
    result = Flag(0)
    for name in filter(None, text.split(";")):
        result |= Flag[name]
    return result
