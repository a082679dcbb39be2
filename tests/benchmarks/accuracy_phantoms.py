"""The phantoms of the accuracy table: what each is for, drawn once, counted and judged one by one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tifffile

from ishcount import __version__
from ishcount.core.files import write_json
from ishcount.core.geometry import Region
from ishcount.quantify import count_slide
from ishcount.slide.open import open_slide
from ishcount.truth.ceiling import ownership_ceiling, step_ceilings
from ishcount.truth.evaluate import evaluate_slide
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.writer import write_phantom

LEVELS = ("easy", "medium", "hard")
CHROMOGENS = ("fast_red", "dab")
OTHER_CAMERA = 500_000  # added to the seed: a scanner that no other phantom of the table has


@dataclass(frozen=True)
class Kind:
    """Phantoms that answer one question. `seeds` of None: all. Tissue state goes by the seed's parity."""

    width_um: float
    height_um: float
    levels: tuple[str, ...] = LEVELS
    prevalence: float | None = None
    background: float | None = None
    seeds: int | None = None
    mpp_um: float = 0.25
    subsampling: str = "420"
    jpeg_quality: int | None = None
    other_camera: bool = False
    turned: str = ""


KINDS = {  # sizes and numbers of seeds: all is drawn, counted and judged in some 25 minutes of one core
    "positives": Kind(800, 600),
    "dot_free": Kind(1050, 900, prevalence=0.0, background=0.0),
    "rare": Kind(1200, 900, levels=("medium",), prevalence=0.0025, background=0.0),
    "share_0.3": Kind(1200, 900, levels=("easy", "hard"), prevalence=0.003, background=0.0, seeds=5),
    "share_2": Kind(800, 600, prevalence=0.02, background=0.0, seeds=5),
    "share_20": Kind(800, 600, prevalence=0.20, background=0.0, seeds=3),
    "camera": Kind(800, 600, levels=("easy", "medium"), seeds=5, other_camera=True),
    "20x_444": Kind(800, 600, levels=("easy", "medium"), seeds=5, mpp_um=0.5, subsampling="444"),
    "turned": Kind(800, 600, levels=("medium",), seeds=3, turned="turned"),
    "mirrored": Kind(800, 600, levels=("medium",), seeds=3, turned="mirrored"),
    "no_jpeg": Kind(800, 600, seeds=3, subsampling="444", jpeg_quality=100),
}
FIRST = ("positives", "dot_free", "rare")  # what a first look needs


@dataclass(frozen=True)
class Task:
    """One phantom to draw, count and judge."""

    kind: str
    level: str
    chromogen: str
    state: str
    seed: int

    @property
    def name(self) -> str:
        """File name without suffix; tells all tasks apart."""
        return f"{self.kind}-{self.level}-{self.chromogen}-{self.state}-{self.seed}"

    @property
    def spec(self) -> PhantomSpec:
        """What is drawn: a kind that differs from `positives` in camera or storage shows the same scene."""
        kind = KINDS[self.kind]
        return PhantomSpec(
            preset=self.level, chromogens=(self.chromogen,), markers=("IFNG",), state=self.state,
            width_um=kind.width_um, height_um=kind.height_um, mpp_um=kind.mpp_um,
            pigment=0.8 if self.state == "inflamed" else 0.2, prevalence=kind.prevalence,
            background_per_mm2=kind.background, subsampling=kind.subsampling, jpeg_quality=kind.jpeg_quality,
            seed=self.seed, camera_seed=self.seed + OTHER_CAMERA if kind.other_camera else None,
        )  # fmt: skip


def tasks(kinds: list[str], levels: list[str], chromogens: list[str], seeds: range) -> list[Task]:
    """Every phantom asked for, seed by seed, so that a run that was stopped has some of everything."""
    listed = []
    for name in kinds:
        kind = KINDS[name]
        for level in (level for level in kind.levels if level in levels):
            for seed in list(seeds)[: kind.seeds]:
                state = "inflamed" if seed % 2 else "normal"
                listed += [Task(name, level, dye, state, seed) for dye in chromogens]
    return sorted(listed, key=lambda task: task.seed)


def draw(task: Task, folder: Path) -> Path:
    """The phantom's slide in `folder`, drawn unless it is there; its truth lies beside it."""
    kind = KINDS[task.kind]
    path = folder / f"{task.name}.tif"
    if kind.turned:
        same = Task("positives", task.level, task.chromogen, task.state, task.seed)
        return _turn(draw(same, folder), path, kind.turned)
    if path.is_file() and (folder / f"{task.name}.truth" / "truth.json").is_file():
        return path
    return write_phantom(task.spec, folder, task.name)


def _turn(slide: Path, path: Path, how: str) -> Path:
    """The same pixels, turned by 90 degrees or mirrored, without loss."""
    with open_slide(slide) as opened:
        rgb = opened.read(Region(0, 0, opened.width, opened.height))
        per_cm = 1e4 / opened.pixel_size.x_um
    rgb = np.rot90(rgb) if how == "turned" else rgb[:, ::-1]
    tifffile.imwrite(
        path, np.ascontiguousarray(rgb), tile=(256, 256), photometric="rgb", compression="deflate",
        resolution=(per_cm, per_cm), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


def count(task: Task, phantoms: Path, numbers: Path) -> dict[str, Any]:
    """Draw, count, judge; the figures are kept in `numbers` as one small JSON."""
    path = draw(task, phantoms)
    with TemporaryDirectory() as folder:
        slide = count_slide(path, folder, markers=[f"IFNG:{task.chromogen}"])
        if KINDS[task.kind].turned:
            rows: dict[str, Any] = {
                "positive_cells": {"n_found": int(slide.markers["IFNG"]["n_positive"])},
                "n_cells": int(slide.summary["n_cells"]),
                "area_mm2": slide.summary["tissue_area_mm2"],
            }
        else:
            truth = phantoms / f"{task.name}.truth"
            (rows,) = evaluate_slide(slide, truth)
            if task.kind == "positives":
                rows["ceilings"] = {"perfect": ownership_ceiling(truth, "IFNG")} | step_ceilings(
                    slide, truth, "IFNG"
                )
        rows |= {"rejected": slide.markers["IFNG"]["rejected"], "flags": slide.summary["flags"]}
        rows["marker_flags"] = slide.markers["IFNG"]["flags"]
    content = {"task": asdict(task), "counted_by": state_of_code(), "figures": rows}
    write_json(numbers / f"{task.name}.json", content)
    return content


@cache
def state_of_code() -> dict[str, str]:
    """What can change a count, in three words: version, digest of the models, digest of the code."""
    package = Path(str(files("ishcount")))
    counting = ("core", "slide", "steps", "quantify")
    code = sorted(path for name in counting for path in (package / name).rglob("*.py"))
    return {
        "version": __version__,
        "models": _digest(sorted((package / "data").glob("*.json"))),
        "code": _digest(code),
    }


def _digest(paths: list[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:12]


def load(numbers: Path, wanted: list[Task]) -> list[dict[str, Any]]:
    """Figures that are there, in the order of the tasks."""
    found = [numbers / f"{task.name}.json" for task in wanted]
    return [json.loads(path.read_text("utf-8")) for path in found if path.is_file()]
