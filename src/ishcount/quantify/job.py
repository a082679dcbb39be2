"""What is to be counted (`SlideJob`) and what was learned before counting (`Plan`)."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ishcount.core import files
from ishcount.core.geometry import Block, block_grid
from ishcount.core.stain_model import StainModel
from ishcount.core.tissue_map import TissueMap
from ishcount.core.units import PixelSize
from ishcount.params import Params
from ishcount.steps.colour_shift import ColourShift
from ishcount.steps.dots import DotNoise
from ishcount.steps.nuclei import NucleiCalibration

GRID_UM = (
    0.5  # nuclei at 0.5 um/px are as good as at 0.25 (F1 .819 against .822 on phantoms, docs/methods.md)
)
OVERVIEW_UM = 4.0  # the raster that decides areas
MARGIN_UM = 28.0  # read about a block: scores reach 12 um, evidence 16 more; nuclei with their filter 20


@dataclass(frozen=True, kw_only=True)
class SlideJob:
    """One slide to count. Plain data, so that it travels to any worker.

    folder: where the result goes. work: where partial files go. markers: (name, chromogen) pairs,
    chromogen possibly "auto". region_um: x, y, width, height of a part to count. sections: which pieces count
    (all: None).
    """

    slide: str
    slide_id: str
    folder: Path
    work: Path
    markers: tuple[tuple[str, str], ...]
    params: Params = field(default_factory=Params)
    sheet_mpp: float | None = None
    option_mpp: float | None = None
    annotations: str | None = None
    region_um: tuple[float, float, float, float] | None = None
    sections: tuple[int, ...] | None = None
    outputs: Literal["all", "tables"] = "all"
    slide_digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one slide taught before its blocks are counted; frozen from then on."""

    width: int
    height: int
    pixel_size: PixelSize
    mpp_source: str
    grid_factor: int
    block_px: int
    stains: StainModel
    colour_shift: ColourShift
    noise: tuple[DotNoise, ...]
    nuclei: NucleiCalibration
    keys: tuple[str, ...]
    megapixels: float
    flags: tuple[str, ...]
    about: dict[str, Any]

    @property
    def grid_pixel_size(self) -> PixelSize:
        """Pixel size of the nuclei grid."""
        return self.pixel_size.scaled(self.grid_factor)

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of the nuclei grid."""
        return -(-self.height // self.grid_factor), -(-self.width // self.grid_factor)

    @cached_property
    def blocks(self) -> dict[str, Block]:
        """The blocks to count, by key."""
        keys = set(self.keys)
        blocks = grid(self.width, self.height, self.pixel_size, self.block_px)
        return {block.key: block for block in blocks if block.key in keys}


def grid(width: int, height: int, pixel_size: PixelSize, block_px: int) -> list[Block]:
    """All blocks of a slide; margins are whole cells of the nuclei grid."""
    factor = grid_factor(pixel_size)
    margin = factor * -(-round(pixel_size.to_px(MARGIN_UM)) // factor)
    return block_grid(width, height, block_px, margin)


def grid_factor(pixel_size: PixelSize) -> int:
    """Level-0 pixels per pixel of the nuclei grid."""
    return max(1, round(GRID_UM / pixel_size.mean_um))


def overview_factor(pixel_size: PixelSize) -> int:
    """Level-0 pixels per cell of the tissue raster: a multiple of the grid's factor."""
    fine = grid_factor(pixel_size)
    return fine * max(1, round(OVERVIEW_UM / (fine * pixel_size.mean_um)))


def block_px(pixel_size: PixelSize, block_um: float) -> int:
    """Side of a block in level-0 pixels: whole cells of the tissue raster."""
    factor = overview_factor(pixel_size)
    return factor * max(1, round(block_um / (factor * pixel_size.mean_um)))


def write_plan(job: SlideJob, plan: Plan) -> None:
    """Keep the plan for the workers; after `write_maps`, as the mark that all is there."""
    files.write_json(
        job.work / "plan.json", _plain({f.name: getattr(plan, f.name) for f in dataclasses.fields(plan)})
    )


def write_maps(job: SlideJob, tissue: TissueMap, whole: TissueMap, overview: np.ndarray) -> None:
    """Keep tissue map and overview. tissue: what is to be counted. whole: what compartments are judged on."""
    _write_map(job.work / "tissue", tissue.arrays())
    if whole is not tissue:
        _write_map(job.work / "whole", whole.arrays())
    files.write_array(job.work / "overview.npy", overview)


def write_divided(job: SlideJob, tissue: TissueMap) -> None:
    """Keep what compartments add to the tissue map that was planned."""
    as_planned = dict.fromkeys(("kind", "section", "low", "high"), np.zeros((0, 0)))
    _write_map(job.work / "divided", tissue.arrays() | as_planned)


def _write_map(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """A tissue map as files: each raster its own, what is small last, as the mark that all is there."""
    small = {}
    for name, array in arrays.items():
        if array.ndim > 1 and array.size:
            files.write_array(folder / f"{name}.npy", array)
        else:
            small[name] = array
    files.write_arrays(folder / "rest.npz", small)


def _read_map(folder: Path) -> TissueMap:
    small = files.read_arrays(folder / "rest.npz")
    rasters = {path.stem: files.map_array(path) for path in sorted(folder.glob("*.npy"))}
    return TissueMap.from_arrays(small | rasters)


def read_tissue(job: SlideJob) -> TissueMap:
    """The tissue map as `write_maps` kept it, without compartments and its rasters on disk: only what is used
    comes into memory.
    """
    return _read_map(job.work / "tissue")


def read_whole(job: SlideJob) -> TissueMap:
    """All that was found on the slide, whatever part of it is to be counted."""
    whole = job.work / "whole"
    return _read_map(whole if whole.is_dir() else job.work / "tissue")


def read_divided(job: SlideJob) -> TissueMap:
    """Compartments as `write_divided` kept them; OSError where they were not found yet."""
    return _read_map(job.work / "divided")


def read_overview_picture(job: SlideJob) -> np.ndarray:
    """The slide at a few um per pixel, uint8 RGB, on disk."""
    return files.map_array(job.work / "overview.npy")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def read_plan(job: SlideJob) -> Plan:
    """The plan as `write_plan` kept it; read once per process."""
    path = job.work / "plan.json"
    return _read_plan(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _read_plan(path: Path, _written: int) -> Plan:
    content = json.loads(path.read_text("utf-8"))
    return Plan(
        **content
        | {
            "pixel_size": PixelSize(**content["pixel_size"]),
            "stains": StainModel(**{key: _tupled(value) for key, value in content["stains"].items()}),
            "noise": tuple(DotNoise(**noise) for noise in content["noise"]),
            "nuclei": NucleiCalibration(**content["nuclei"]),
            "colour_shift": ColourShift(**content["colour_shift"]),
            "keys": tuple(content["keys"]),
            "flags": tuple(content["flags"]),
        }
    )


def _tupled(value: Any) -> Any:
    return tuple(_tupled(item) for item in value) if isinstance(value, list) else value
