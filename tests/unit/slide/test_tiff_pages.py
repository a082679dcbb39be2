"""Of all pages of a TIFF, its pyramid is found and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from ishcount.core.errors import SlideError
from ishcount.core.geometry import Region
from ishcount.slide.open import open_slide
from tests.slide_files import (
    SIDE,
    aperio_description,
    shrunk,
    tissue,
    write_pyramid,
    write_tiff,
)

WHOLE = Region(0, 0, SIDE, SIDE)


def test_z_stack_in_ome_is_refused(tmp_path):
    path = tmp_path / "stack.ome.tif"
    tifffile.imwrite(
        path, np.stack([tissue()] * 3), photometric="rgb", tile=(128, 128), metadata={"axes": "ZYXS"}
    )
    with pytest.raises(SlideError, match="z-stack") as caught:
        open_slide(path)
    assert caught.value.code == "E_PIXELTYPE"


@pytest.mark.parametrize("axis", ["SizeZ", "SizeT"])
def test_plane_of_an_ome_stack_in_several_files_is_refused(tmp_path, axis):
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels '
        f'SizeX="{SIDE}" SizeY="{SIDE}" {axis}="5" PhysicalSizeX="0.3"/></Image></OME>'
    )
    with pytest.raises(SlideError, match="stack of 5") as caught:
        open_slide(write_tiff(tmp_path / "plane.ome.tif", tissue(), description=text))
    assert caught.value.code == "E_PIXELTYPE"


# -- levels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("below", [True, False])
def test_pyramid_is_found_below_the_page_and_after_it(tmp_path, below):
    pixels = tissue(603, 597)
    path = write_pyramid(tmp_path / "slide.tif", pixels, (2, 4, 8), below=below)
    with open_slide(path) as slide:
        assert [(level.width, level.height, level.downsample) for level in slide.levels] == [
            (597, 603, 1.0), (298, 301, 2.0), (149, 150, 4.0), (74, 75, 8.0),
        ]  # fmt: skip
        assert slide.warnings == ()
        assert np.array_equal(slide.read(Region(3, 5, 70, 60), 3), shrunk(pixels, 8)[5:65, 3:73])


def test_unsorted_levels_are_sorted(tmp_path):
    path = write_pyramid(tmp_path / "slide.tif", tissue(), (8, 2, 4))
    with open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2, 4, 8]


def test_page_of_another_shape_is_no_level(tmp_path):
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as out:
        for pixels in (tissue(), tissue(300, 200), shrunk(tissue(), 4)):
            out.write(pixels, tile=(128, 128), photometric="rgb", metadata=None)
    with open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1, 4]
        assert any("200 x 300" in warning for warning in slide.warnings)


def write_aperio(path: Path) -> tuple[int, int]:
    """A slide with thumbnail, label and macro; the range of bytes of label and macro."""
    with tifffile.TiffWriter(path) as out:
        head = aperio_description()
        out.write(tissue(), tile=(128, 128), photometric="rgb", description=head, metadata=None)
        out.write(shrunk(tissue(), 4), photometric="rgb", description=head, metadata=None, rowsperstrip=16)
        out.write(shrunk(tissue(), 2), tile=(128, 128), photometric="rgb", description=head, metadata=None)
        for name, kind in (("label", 1), ("macro", 9)):
            out.write(
                np.full((600, 600, 3), 77, np.uint8), tile=(128, 128), photometric="rgb", subfiletype=kind,
                description=f"Aperio Image Library v11.2.1\r\n{name} 600x600", metadata=None,
            )  # fmt: skip
    with tifffile.TiffFile(path) as tiff_file:
        places = [place for page in tiff_file.pages[3:] for place in page.dataoffsets]
        return min(places), max(places) + 128 * 128 * 3


def test_label_and_macro_are_never_opened(tmp_path, monkeypatch):
    from ishcount.slide.overview import read_overview
    from ishcount.slide.source import LocalFile

    path = tmp_path / "slide.svs"
    start, end = write_aperio(path)
    directories = []
    with tifffile.TiffFile(path) as tiff_file:
        directories = [page.offset for page in tiff_file.pages]
    touched = []
    read = LocalFile.read
    monkeypatch.setattr(
        LocalFile,
        "read",
        lambda self, offset, length: touched.append((offset, length)) or read(self, offset, length),
    )
    with open_slide(path) as slide:
        assert [level.downsample for level in slide.levels] == [1, 2]
        assert slide.format == "aperio"
        slide.read(WHOLE)
        read_overview(slide, 8)
    # tifffile may read a directory and its values between the images; pixels of label and macro are
    # megabytes.
    inside = sum(
        min(end, offset + length) - max(start, offset)
        for offset, length in touched
        if offset < end and offset + length > start
    )
    assert inside < 5000 * len(directories)
