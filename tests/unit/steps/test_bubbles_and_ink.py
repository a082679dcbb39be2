"""Bubbles and ink on an overview of 4 um cells: found beside what touches them, and no tissue with them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from ishcount.steps.tissue.debris import find_bubbles
from ishcount.steps.tissue.ink import find_ink

Array = np.ndarray[Any, Any]
CELL_UM = 4.0
SHAPE = (160, 200)
HAEMATOXYLIN = np.array([0.65, 0.70, 0.29], np.float32)


def section(seed: int = 3) -> Array:
    """Optical density (h, w, 3) of mottled tissue below row 40, glass above it."""
    rng = np.random.default_rng(seed)
    amount = cv2.GaussianBlur(rng.uniform(0.1, 0.4, SHAPE).astype(np.float32), (0, 0), 1)
    amount[:40] = 0
    return amount[..., None] * HAEMATOXYLIN


def drawn(x: int, y: int, radius: int, thickness: int) -> Array:
    return cv2.circle(np.zeros(SHAPE, np.uint8), (x, y), radius, 1, thickness) > 0


def with_bubble(x: int, y: int, radius: int, *, colour: Any = (1.0, 1.0, 1.0)) -> tuple[Array, Array]:
    od = section()
    od[drawn(x, y, radius, 1)] += 0.4 * np.array(colour, np.float32)
    return od, drawn(x, y, radius - 1, -1)


@pytest.mark.parametrize("y", [100, 40])
def test_a_bubble_is_found_over_tissue_and_over_its_edge(y: int) -> None:
    od, inside = with_bubble(100, y, 14)
    found = find_bubbles(od, cell_um=CELL_UM)
    assert found[inside].mean() > 0.95
    assert found.sum() < 1.4 * inside.sum()


@pytest.mark.parametrize("aside", [-4, 4, 5])
def test_a_bubble_is_found_with_dark_things_at_its_rim(aside: int) -> None:
    od, inside = with_bubble(100, 100, 14)
    for angle in np.arange(0, 2 * np.pi, np.pi / 3):
        reach = 14 + aside
        od[drawn(round(100 + reach * np.cos(angle)), round(100 + reach * np.sin(angle)), 3, -1)] += 0.2
    assert find_bubbles(od, cell_um=CELL_UM)[inside].mean() > 0.9


def test_a_ring_in_a_dye_s_colour_is_no_bubble() -> None:
    """Sheaths of follicles and rings of fibres are darker than their surroundings in all channels too."""
    od, _ = with_bubble(100, 100, 14, colour=1.5 * HAEMATOXYLIN)
    assert not find_bubbles(od, cell_um=CELL_UM).any()


def test_a_crumb_with_a_dark_edge_on_glass_is_no_bubble() -> None:
    od = np.zeros((*SHAPE, 3), np.float32)
    od[drawn(100, 80, 14, -1)] = 0.15 * HAEMATOXYLIN
    od[drawn(100, 80, 14, 1)] = 0.5
    assert not find_bubbles(od, cell_um=CELL_UM).any()


@pytest.mark.parametrize(
    "ink",
    [(0.36, 0.37, 0.37), (0.56, 0.35, 0.143)],
    ids=["thin black", "blue near haematoxylin"],
)
def test_thin_ink_is_found_on_glass_and_over_the_tissue_beside_it(ink: tuple[float, float, float]) -> None:
    od = section()
    stroke = np.zeros(SHAPE, np.bool_)
    stroke[10:120, 60:80] = True
    od[stroke] += np.array(ink, np.float32)
    found = find_ink(od, cell_um=CELL_UM, min_area_um2=2000)
    assert found[10:40, 60:80].mean() > 0.95  # on glass
    assert found[40:64, 60:80].mean() > 0.9  # over tissue, within 100 um of it
    assert found[~stroke].mean() < 0.03


@pytest.mark.parametrize("amount", [0.5, 0.8, 1.1])
def test_dense_nuclei_are_no_ink(amount: float) -> None:
    od = section()
    od[60:110, 60:130] = amount * HAEMATOXYLIN
    assert not find_ink(od, cell_um=CELL_UM, min_area_um2=2000).any()
