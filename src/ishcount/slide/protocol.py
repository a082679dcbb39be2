"""What every opened slide can do, whichever reader stands behind it."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ishcount.core.geometry import Region
from ishcount.core.units import PixelSize

Rgb = NDArray[np.uint8]  # (height, width, 3)
Mask = NDArray[np.bool_]  # (height, width)

MISSING_RGB = 255  # what `read_masked` puts where pixels are damaged or absent: glass, never black


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of the pyramid.

    `downsample` is level-0 pixels per pixel of this level. It is an integer where the level's size allows
    one, since scanners shrink by whole factors and cut the remainder off.
    """

    width: int
    height: int
    downsample: float


@runtime_checkable
class Slide(Protocol):
    """An opened slide. Not shared between processes: pickling carries the path and opens it again there."""

    @property
    def path(self) -> str:
        """File path or URL; `<array>` for an array."""

    @property
    def format(self) -> str:
        """Short name of the file format, e.g. `aperio`, `ome-tiff`, `hamamatsu`, `png`, `array`."""

    @property
    def reader(self) -> str:
        """`tiff`, `openslide` or `array`."""

    @property
    def levels(self) -> tuple[Level, ...]:
        """Level 0 (full resolution) first, then ever smaller copies of it."""

    @property
    def width(self) -> int:
        """Columns of level 0."""

    @property
    def height(self) -> int:
        """Rows of level 0."""

    @property
    def pixel_size(self) -> PixelSize | None:
        """Edge lengths of a level-0 pixel, or None when the file gives none that can be believed."""

    @property
    def mpp_source(self) -> str:
        """Where `pixel_size` comes from (e.g. `Aperio MPP`); empty when there is none."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each thing a person should know before trusting this slide."""

    @property
    def chroma_subsampling(self) -> tuple[int, int] | None:
        """Horizontal and vertical subsampling of colour in the JPEG tiles, (2, 2) being 4:2:0; None if not
        JPEG.
        """

    @property
    def icc(self) -> bool:
        """Whether a colour profile is embedded. It is ignored: pixels are the stored values."""

    def read(self, region: Region, level: int = 0) -> Rgb:
        """Pixels of `region` (in pixels of `level`, inside it) as uint8 RGB.

        Raises SlideError E_TILE where a tile is damaged or missing, E_IO when the file cannot be read.
        """

    def read_masked(self, region: Region, level: int = 0) -> tuple[Rgb, Mask]:
        """Like `read`, but damaged or missing pixels are 255 and False in the mask instead of an error."""

    def close(self) -> None:
        """Give the file back. Closing twice is allowed; reading afterwards is not."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
