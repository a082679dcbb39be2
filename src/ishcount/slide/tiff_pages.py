"""The directories of a TIFF file: what each page is and where its tiles lie, with every number checked.

tifffile walks the structure; afterwards only the fields below are kept, so a slide in memory is its offsets.
Nothing is allocated on the word of a header: reads are bounded by the file's own length, the chain of
directories by `MAX_PAGES`, and a directory met twice ends the walk.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from ishcount.core.errors import SlideError
from ishcount.slide.source import ByteSource, SourceFile

# tifffile logs what it finds odd; ishcount says so itself, once, in the slide's warnings.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

MAX_PAGES = 4096  # directories followed; a pyramid with label and macro has about ten
MAX_SUBPAGES = 64  # levels under one page; 2**64 is more than any scanner's downsample
MAX_TAGS = 4096  # in one directory; tifffile reads no more
MAX_SIDE_PX = 4_000_000  # a metre of glass at 0.25 um/px
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One directory of a TIFF file, in the words of the TIFF 6.0 tags. A strip is a tile as wide as the
    image.
    """

    name: str
    width: int
    height: int
    tile_width: int
    tile_height: int
    is_tiled: bool
    samples: int
    bits: tuple[int, ...]
    sample_formats: tuple[int, ...]
    photometric: int
    planar: int
    extra_samples: tuple[int, ...]
    compression: int
    predictor: int
    fill_order: int
    orientation: int
    depth: int
    subfile_type: int
    jpeg_tables: bytes
    colormap: NDArray[np.uint16] | None
    description: str
    software: str
    resolution: tuple[float, float, int] | None  # pixels per unit in x and y, and the unit's TIFF code
    has_icc: bool
    byteorder: str
    offsets: NDArray[np.uint64]  # as many as counts; fewer than `n_tiles` in a damaged file
    counts: NDArray[np.uint64]

    @property
    def n_tiles(self) -> int:
        """Tiles the image needs, over all its planes."""
        return self.columns * self.rows * self.planes

    @property
    def columns(self) -> int:
        """Tiles side by side."""
        return -(-self.width // self.tile_width)

    @property
    def rows(self) -> int:
        """Tiles below each other."""
        return -(-self.height // self.tile_height)

    @property
    def planes(self) -> int:
        """1, or the number of samples where each has its own tiles."""
        return self.samples if self.planar == 2 else 1

    def damaged_tiles(self, file_size: int) -> NDArray[np.bool_]:
        """Which segments have no bytes at all or lie (partly) outside the file."""
        return (self.offsets == 0) | (self.counts == 0) | self.beyond(file_size)

    def beyond(self, file_size: int) -> NDArray[np.bool_]:
        """Which segments end after the file does."""
        room = np.uint64(file_size) - np.minimum(self.offsets, np.uint64(file_size))
        return (self.counts > room) & (self.offsets > 0)

    def cut_off(self, file_size: int) -> NDArray[np.bool_]:
        """Which segments begin inside the file and end outside: the mark of a file that was cut."""
        return self.beyond(file_size) & (self.offsets < np.uint64(file_size))


@dataclass(frozen=True, slots=True, eq=False)
class Directories:
    """All pages of the main chain, and the pages below the largest of them."""

    pages: tuple[Page, ...]
    subpages: dict[str, tuple[Page, ...]]
    kind: str  # aperio, ome-tiff or tiff
    warnings: tuple[str, ...]


def read_directories(source: ByteSource, path: str) -> Directories:
    """Every directory of the file. SlideError E_FORMAT when there is none that can be read, E_TRUNCATED when
    a directory lies past the end of the file.
    """
    try:
        with np.errstate(all="ignore"):  # absurd offsets overflow in tifffile's sums
            return _read_directories(source, path)
    except SlideError:
        raise
    except Exception as error:  # tifffile meets a damaged file with whatever its arithmetic raises
        raise SlideError(
            f"{path!r} looks like a TIFF but its directories cannot be read ({_short(error)}); "
            "export the slide again",
            "E_FORMAT",
        ) from error


def _read_directories(source: ByteSource, path: str) -> Directories:
    import tifffile

    offsets, notes = directory_chain(source, path)
    warnings = list(notes)
    kept: list[tuple[Any, Page]] = []
    with tifffile.TiffFile(cast(BinaryIO, SourceFile(source)), name="slide") as tiff:
        for number in range(len(offsets)):
            raw = tiff.pages[number]
            page = _page(raw, str(number))
            if page is None:
                warnings.append(f"directory {number} describes no image that can be used; it is ignored")
            else:
                kept.append((raw, page))
        subpages = {page.name: _subpages(raw, page, source, path) for raw, page in kept if raw.subifds}
        kind = "aperio" if tiff.is_svs else "ome-tiff" if tiff.is_ome else "tiff"
        bent = tiff.is_ndpi or tiff.is_scn or tiff.is_bif or tiff.is_philips
    if bent:
        raise SlideError(
            f"{path!r} is a vendor's own kind of TIFF that OpenSlide does not know, or cannot read from a "
            "URL; open a local copy, or export it as a plain TIFF",
            "E_FORMAT",
        )
    if not kept:
        raise SlideError(
            f"{path!r} is a TIFF without a usable image ({len(offsets)} directories); export the slide again",
            "E_FORMAT",
        )
    return Directories(tuple(page for _, page in kept), subpages, kind, tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Layout:
    """Sizes in bytes of the parts of a directory: the classic TIFF's, or BigTIFF's."""

    byteorder: Literal["little", "big"]
    count: int
    tag: int
    offset: int
    first: int  # where the first directory's offset is stored

    def integer(self, data: bytes) -> int:
        return int.from_bytes(data, self.byteorder)


def _layout(source: ByteSource) -> _Layout:
    magic = source.read(0, 4)
    order: Literal["little", "big"] = "little" if magic[:2] == b"II" else "big"
    return _Layout(order, 8, 20, 8, 8) if 43 in magic[2:] else _Layout(order, 2, 12, 4, 4)


def directory_chain(source: ByteSource, path: str) -> tuple[list[int], list[str]]:
    """Offsets of the directories in their order, and a warning when the chain bites its own tail.

    SlideError E_FORMAT when there are more than `MAX_PAGES`, E_TRUNCATED when one lies past the end of the
    file.
    """
    layout = _layout(source)
    offsets: list[int] = []
    here = layout.integer(source.read(layout.first, layout.offset))
    while here:
        if here in offsets:
            return offsets, [f"the chain of directories turns back on itself after {len(offsets)}"]
        if len(offsets) == MAX_PAGES:
            raise SlideError(
                f"{path!r} has more than {MAX_PAGES} directories; export the slide again", "E_FORMAT"
            )
        end = _check_directory(source, layout, path, str(len(offsets)), here)
        offsets.append(here)
        here = layout.integer(source.read(end - layout.offset, layout.offset))
    return offsets, []


def refuse_endless_chain(source: ByteSource, path: str) -> None:
    """SlideError E_FORMAT for more directories than a slide has. Other faults are left to the reader that
    follows: some vendors' chains only look cut.
    """
    try:
        directory_chain(source, path)
    except SlideError as error:
        if error.code != "E_TRUNCATED":
            raise


def _check_directory(source: ByteSource, layout: _Layout, path: str, name: str, offset: int) -> int:
    """Where the directory ends; SlideError when it does not fit into the file or is too long to be one."""
    end = offset + layout.count
    if end <= source.size:
        n_tags = layout.integer(source.read(offset, layout.count))
        if n_tags > MAX_TAGS:
            raise SlideError(f"{path!r} has a directory of {n_tags} tags; copy the file again", "E_FORMAT")
        end += n_tags * layout.tag + layout.offset
    if end > source.size:
        raise SlideError(
            f"{path!r} ends at byte {source.size} but its directory {name} ends at byte {end}; "
            "copy the file again",
            "E_TRUNCATED",
        )
    return end


def _subpages(raw: Any, page: Page, source: ByteSource, path: str) -> tuple[Page, ...]:
    found: list[Page] = []
    for number, offset in enumerate(raw.subifds[:MAX_SUBPAGES]):
        name = f"{page.name}.{number}"
        _check_directory(source, _layout(source), path, name, int(offset))
        try:
            sub = _page(raw.pages[number], name)
        except Exception:  # a damaged lower level is only a lost shortcut
            sub = None
        if sub is not None:
            found.append(sub)
    return tuple(found)


def _page(raw: Any, name: str) -> Page | None:
    """The fields we use, or None when the page has no size or no segments."""
    tag = raw.tags.valueof
    width, height = int(raw.imagewidth), int(raw.imagelength)
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        return None
    is_tiled = bool(raw.is_tiled)
    tile_width = int(raw.tilewidth) if is_tiled else width
    tile_height = int(raw.tilelength) if is_tiled else min(int(raw.rowsperstrip or height), height)
    if tile_width <= 0 or tile_height <= 0:
        return None
    bits = _ints(tag(258, 1)) or (1,)
    colormap = tag(320)
    offsets, counts = _offsets(raw.dataoffsets), _offsets(raw.databytecounts)
    n_segments = min(len(offsets), len(counts))
    return Page(
        name=name,
        width=width,
        height=height,
        tile_width=tile_width,
        tile_height=tile_height,
        is_tiled=is_tiled,
        samples=int(tag(277, 1)),
        bits=bits,
        sample_formats=_ints(tag(339, 1)),
        photometric=int(tag(262, 0)),
        planar=int(tag(284, 1)),
        extra_samples=_ints(tag(338, ())),
        compression=int(tag(259, 1)),
        predictor=int(tag(317, 1)),
        fill_order=int(tag(266, 1)),
        orientation=int(tag(274, 1)),
        depth=int(tag(32997, 1)),
        subfile_type=int(tag(254, 0)),
        jpeg_tables=bytes(tag(347, b"") or b""),
        colormap=None if colormap is None else np.asarray(colormap, np.uint16),
        description=str(raw.description),
        software=str(raw.software),
        resolution=_resolution(tag(282), tag(283), tag(296, 2)),
        has_icc=34675 in raw.tags,
        byteorder=raw.parent.byteorder,
        offsets=offsets[:n_segments],
        counts=counts[:n_segments],
    )


def _offsets(values: Any) -> NDArray[np.uint64]:
    return np.array([max(0, int(value)) for value in values], np.uint64)


def _ints(value: Any) -> tuple[int, ...]:
    return (
        tuple(int(item) for item in value) if isinstance(value, tuple | list | np.ndarray) else (int(value),)
    )


def _resolution(x: Any, y: Any, unit: Any) -> tuple[float, float, int] | None:
    """Pixels per unit; a fraction over zero is given as 0, which calibration refuses."""
    if x is None or y is None:
        return None
    try:
        pairs = [(float(top), float(bottom)) for top, bottom in (x, y)]
        return *(top / bottom if bottom else 0.0 for top, bottom in pairs), int(unit)  # type: ignore[return-value]
    except (TypeError, ValueError):
        return None


def _short(error: BaseException) -> str:
    """The kind of error and the start of its text; never the content of a tag."""
    return f"{type(error).__name__}: {str(error)[:60]!r}"
