"""Stain planes are sums of tables, cut to int16 where the tables can leave it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ishcount.core.optical_density import separate

Array = np.ndarray[Any, Any]


def summed(rgb: Array, tables: Array) -> Array:
    """The same in the plainest way."""
    channels = np.arange(3)
    sums = np.stack([table[channels, rgb].sum(axis=-1) for table in tables])
    return np.clip(sums, -(2**15), 2**15 - 1)


@pytest.mark.parametrize(("largest", "leaves"), [(10_922, False), (60_000, True)])
def test_stain_planes_are_sums_of_tables_cut_to_16_bits(
    rng: np.random.Generator, largest: int, leaves: bool
) -> None:
    tables = rng.integers(-largest, largest + 1, (3, 3, 256)).astype(np.int32)
    rgb = rng.integers(0, 256, (37, 53, 3), dtype=np.uint8)
    found = separate(rgb, tables)
    assert found.dtype == np.int16
    assert np.array_equal(found, summed(rgb, tables))
    assert (np.abs(found.astype(np.int64)) >= 2**15 - 1).any() == leaves
    part = rgb[3:30, 5:40]  # rows that do not lie one after the other in memory
    assert np.array_equal(separate(part, tables), summed(part, tables))
