"""Which pages of a TIFF are the slide, and which are smaller copies of it.

Level 0 is the largest image of the file. Labels, macros and thumbnails are told by their directory alone and
never opened. A page is a level only when its size is level 0's divided by one factor, to within one pixel of
rounding; everything else is left out with a warning. Stacks (z, time) are refused: which plane to count is
not ours to guess.
"""

from __future__ import annotations

import numpy as np

from ishcount.core.errors import SlideError
from ishcount.slide.protocol import Level
from ishcount.slide.tiff_pages import Directories, Page
from ishcount.slide.tiff_pixels import check_pixels

REDUCED = 1  # NewSubfileType bit: a smaller copy of another page
MACRO = 9  # NewSubfileType of Aperio's macro
TRUNCATED_SHARE = (
    0.25  # of level 0 beyond the end: a cut file, not one bad offset (which is one tile, E_TILE)
)


def choose_levels(
    found: Directories, path: str, file_size: int
) -> tuple[list[tuple[Page, Level]], list[str]]:
    """Pages of the pyramid with their levels, level 0 first, and warnings about pages left out.

    SlideError E_PIXELTYPE for stacks and for pixels without a rule, E_FORMAT when level 0 lists too few
    tiles, E_TRUNCATED when the file ends before its pixels do.
    """
    warnings = list(found.warnings)
    images = [page for page in found.pages if not _is_associated(page, found.kind)]
    if not images:
        raise SlideError(f"{path!r} holds only a label or macro image; give the slide itself", "E_FORMAT")
    base = _level_0(images, path)
    below = found.subpages.get(base.name, ())
    # With levels below the page, further pages of the chain are other images of the same glass.
    others = [page for page in images if page is not base] if not below else []
    levels = [(base, Level(base.width, base.height, 1.0))]
    for page in sorted([*below, *others], key=lambda page: -page.width * page.height):
        level, reason = _as_level(page, base, path, file_size)
        if level is not None and levels[-1][1].downsample == level.downsample:
            level, reason = None, "repeats a level"
        if level is not None:
            levels.append((page, level))
        else:
            warnings.append(f"image {page.name} ({page.width} x {page.height}) {reason}; it is not used")
    for page, _ in levels:
        _check_complete(page, path, file_size)
    if base.orientation != 1:
        warnings.append(
            f"the orientation tag ({base.orientation}) is ignored: coordinates are those of the stored image"
        )
    return levels, warnings


def _is_associated(page: Page, kind: str) -> bool:
    """Whether the directory says label, macro or thumbnail (Aperio stores its slide in tiles, the others in
    strips).
    """
    if page.subfile_type == MACRO:
        return True
    if kind != "aperio":
        return False
    words = page.description.splitlines()[1:2]
    return not page.is_tiled or any(word.lstrip().lower().startswith(("label", "macro")) for word in words)


def _level_0(images: list[Page], path: str) -> Page:
    largest = max(page.width * page.height for page in images)
    candidates = [page for page in images if page.width * page.height == largest]
    full = [page for page in candidates if not page.subfile_type & REDUCED] or candidates
    colour = [page for page in full if page.samples >= 3 or page.photometric == 3]
    base = (colour or full)[0]
    same = [
        page
        for page in full
        if (page.width, page.height, page.is_tiled) == (base.width, base.height, base.is_tiled)
    ]
    if len(same) > 1:
        raise SlideError(
            f"{path!r} holds {len(same)} images of {base.width} x {base.height} pixels (a z-stack, time "
            "series or separate channels); export one focus plane as RGB",
            "E_PIXELTYPE",
        )
    check_pixels(base, path)
    if len(base.offsets) < base.n_tiles:
        raise SlideError(
            f"{path!r} lists {len(base.offsets)} of {base.n_tiles} tiles; copy or export the slide again",
            "E_FORMAT",
        )
    return base


def _as_level(page: Page, base: Page, path: str, file_size: int) -> tuple[Level | None, str]:
    """The page as a level of `base`, or None and what is wrong with it."""
    try:
        check_pixels(page, path)
    except SlideError:
        return None, "has pixels of another kind"
    if page.is_tiled != base.is_tiled:
        return None, "is stored another way than the slide, like a thumbnail"
    downsample = shrink_factor((base.width, base.height), (page.width, page.height))
    if downsample is None:
        return None, "is not a smaller copy of the slide"
    if len(page.offsets) < page.n_tiles:
        return None, "lists too few tiles"
    if not np.any(page.counts):
        return None, "has no data"
    return Level(page.width, page.height, downsample), ""


def shrink_factor(full: tuple[int, int], small: tuple[int, int]) -> float | None:
    """How many level-0 pixels one pixel of the smaller image stands for, or None when no one factor fits both
    sides.

    A side of n pixels comes from any factor between full/(n+1) and full/(n-1) (cut, rounded or padded). Where
    the whole number nearest the longer side's ratio lies in that span it is taken: scanners shrink by whole
    factors.
    """
    low = max(side / (n + 1) for side, n in zip(full, small, strict=True))
    high = min(side / (n - 1) if n > 1 else np.inf for side, n in zip(full, small, strict=True))
    longer = int(full[1] > full[0])  # its ratio is the surer one
    ratio = full[longer] / small[longer]
    if not low < high or ratio <= 1:
        return None
    whole = float(round(ratio))
    if whole > 1 and low < whole < high:
        return whole
    return ratio if low < ratio < high else (low + high) / 2


def _check_complete(page: Page, path: str, file_size: int) -> None:
    beyond = page.beyond(file_size)
    if np.any(page.cut_off(file_size)) or np.mean(beyond) > TRUNCATED_SHARE:
        end = int(np.max((page.offsets + page.counts)[beyond]))
        raise SlideError(
            f"{path!r} ends at byte {file_size} but its pixels run to byte {end} "
            f"({np.count_nonzero(beyond)} of {len(beyond)} tiles of image {page.name} cut off); "
            "copy the file again",
            "E_TRUNCATED",
        )
