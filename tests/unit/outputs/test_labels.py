"""The label image is OME-Zarr 0.4, overlays level 0 and has the same bytes however it was fed."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zarr

from ishcount.core.units import PixelSize
from ishcount.outputs.labels import write_labels

SHAPE = (1300, 700)
PIXEL = PixelSize(0.5, 0.52)


def labels() -> np.ndarray:
    image = np.zeros(SHAPE, np.uint32)
    rng = np.random.default_rng(0)
    for cell_id, (row, col) in enumerate(rng.integers(0, [1290, 690], (400, 2)), 1):
        image[row : row + 9, col : col + 8] = cell_id
    return image


def write(path: Path, image: np.ndarray, heights: list[int]) -> None:
    edges = np.cumsum([0, *heights])
    bands = (image[a:b] for a, b in pairwise(edges))
    write_labels(path, bands, height=image.shape[0], width=image.shape[1], pixel_size=PIXEL)


def test_every_level_is_the_finer_one_subsampled(tmp_path: Path) -> None:
    image = labels()
    write(tmp_path / "a.zarr", image, [1300])
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
    for dataset in group.attrs["multiscales"][0]["datasets"]:
        assert np.array_equal(group[dataset["path"]][:], image)
        image = image[::2, ::2]


@pytest.mark.parametrize("heights", [[1, 512, 511, 276], [301, 333, 666], [13] * 100])
def test_bands_of_any_height_give_the_same_bytes(tmp_path: Path, heights: list[int]) -> None:
    write(tmp_path / "whole", labels(), [1300])
    write(tmp_path / "bands", labels(), heights)
    whole = {
        p.relative_to(tmp_path / "whole"): p.read_bytes()
        for p in (tmp_path / "whole").rglob("*")
        if p.is_file()
    }
    bands = {
        p.relative_to(tmp_path / "bands"): p.read_bytes()
        for p in (tmp_path / "bands").rglob("*")
        if p.is_file()
    }
    assert whole == bands


def test_missing_rows_are_an_error_and_leave_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1300 rows was given 1299"):
        write_labels(tmp_path / "a.zarr", [labels()[:1299]], height=1300, width=700, pixel_size=PIXEL)
    assert list(tmp_path.iterdir()) == []


def test_a_pixel_centre_lies_where_the_tables_have_it(tmp_path: Path) -> None:
    image = np.zeros(SHAPE, np.uint32)
    image[40, 30] = 1
    write(tmp_path / "a.zarr", image, [1300])
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
    scale, translation = group.attrs["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    row, col = np.argwhere(group["0"][:] == 1)[0]
    assert row * scale["scale"][0] + translation["translation"][0] == pytest.approx((40 + 0.5) * 0.52)
    assert col * scale["scale"][1] + translation["translation"][1] == pytest.approx((30 + 0.5) * 0.5)
