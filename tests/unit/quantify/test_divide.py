from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ishcount.core.tissue_map import RegionKind, TissueMap
from ishcount.core.units import PixelSize
from ishcount.params import Params
from ishcount.quantify import divide as module
from ishcount.quantify.job import SlideJob, read_divided, read_tissue, write_maps

SHAPE = (30, 40)


def found_map() -> TissueMap:
    kind = np.full(SHAPE, RegionKind.TISSUE, np.uint8)
    return TissueMap(
        kind=kind, section=np.ones(SHAPE, np.uint16), compartment=np.zeros(SHAPE, np.uint8),
        compartment_names=("",), low=kind > 0, high=kind > 0, depth_um=None, factor_px=8,
        width_px=320, height_px=240, pixel_size=PixelSize(0.5, 0.5),
    )  # fmt: skip


def test_compartments_are_judged_on_the_whole_slide_and_kept_beside_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[TissueMap] = []

    def halves(tissue: TissueMap, *_: object) -> TissueMap:
        seen.append(tissue)
        place = np.zeros(SHAPE, np.uint8)
        place[:, 20:] = 1
        return replace(tissue, compartment=place, compartment_names=("", "dermis"), epidermis_mm=1.5)

    class FakePlan:
        class stains:
            white = (250.0, 250.0, 250.0)

    job = SlideJob(
        slide="s", slide_id="s", folder=tmp_path / "out", work=tmp_path / "work", markers=(("IFNG", "dab"),),
        params=Params(), region_um=(0.0, 0.0, 80.0, 120.0),
    )  # fmt: skip
    whole = found_map()
    asked = module.as_asked(whole, job)
    write_maps(job, asked, whole, np.zeros((*SHAPE, 3), np.uint8))
    monkeypatch.setattr(module, "find_compartments", halves)
    monkeypatch.setattr(module, "read_plan", lambda _: FakePlan())
    module.divide(job)
    assert np.all(seen[0].kind == RegionKind.TISSUE)  # not only the region
    divided = read_divided(job)
    assert divided.compartment_names == ("", "dermis")
    assert divided.epidermis_mm == 1.5
    assert np.array_equal(divided.compartment[:, 20:], np.ones((30, 20), np.uint8))
    assert divided.kind.size == 0
    assert np.array_equal(read_tissue(job).kind, asked.kind)
    assert (asked.kind == RegionKind.GLASS).any()
