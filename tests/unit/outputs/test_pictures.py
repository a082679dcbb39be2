"""Pictures have the same bytes for the same slide, carry no date, and exist for empty slides."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ishcount.outputs.pictures import density_map, write_density_picture, write_qc_picture

SIZE = (80, 120)


def cells(n: int = 12) -> pd.DataFrame:
    place = np.random.default_rng(3).uniform(40, 280, (n, 2))
    return pd.DataFrame({"x_um": place[:, 0], "y_um": place[:, 1], "IFNG_positive": np.arange(n) % 3 == 0})


def write_both(folder: Path, table: pd.DataFrame, tissue: np.ndarray) -> tuple[bytes, bytes]:
    overview = np.full((*SIZE, 3), 240, np.uint8)
    write_qc_picture(
        folder / "qc.png",
        overview,
        slide_width_um=480.0,
        tissue=tissue,
        sections=tissue.astype(np.uint16),
        artefacts={"ink": np.zeros(SIZE, bool)},
        cells=table,
        markers=["IFNG"],
        title="a $slide$ = 1",
    )
    write_density_picture(
        folder / "density.png",
        slide_width_um=480.0,
        slide_height_um=320.0,
        tissue=tissue,
        cells=table,
        markers=["IFNG"],
        title="a slide",
    )
    return (folder / "qc.png").read_bytes(), (folder / "density.png").read_bytes()


@pytest.mark.parametrize("n", [0, 12])
def test_equal_slides_give_equal_bytes_without_a_date(tmp_path: Path, n: int) -> None:
    tissue = np.ones(SIZE, bool)
    first = write_both(tmp_path / "a", cells(n), tissue)
    assert write_both(tmp_path / "b", cells(n), tissue) == first
    for name in ("qc.png", "density.png"):
        with Image.open(tmp_path / "a" / name) as picture:
            assert set(picture.info) <= {"dpi"}


def test_a_slide_without_tissue_still_has_its_pictures(tmp_path: Path) -> None:
    write_both(tmp_path, cells(0), np.zeros(SIZE, bool))
    with Image.open(tmp_path / "qc.png") as picture:
        assert picture.width > 700


def test_the_heat_map_is_exact_for_evenly_spread_cells_up_to_the_edge() -> None:
    step = 12.5  # one cell in 12.5 x 12.5 um, which is a cell of the map, is 6,400 per mm2
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(6.25, 3000, step), np.arange(6.25, 2000, step)))
    heat = density_map(x, y, size_um=(3000, 2000), tissue=np.ones((200, 300), bool))
    assert heat == pytest.approx(6400, rel=1e-6)


def test_the_heat_map_is_empty_outside_tissue() -> None:
    tissue = np.zeros((200, 300), bool)
    tissue[:, :150] = True
    heat = density_map(np.array([500.0]), np.array([900.0]), size_um=(3000, 2000), tissue=tissue)
    assert np.isnan(heat[:, heat.shape[1] // 2 + 1 :]).all()
    assert np.nanmax(heat) > 0


@pytest.mark.parametrize("size_um", [(400.0, 20_000.0), (20_000.0, 300.0), (30.0, 30.0)])
def test_slides_of_any_shape_are_drawn_with_long_names(tmp_path: Path, size_um: tuple[float, float]) -> None:
    shape = (max(2, int(size_um[1] / 20)), max(2, int(size_um[0] / 20)))
    table = cells(3).assign(**{"A very long name of a marker_positive": True})
    markers = ["IFNG", "A very long name of a marker"]
    write_density_picture(
        tmp_path / "density.png",
        slide_width_um=size_um[0],
        slide_height_um=size_um[1],
        tissue=np.ones(shape, bool),
        cells=table,
        markers=markers,
        title="a name " * 40,
    )
    write_qc_picture(
        tmp_path / "qc.png",
        np.full((*shape, 3), 230, np.uint8),
        slide_width_um=size_um[0],
        tissue=np.ones(shape, bool),
        sections=np.ones(shape, np.uint16),
        artefacts={kind: np.eye(*shape, dtype=bool) for kind in ("fold", "pen", "bubble", "dust", "hole")},
        cells=table,
        markers=markers,
        title="a name " * 40,
        notes=["a long note " * 40],
    )
    with Image.open(tmp_path / "qc.png") as picture:
        assert max(picture.size) < 2200
