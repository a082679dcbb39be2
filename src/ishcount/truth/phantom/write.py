"""Phantoms as files: a tiled JPEG pyramid that any viewer opens, and a folder with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount.core.files import folder_name, replacing, write_csv, write_folder, write_json, write_parquet
from ishcount.truth.phantom.answers import Truth
from ishcount.truth.phantom.scene import draw_phantom
from ishcount.truth.phantom.spec import SUBSAMPLING, PhantomSpec

TILE_PX = 256
SMALLEST_LEVEL_PX = 256


def write_phantom(spec: PhantomSpec, folder: Path | str, slide_id: str) -> Path:
    """Draw a phantom and write `<slide_id>.tif` and `<slide_id>.truth/` into `folder`; the slide's path.

    The slide is a tiled (256) JPEG TIFF with levels of half the size each in SubIFDs and the pixel size as
    resolution per centimetre. The truth folder holds nuclei, dots and specks (what is neither) as Parquet,
    nuclei_labels.tif, tissue.tif, compartments.tif and truth.json. Equal specs give equal bytes.
    """
    folder, name = Path(folder), folder_name(slide_id)
    phantom = draw_phantom(spec)
    path = folder / f"{name}.tif"
    write_slide(path, phantom.rgb, spec)
    write_folder(folder / f"{name}.truth", lambda inside: write_truth(phantom.truth, inside))
    return path


def write_slide(path: Path, rgb: npt.NDArray[np.uint8], spec: PhantomSpec) -> None:
    """Write pixels (uint8 (h, w, 3)) as a tiled JPEG pyramid with the spec's pixel size and JPEG settings."""
    import tifffile

    levels: list[Any] = [rgb]
    while max(levels[-1].shape[:2]) // 2 >= SMALLEST_LEVEL_PX:
        height, width = (size // 2 for size in levels[-1].shape[:2])
        levels.append(cv2.resize(levels[-1], (width, height), interpolation=cv2.INTER_AREA))
    # 'rgb' in, YCbCr stored: with photometric 'ycbcr' tifffile would store RGB values as they are
    shared: dict[str, Any] = {
        "tile": (TILE_PX, TILE_PX),
        "photometric": "rgb",
        "compression": "jpeg",
        "compressionargs": {
            "level": spec.jpeg_quality, "outcolorspace": "ycbcr", "subsampling": SUBSAMPLING[spec.subsampling],
        },
        "metadata": None,
        "software": False,
    }  # fmt: skip
    with replacing(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=rgb.nbytes > 2**31) as tiff:
        for number, level in enumerate(levels):
            um = spec.mpp_um * rgb.shape[1] / level.shape[1]
            tiff.write(
                level,
                resolution=(1e4 / um, 1e4 / um),
                resolutionunit="CENTIMETER",
                description=f"ishcount phantom, synthetic; MPP = {spec.mpp_um:g}" if number == 0 else None,
                subifds=len(levels) - 1 if number == 0 else 0,
                subfiletype=0 if number == 0 else 1,
                **shared,
            )


def write_truth(truth: Truth, folder: Path) -> None:
    """Write the truth of one phantom into an existing folder."""
    write_parquet(folder / "nuclei.parquet", truth.nuclei)
    write_parquet(folder / "dots.parquet", truth.dots)
    write_parquet(folder / "specks.parquet", truth.specks)
    rasters: dict[str, npt.NDArray[Any]] = {
        "nuclei_labels": truth.labels, "tissue": truth.tissue, "compartments": truth.compartments,
    }  # fmt: skip
    for name, raster in rasters.items():
        _write_raster(folder / f"{name}.tif", raster)
    write_json(folder / "truth.json", truth.facts)


def _write_raster(path: Path, raster: npt.NDArray[Any]) -> None:
    import tifffile

    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary, raster, compression="zstd", predictor=2, tile=(512, 512), photometric="minisblack",
            metadata=None, software=False,
        )  # fmt: skip


def simulate(
    folder: Path | str, specs: Sequence[tuple[str, PhantomSpec]], *, workers: int = 1
) -> list[Path]:
    """Write many phantoms with their truth and a sample sheet for them; the slides' paths, in order."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if workers <= 1:
        paths = [write_phantom(spec, folder, slide_id) for slide_id, spec in specs]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            jobs = [pool.submit(write_phantom, spec, folder, slide_id) for slide_id, spec in specs]
            paths = [job.result() for job in jobs]
    write_sheet(folder / "sheet.csv", specs)
    return paths


def write_sheet(
    path: Path, specs: Sequence[tuple[str, PhantomSpec]], *, more: Sequence[dict[str, str]] | None = None
) -> None:
    """Write a sample sheet: a row per slide and marker; `more` adds or overrides columns, slide by slide.

    Without it each slide is its own patient, inflamed slides are the group EM and the others normal.
    """
    rows = []
    for number, (slide_id, spec) in enumerate(specs):
        for marker, chromogen in zip(spec.markers, spec.chromogens, strict=True):
            row = {
                "slide": f"{folder_name(slide_id)}.tif",
                "slide_id": slide_id,
                "patient": slide_id,
                "group": "EM" if spec.state == "inflamed" else "normal",
                "marker": marker,
                "chromogen": chromogen,
                "role": "target",
            }
            rows.append(row | (more[number] if more else {}))
    write_csv(path, pd.DataFrame(rows).fillna(""))
