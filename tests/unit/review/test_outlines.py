"""Areas made of rings, corrected, and with parts left out."""

import numpy as np
import pytest
import shapely

from ishcount.review.outlines import area_changes_mm2, compartments_at, from_rings, redrawn, rings_of


def square(x, y, side):
    return [[x, y], [x + side, y], [x + side, y + side], [x, y + side]]


def test_a_ring_inside_another_is_a_hole_and_an_island_in_it_is_none():
    shape = from_rings([square(40, 40, 20), square(0, 0, 100), square(45, 45, 5)])
    assert shape.area == 100**2 - 20**2 + 5**2


def test_rings_that_overlap_are_joined():
    assert from_rings([square(0, 0, 10), square(5, 0, 10)]).area == 150


def test_a_shape_goes_to_rings_and_back():
    shape = shapely.union(
        from_rings([square(0, 0, 100), square(40, 40, 20)]), shapely.Polygon(square(200, 0, 10))
    )
    assert from_rings(rings_of(shape)).equals(shape)


def test_no_rings_are_no_area():
    assert from_rings([]).is_empty
    assert rings_of(None) == []


def test_compartments_corrected_one_after_the_other_never_overlap_and_cells_follow():
    outlines = {"tissue": shapely.box(0, 0, 100, 100), "dermis": shapely.box(0, 0, 100, 100)}
    corrections = {"epidermis": [square(0, 0, 60)], "follicle": [square(40, 40, 60)]}
    areas = redrawn(outlines, corrections)
    names = ["epidermis", "follicle", "dermis"]
    assert sum(areas[name].area for name in names) == pytest.approx(areas["tissue"].area)
    assert areas["follicle"].area == 3600, "the last corrected one keeps its ground"
    x, y = np.random.default_rng(0).uniform(0, 100, (2, 500))
    found = compartments_at(x, y, np.full(500, "dermis", object), areas, corrections)
    for name in names:
        inside = shapely.contains_xy(areas[name], x, y)
        assert (found[inside] == name).all()


def test_what_is_left_out_of_a_compartment_is_left_out_of_the_viable_area_too():
    outlines = {
        "tissue": shapely.box(0, 0, 100, 100),
        "epidermis": shapely.box(0, 0, 100, 20),
        "dermis": shapely.box(0, 20, 100, 90),
        "viable": shapely.box(0, 0, 100, 90),
    }
    changes = area_changes_mm2(outlines, outlines, shapely.box(10, 10, 30, 95))
    assert changes == pytest.approx(
        {"tissue": -1700e-6, "epidermis": -200e-6, "dermis": -1400e-6, "viable": -1600e-6}
    )


def test_an_exclusion_inside_one_area_costs_its_own_size():
    outlines = {"tissue": shapely.box(0, 0, 100, 100)}
    assert area_changes_mm2(outlines, outlines, shapely.box(10, 10, 20, 20)) == {"tissue": -1e-4}
    assert area_changes_mm2(outlines, outlines, shapely.box(200, 10, 220, 20)) == {}
