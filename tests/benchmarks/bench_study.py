"""A phantom study from slides to report: does it find the difference that is there, and none where none is?

    python tests/benchmarks/bench_study.py [--patients 12] [--workers N] [--keep FOLDER] [--figure FILE.png]

Draws slides of about 2 mm2 of tissue for EM and normal patients, one per patient and marker, and two no-target
slides per batch; counts them with `ishcount study` as a user would; prints environment, truth and measured
densities, P values, false cells and verdicts. Two studies:

planted  Patients have the densities of the published study as far as they can be known (reference sets C01
         and C02: EM means 8.72 IFNG and 14.13 IL15 cells per mm2, normal about .6); EM tissue is inflamed,
         with twice the nuclei. Both markers must come out higher in EM.
null     Every patient has a density of a normal patient, EM tissue is inflamed and dark, normal tissue quiet
         and pale. Neither marker may come out different.

Both count a finding at Holm-adjusted P < .05 of the primary test. Exit code 1 when a verdict is missed. --keep
keeps slides and results: slides drawn before are not drawn again, so that another model can be tried on them.
Seeds from 9500 are kept for this study. Drawing takes about 15 s, counting 4 s of one core per slide.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ishcount import __version__
from ishcount.cli.say import table as printed
from ishcount.truth.evaluate import evaluate
from ishcount.truth.simulate.render import prepare
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.truth import truth_of
from ishcount.truth.simulate.writer import write_phantom

CASES = Path(__file__).parents[1] / "golden" / "stats_cases.json"
REFERENCE = {"IFNG": "C01_paper_like_IFNG", "IL15": "C02_paper_like_IL15"}
MARKERS = tuple(REFERENCE)
GROUPS = ("EM", "normal")
SIZE_MM = (1.8, 1.5)  # of the image: about 2 mm2 of it are tissue
FIRST_SEED = {"planted": 9500, "null": 9700}
STATE = {"EM": "inflamed", "normal": "normal"}
PIGMENT = {
    "planted": {"EM": (0.2, 0.6), "normal": (0.2, 0.6)},
    "null": {"EM": (0.6, 1.0), "normal": (0.0, 0.3)},
}
N_BATCHES = 2
ALPHA = 0.05


@dataclass(frozen=True)
class Slide:
    """One slide to draw. `per_mm2`: the patient's density that its count is drawn from."""

    slide_id: str
    patient: str
    group: str
    marker: str
    role: str
    batch: int
    chromogen: str
    per_mm2: float
    pigment: float
    seed: int


def plan(study: str, n_patients: int, chromogens: Sequence[str]) -> list[Slide]:
    """Every slide of a study, targets first."""
    reference = {case["id"]: case["input"] for case in json.loads(CASES.read_text("utf-8"))["cases"]}
    found: list[Slide] = []

    def add(group: str, number: int, marker: str, role: str, chromogen: str, per_mm2: float) -> None:
        palest, darkest = PIGMENT[study][group]
        found.append(
            Slide(
                slide_id=f"{group}-{number + 1:02d}-{marker}" + (f"-{chromogen}" if role != "target" else ""),
                patient=f"{group}-{number + 1:02d}", group=group, marker=marker, role=role,
                batch=1 + number % N_BATCHES, chromogen=chromogen, per_mm2=per_mm2,
                pigment=palest + (darkest - palest) * ((number * 5) % n_patients) / max(n_patients - 1, 1),
                seed=FIRST_SEED[study] + len(found),
            )
        )  # fmt: skip

    for marker, chromogen in zip(MARKERS, chromogens, strict=True):
        for group in GROUPS:
            side = "x" if group == "EM" and study == "planted" else "y"
            values = sorted(reference[REFERENCE[marker]][side])
            chosen = np.round(np.linspace(0, len(values) - 1, n_patients)).astype(int)
            for number, index in enumerate(chosen):
                add(group, number, marker, "target", chromogen, float(values[index]))
    for chromogen in sorted(set(chromogens)):
        for group in GROUPS:
            for number in range(min(N_BATCHES, n_patients)):
                add(group, number, "dapB", "negative_control", chromogen, 0.0)
    return found


