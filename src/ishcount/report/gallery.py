"""Pictures inside the report: a thumbnail per slide and a crop of every cell called positive."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ishcount.core.errors import IshcountError
from ishcount.core.geometry import Region
from ishcount.result import SlideResult

# Side of a crop: a nucleus of skin is 6-12 um, so 32 um shows the cell and its neighbours.
CROP_UM = 32.0
CROP_PX = 96
THUMBNAIL_PX = 720
# A crop is some 4 kB; beyond this the report would be too heavy to mail, and it says how many were left out.
MOST_CROPS = 2_000

CropReader = Callable[[float, float], NDArray[np.uint8]]
"""x_um, y_um of a centre -> RGB (CROP_PX, CROP_PX, 3)."""


@dataclass(frozen=True, slots=True)
class Crop:
    """One positive cell. `jpeg` is its picture."""

    cell_id: int
    x_um: float
    y_um: float
    copies: int
    score: float
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class SlideGallery:
    """The positive cells of one slide and marker, lowest score first: the doubtful ones are seen first."""

    slide_id: str
    marker: str
    n_positive: int
    crops: tuple[Crop, ...]
    reason: str = ""


def galleries(
    slides: Mapping[str, SlideResult], slide_paths: Mapping[str, Path], *, most: int = MOST_CROPS
) -> Iterator[SlideGallery]:
    """Galleries of all slides by id, at most `most` crops together, shared evenly between slides and markers.

    A slide that cannot be opened any more has a gallery without crops and the reason.
    """
    wanted = [(slide, marker) for _, slide in sorted(slides.items()) for marker in slide.markers]
    share = fair_share([int(slide.markers[marker]["n_positive"]) for slide, marker in wanted], most)
    for slide, marker in wanted:
        yield _gallery(slide, marker, slide_paths.get(slide.slide_id), share)


def fair_share(wanted: Sequence[int], most: int) -> int:
    """The largest number each may take so that all take at most `most`; what one leaves others get."""
    share, left = 0, sorted(wanted)
    for place, number in enumerate(left):
        each = (most - sum(left[:place])) // (len(left) - place)
        if each < number:
            return each
        share = number
    return share


def _gallery(slide: SlideResult, marker: str, path: Path | None, share: int) -> SlideGallery:
    cells = slide.cells
    positive = cells[cells[f"{marker}_positive"].astype(bool)].sort_values([f"{marker}_score", "cell_id"])
    if path is None or not path.exists():
        return SlideGallery(
            slide.slide_id, marker, len(positive), (), "the slide file is not where it was counted"
        )
    if positive.empty:
        return SlideGallery(slide.slide_id, marker, 0, ())
    try:
        with slide_reader(path, slide) as reader:
            crops = tuple(_crop(reader.crop, row, marker) for _, row in positive.head(share).iterrows())
    except IshcountError as error:
        return SlideGallery(slide.slide_id, marker, len(positive), (), str(error))
    return SlideGallery(slide.slide_id, marker, len(positive), crops)


class slide_reader:
    """A slide opened for crops; a context manager with `crop(x_um, y_um)`."""

    def __init__(self, path: Path, result: SlideResult) -> None:
        from ishcount.slide.open import open_slide

        self._slide = open_slide(path)
        self._x_um, self._y_um = float(result.summary["mpp_x_um"]), float(result.summary["mpp_y_um"])

    def __enter__(self) -> slide_reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._slide.close()

    def crop(self, x_um: float, y_um: float) -> NDArray[np.uint8]:
        """The surroundings of a place, white where the slide ends."""
        import cv2

        width, height = round(CROP_UM / self._x_um), round(CROP_UM / self._y_um)
        wanted = Region(
            round(x_um / self._x_um - width / 2), round(y_um / self._y_um - height / 2), width, height
        )
        picture = np.full((height, width, 3), 255, np.uint8)
        there = wanted.intersect(Region(0, 0, self._slide.levels[0].width, self._slide.levels[0].height))
        if there is not None:
            pixels, _ = self._slide.read_masked(there)
            top, left = there.y - wanted.y, there.x - wanted.x
            picture[top : top + there.height, left : left + there.width] = pixels
        return np.asarray(cv2.resize(picture, (CROP_PX, CROP_PX), interpolation=cv2.INTER_CUBIC), np.uint8)


def _crop(read: CropReader, row: pd.Series, marker: str) -> Crop:
    return Crop(
        cell_id=int(row["cell_id"]),
        x_um=float(row["x_um"]),
        y_um=float(row["y_um"]),
        copies=int(row[f"{marker}_copies"]),
        score=float(row[f"{marker}_score"]),
        jpeg=as_jpeg(read(float(row["x_um"]), float(row["y_um"]))),
    )


def thumbnail(picture: Path) -> bytes | None:
    """A small JPEG of `qc.png`; None where the slide has no picture."""
    from PIL import Image

    if not picture.is_file():
        return None
    with Image.open(picture) as image:
        small = image.convert("RGB")
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        return as_jpeg(np.asarray(small))


def as_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """JPEG bytes, quality 82 with full colour resolution: dots are small and coloured."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=82, subsampling=0)
    return buffer.getvalue()


def paths_of(run: Mapping[str, object]) -> dict[str, Path]:
    """slide_id -> path of the slide when it was counted, as `run.json` has it."""
    slides = run.get("slides")
    known: Sequence[Mapping[str, str]] = slides if isinstance(slides, list) else []
    return {entry["slide_id"]: Path(entry["path"]) for entry in known if entry.get("path")}
