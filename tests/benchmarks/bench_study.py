"""A phantom study from slides to report: does it find the difference that is there, and none where none is?

    python tests/benchmarks/bench_study.py [--patients 12] [--workers N] [--keep FOLDER] [--figure FILE.png]

Draws slides of 2 mm2 for EM and normal patients, one per patient and marker (IFNG as Fast Red, IL15 as DAB),
and four blank (dapB) slides per group and dye; counts them with `ishcount study` as a user would; prints
environment, truth and measured densities, P values, false cells, what the report warns of and verdicts. Two
studies:

planted  Patients have the densities of the published study as far as they can be known (reference sets C01
         and C02: EM means 8.72 IFNG and 14.13 IL15 cells per mm2, normal about .6). Both markers must come
         out higher in EM.
null     The same tissue and the same normal slides, but every EM patient has a density of a normal one.
         Neither marker may come out different.

In both, EM tissue is inflamed (twice the nuclei) and dark, normal tissue quiet and pale: what breeds false
cells goes with the group.

Both call it a finding at Holm-adjusted P < .05 of the primary test. Exit code 1 when a verdict is wrong.
Without --keep slides and results are deleted at the end. --keep keeps both, and a run that was broken off
goes on from there: what was drawn is not drawn again, what was counted not counted again (but see --recount,
for another model on the same slides). Seeds from 9500 are kept for this study. Drawing takes 14 s of one core
per slide (88 slides), counting 4 s (64 slides a study).
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

import numpy as np
import pandas as pd

from ishcount import __version__
from ishcount.cli.options import parse_markers
from ishcount.cli.say import table as printed
from ishcount.outputs.style import INK, drawing, settle
from ishcount.report.answers import doubts
from ishcount.report.blanks import remarks
from ishcount.report.figures.drawn import CASE_COLOUR, CONTROL_COLOUR, from_zero, new_figure, spread
from ishcount.result import load_result
from ishcount.stats.permutation import permutation_test
from ishcount.stats.wording import format_estimate, format_p
from ishcount.truth.evaluate import evaluate
from ishcount.truth.simulate.render import prepare
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.truth import truth_of
from ishcount.truth.simulate.writer import write_phantom

CASES = Path(__file__).parents[1] / "golden" / "stats_cases.json"
REFERENCE = {"IFNG": "C01_paper_like_IFNG", "IL15": "C02_paper_like_IL15"}
MARKERS = ("IFNG:fast_red", "IL15:dab")
GROUPS = ("EM", "normal")
WIDTH_UM, HEIGHT_UM = 1600.0, 1250.0  # of the image: about 1.45 mm2 of it are tissue
STUDIES = ("planted", "null")
MEANS = ("counted", "true")
FIRST_SEED = 9500
STATE = {"EM": "inflamed", "normal": "normal"}
PIGMENT = {"EM": (0.6, 1.0), "normal": (0.0, 0.3)}
N_BATCHES = 2
N_BLANKS = 4  # per group and dye
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


def plan(study: str, n_patients: int, markers: dict[str, str]) -> list[Slide]:
    """Every slide of a study, targets first; normal and blank slides are the same in both studies."""
    reference = {case["id"]: case["input"] for case in json.loads(CASES.read_text("utf-8"))["cases"]}
    found: list[Slide] = []

    def add(group: str, number: int, marker: str, chromogen: str, per_mm2: float | None) -> None:
        palest, darkest = PIGMENT[group]
        own = group == "EM" and per_mm2 is not None
        patient = f"{group}-{number + 1:02d}"
        found.append(
            Slide(
                slide_id=f"{study + '-' if own else ''}{patient}-{marker}-{chromogen}",
                patient=patient, group=group, marker=marker, batch=1 + number % N_BATCHES,
                role="negative_control" if per_mm2 is None else "target",
                chromogen=chromogen, per_mm2=per_mm2 or 0.0, seed=FIRST_SEED + len(found),
                pigment=palest + (darkest - palest) * ((number * 5) % n_patients) / max(n_patients - 1, 1),
            )
        )  # fmt: skip

    for marker, chromogen in markers.items():
        for group in GROUPS:
            values = sorted(reference[REFERENCE[marker]]["x" if (group, study) == ("EM", "planted") else "y"])
            chosen = np.round(np.linspace(0, len(values) - 1, n_patients)).astype(int)
            for number, index in enumerate(chosen):
                add(group, number, marker, chromogen, float(values[index]))
    for chromogen in sorted(set(markers.values())):
        for group in GROUPS:
            for number in range(min(N_BLANKS, n_patients)):
                add(group, number, "dapB", chromogen, None)
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
        preset="rare", markers=(slide.marker,), chromogens=(slide.chromogen,), width_um=WIDTH_UM,
        height_um=HEIGHT_UM, prevalence=prevalence, state=STATE[slide.group], pigment=slide.pigment,
        seed=slide.seed,
    )  # fmt: skip


def write_sheet(study: str, slides: Sequence[Slide], folder: Path) -> Path:
    """The sample sheet beside the slides."""
    rows = [
        {"slide": f"{s.slide_id}.tif", "slide_id": s.slide_id, "patient": s.patient, "group": s.group,
         "marker": s.marker, "chromogen": s.chromogen, "role": s.role, "batch": s.batch, "section_um": 5}
        for s in slides
    ]  # fmt: skip
    path = folder / f"{study}.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def run(study: str, folder: Path, options: argparse.Namespace) -> pd.DataFrame | None:
    """One study from slides to report; a row per slide, or None where the run failed."""
    slides, out = plan(study, options.patients, parse_markers(options.markers)), folder / f"{study}-results"
    drawn = folder / "slides"
    drawn.mkdir(parents=True, exist_ok=True)
    print(f"\n== {study}: {len(slides)} slides, {options.patients} patients a group", flush=True)
    with ProcessPoolExecutor(options.workers) as executor:
        seconds = [cpu for _, cpu in executor.map(draw, [(slide, drawn) for slide in slides])]
    print(f"drawn with {sum(seconds):.0f} s of CPU", flush=True)
    start = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "ishcount",
        "study",
        str(write_sheet(study, slides, drawn)),
        "-o",
        str(out),
    ]
    command += ["--case", "EM", "--control", "normal", "--workers", str(options.workers)]
    command += ["--outputs", "tables"] if options.tables else []
    command += ["--overwrite", "--no-resume"] if options.recount else []
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="\n")
        return None
    print(f"counted and reported in {time.perf_counter() - start:.0f} s with {options.workers} workers")
    return measured(out, drawn)


def measured(out: Path, drawn: Path) -> pd.DataFrame:
    """One row per slide: what was planted and what was counted, targets and no-target slides."""
    table = pd.read_parquet(out / "densities.parquet")
    table = table[table["compartment"] == "tissue"]
    sides = table.set_index("slide_id")[["patient", "group", "role", "positive_per_mm2"]]
    rows = pd.DataFrame(
        {
            "slide_id": row["slide_id"], "marker": row["marker"], "true_per_mm2": row["true_per_mm2"],
            "n_true": row["positive_cells"]["n_true"], "n_right": row["positive_cells"]["n_matched"],
            "n_false": row["n_false_cells"], "area_mm2": row["area_mm2"],
        }
        for row in evaluate(out, drawn)["slides"]
    )  # fmt: skip
    return rows.join(sides, on="slide_id")


def report(study: str, out: Path, rows: pd.DataFrame) -> bool:
    """Print what was planted and what was found; whether the verdicts are right."""
    statistics = json.loads((out / "statistics.json").read_text("utf-8"))
    comparisons = {c["marker"]: c for c in statistics["comparisons"] if c["compartment"] == "tissue"}
    lines = [
        [marker, group, str(len(part)), *_mean_sd(part["true_per_mm2"]), *_mean_sd(part["positive_per_mm2"]),
         f"{part['n_right'].sum() / max(part['n_true'].sum(), 1):.2f}",
         f"{part['n_false'].sum() / part['area_mm2'].sum():.2f}"]
        for (marker, group), part in rows.groupby(["marker", "group"])
    ]  # fmt: skip
    header = ["marker", "group", "slides", "true mean", "SD", "counted mean", "SD", "recall", "false per mm2"]
    print(printed(header, lines))
    verdicts = []
    for marker in comparisons:
        found, part = comparisons[marker], rows[rows["marker"] == marker]
        truth = permutation_test(*(part.loc[part["group"] == g, "true_per_mm2"].tolist() for g in GROUPS))
        is_finding = found["p_holm"] is not None and found["p_holm"] < ALPHA
        is_more = is_finding and found["tests"]["permutation"]["estimate"] > 0
        verdicts.append(is_more if study == "planted" else not is_finding)
        test = found["tests"]["permutation"]
        print(
            f"{marker}: EM minus normal {format_estimate(test['estimate'], test['ci'])}, "
            f"{format_p(test['p'])}, Holm {format_p(found['p_holm'])}; the same test on the truth "
            f"{format_p(truth['p'])}: "
            + ("difference found" if is_finding else "no difference found")
            + (", right" if verdicts[-1] else ", WRONG")
        )
        print("".join(f"  report: {line}\n" for line in remarks(found)), end="")
    densities = pd.read_parquet(out / "densities.parquet")
    params = load_result(out).params.model_dump(mode="json")
    for doubt in doubts(densities, statistics, params=params):
        if doubt.level == "stop":
            print(f"  report, stop: {doubt.text}")
    for name in ("report.html", "report.pdf", "densities.xlsx"):
        print(f"{name}: {(out / name).stat().st_size / 1e6:.1f} MB")
    return all(verdicts)


def _mean_sd(values: pd.Series) -> tuple[str, str]:
    return f"{values.mean():.2f}", f"{values.std():.2f}"


def draw_figure(studies: dict[str, pd.DataFrame], folder: Path, path: Path) -> None:
    """Counted densities of every patient, their mean (thick) and the true mean (thin); a panel per study and
    marker.
    """
    titles = {"planted": "difference planted", "null": "no difference planted"}
    with drawing():
        panels = [
            (study, marker) for study, rows in studies.items() for marker in sorted(set(rows["marker"]))
        ]
        figure = new_figure(min(7.0, 2.4 * len(panels)), 2.6)
        for place, (study, marker) in enumerate(panels, start=1):
            axes = figure.add_subplot(1, len(panels), place)
            rows = studies[study][lambda table, marker=marker: table["marker"] == marker]
            highest = max(float(rows["positive_per_mm2"].max()), 1.0)
            for x, group in enumerate(reversed(GROUPS)):
                mine = rows[rows["group"] == group]
                values = mine["positive_per_mm2"].to_numpy(float)
                colour = CASE_COLOUR if group == "EM" else CONTROL_COLOUR
                axes.scatter(
                    x + spread(values, height=highest) - 0.1, values, s=13, linewidths=0.8, edgecolors=colour,
                    facecolors=colour if group == "EM" else "white", zorder=3,
                )  # fmt: skip
                means = values.mean(), mine["true_per_mm2"].mean()
                for at, mean, width, name in zip((0.36, 0.56), means, (2.0, 0.9), MEANS, strict=True):
                    label = name if place == 1 and group == "EM" else None
                    axes.plot([x + at - 0.08, x + at + 0.08], [mean, mean], color=INK, lw=width, label=label)
            axes.set_xticks([0, 1], [f"{g}\nn = {(rows['group'] == g).sum()}" for g in reversed(GROUPS)])
            axes.set_xlim(-0.5, 1.75)
            if place == 1:
                axes.legend(title="mean", loc="upper left", fontsize=6, title_fontsize=6, handlelength=1.4)
            from_zero(axes, highest)
            axes.set_ylabel(f"{marker}+ cells/mm\u00b2")
            statistics = json.loads((folder / f"{study}-results" / "statistics.json").read_text("utf-8"))
            p = next(c["p_holm"] for c in statistics["comparisons"]
                     if (c["marker"], c["compartment"]) == (marker, "tissue"))  # fmt: skip
            axes.set_title(f"{titles[study]}\n$\\it{{P}}${format_p(p)[1:]}", fontsize=7)
        settle(figure)
        figure.savefig(path, dpi=150, metadata={"Software": None})


def main() -> int:
    """Draw, count, report, judge."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=12, help="per group (default 12)")
    parser.add_argument("--studies", nargs="+", default=list(STUDIES), choices=STUDIES)
    parser.add_argument(
        "--markers",
        nargs="+",
        default=list(MARKERS),
        metavar="NAME:DYE",
        help="default IFNG:fast_red IL15:dab",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="folder that keeps slides and results")
    parser.add_argument("--tables", action="store_true", help="no labels, GeoJSON and pictures")
    parser.add_argument(
        "--recount", action="store_true", help="count again what --keep holds, e.g. another model"
    )
    parser.add_argument("--figure", type=Path, help="where the figure of both studies goes (PNG)")
    options = parser.parse_args()
    print(f"ishcount {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"numpy {np.__version__}, pandas {pd.__version__}, {os.cpu_count()} cores; {options.markers}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        right, counted = [], {}
        for study in options.studies:
            rows = run(study, folder, options)
            if rows is None:
                return 1
            right.append(report(study, folder / f"{study}-results", rows))
            counted[study] = rows[rows["role"] == "target"]
        if options.figure:
            draw_figure(counted, folder, options.figure)
    print("every verdict is right" if all(right) else "A VERDICT IS WRONG")
    return 0 if all(right) else 1


if __name__ == "__main__":
    raise SystemExit(main())