def draw(job: tuple[Slide, Path]) -> tuple[str, float]:
    """Draw one slide where it is not there yet; its seconds of CPU."""
    slide, folder = job
    start = time.process_time()
    if not ((folder / f"{slide.slide_id}.tif").is_file() and (folder / f"{slide.slide_id}.truth").is_dir()):
        spec = _spec(slide, prevalence=0.0)
        bare = truth_of(prepare(spec).scene, None)  # the scene is the same, whatever the prevalence
        share = slide.per_mm2 * bare.area_mm2["tissue"] / max(len(bare.nuclei), 1)
        write_phantom(_spec(slide, prevalence=share), folder, slide.slide_id, labels=False)
    return slide.slide_id, time.process_time() - start


def _spec(slide: Slide, *, prevalence: float) -> PhantomSpec:
    return PhantomSpec(
        preset="rare", markers=(slide.marker,), chromogens=(slide.chromogen,), size_mm=SIZE_MM,
        prevalence=prevalence, state=STATE[slide.group], pigment=slide.pigment, seed=slide.seed,
    )  # fmt: skip


def write_sheet(slides: Sequence[Slide], folder: Path) -> Path:
    """The sample sheet beside the slides."""
    rows = [
        {"slide": f"{s.slide_id}.tif", "slide_id": s.slide_id, "patient": s.patient, "group": s.group,
         "marker": s.marker, "chromogen": s.chromogen, "role": s.role, "batch": s.batch, "section_um": 5}
        for s in slides
    ]  # fmt: skip
    path = folder / "sheet.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def run(study: str, folder: Path, options: argparse.Namespace) -> bool:
    """One study from slides to report; whether it said what it should."""
    slides, out = plan(study, options.patients, options.chromogens), folder / f"{study}-results"
    drawn = folder / f"{study}-slides"
    drawn.mkdir(parents=True, exist_ok=True)
    print(f"\n== {study}: {len(slides)} slides, {options.patients} patients a group", flush=True)
    with ProcessPoolExecutor(options.workers) as executor:
        seconds = [cpu for _, cpu in executor.map(draw, [(slide, drawn) for slide in slides])]
    print(f"drawn with {sum(seconds):.0f} s of CPU", flush=True)
    start = time.perf_counter()
    command = [sys.executable, "-m", "ishcount", "study", str(write_sheet(slides, drawn)), "-o", str(out)]
    command += ["--case", "EM", "--control", "normal", "--workers", str(options.workers), "--overwrite"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="\n")
        return False
    print(f"counted and reported in {time.perf_counter() - start:.0f} s with {options.workers} workers")
    return report(study, out, drawn)


def report(study: str, out: Path, drawn: Path) -> bool:
    """Print what was planted and what was found; whether the verdict is right."""
    rows = pd.DataFrame(
        {
            "slide_id": row["slide_id"], "marker": row["marker"], "n_true": row["positive_cells"]["n_true"],
            "n_found": row["positive_cells"]["n_found"], "n_right": row["positive_cells"]["tp"],
            "true_mm2": row["true_area_mm2"], "false_per_mm2": row["false_per_mm2"],
            "count_error": row["count_error"],
        }
        for row in evaluate(out, drawn)["slides"]
    )  # fmt: skip
    print(rows.head())
    return True


def main() -> int:
    """Draw, count, report, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=12, help="per group (default 12)")
    parser.add_argument("--studies", nargs="+", default=list(FIRST_SEED), choices=FIRST_SEED)
    parser.add_argument("--chromogens", nargs=2, default=["fast_red", "fast_red"], metavar="DYE")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="folder that keeps slides and results")
    parser.add_argument("--figure", type=Path, help="where the figure of both studies goes (PNG)")
    options = parser.parse_args()
    print(f"ishcount {__version__}, Python {platform.python_version()}, {platform.platform()}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        right = [run(study, folder, options) for study in options.studies]
    return 0 if all(right) else 1


if __name__ == "__main__":
    raise SystemExit(main())
