"""A phantom as a slide file (tiled JPEG TIFF, pyramid, pixel size) and its truth, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.core.files import replacing, write_folder
from ishcount.truth.simulate.render import TILE_PX, encode_strip, prepare, render_strips
from ishcount.truth.simulate.spec import SUBSAMPLINGS, PhantomSpec
from ishcount.truth.simulate.truth import save_labels, save_truth, truth_of

REDUCTION = 4  # from one level of the pyramid to the next
SMALLEST_LEVEL_PX = 256


def write_phantom(spec: PhantomSpec, folder: Path | str, slide_id: str, *, labels: bool = True) -> Path:
    """Write `<slide_id>.tif` and the folder `<slide_id>.truth`; returns the slide's path.

    The slide is a tiled JPEG TIFF, each level a quarter of the one before, with its pixel size as
    resolution. `labels=False` leaves out the nuclei's label image. Beside labels (about 1 MB per megapixel)
    and the smaller levels, memory grows with the slide's width, not with its area.
    """
    import tifffile

    folder = Path(folder)
    canvas = prepare(spec)
    width, height = spec.shape_px
    label_strips: list[npt.NDArray[np.uint32]] = []
    smaller: list[npt.NDArray[np.uint8]] = []

    def tiles() -> Iterator[bytes]:
        for rgb, label_strip in render_strips(canvas):
            smaller.append(_reduced(rgb))
            if labels:
                label_strips.append(label_strip)
            yield from encode_strip(rgb, spec)

    path = folder / f"{slide_id}.tif"
    with (
        replacing(path) as temporary,
        tifffile.TiffWriter(temporary, bigtiff=width * height > 500_000_000) as file,
    ):
        file.write(tiles(), shape=(height, width, 3), dtype=np.uint8, **_page(spec, 1, reduced=False))
        level, factor = np.concatenate(smaller, 0), REDUCTION
        while min(level.shape[:2]) >= SMALLEST_LEVEL_PX or factor == REDUCTION:
            file.write(
                encode_strip(level, spec),
                shape=level.shape,
                dtype=np.uint8,
                **_page(spec, factor, reduced=True),
            )
            level, factor = _reduced(level), factor * REDUCTION

    def fill(temporary: Path) -> None:
        save_truth(truth_of(canvas.scene, None), temporary)
        if labels:
            save_labels(np.concatenate(label_strips, 0), temporary)

    write_folder(folder / f"{slide_id}.truth", fill)
    return path


def _page(spec: PhantomSpec, factor: int, *, reduced: bool) -> dict[str, Any]:
    """What a page of the file declares. RGB in, YCbCr stored: tifffile has the tag from `outcolorspace`."""
    per_cm = 1e4 / (spec.mpp_um * factor)
    return {
        "tile": (TILE_PX, TILE_PX), "photometric": "rgb", "compression": "jpeg",
        "compressionargs": {"outcolorspace": "ycbcr"}, "subsampling": SUBSAMPLINGS[spec.subsampling],
        "resolution": (per_cm, per_cm), "resolutionunit": "CENTIMETER", "metadata": None, "software": False,
        "subfiletype": int(reduced), "description": "ishcount phantom: synthetic, no patient's tissue",
    }  # fmt: skip


def _reduced(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A quarter of the size by block means; rows and columns that fill no block are left out."""
    rows, columns = max(rgb.shape[0] // REDUCTION, 1), max(rgb.shape[1] // REDUCTION, 1)
    whole = rgb[: rows * REDUCTION, : columns * REDUCTION]
    return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA))
