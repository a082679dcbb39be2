"""Peak memory against slide size: `python tests/benchmarks/bench_memory.py [--sides 10240 30720 100352]`.

Each stage runs in a process of its own, forked as workers are, and reports its peak resident memory with the
libraries it loads. The slides are made by repeating tiles; --share says which share of each is tissue (the
last number goes on for the others), since counting 10,000 megapixels of tissue takes some CPU minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from measured import about_machine, job_of, peak_mb

from ishcount.quantify import SlideJob, count_block, finish, prepare
from ishcount.quantify.divide import divide


def planned(job: SlideJob) -> tuple[list[str], float]:
    plan = prepare(job)
    return list(plan.keys), plan.megapixels


def counted(job: SlideJob, keys: list[str]) -> None:
    for key in keys:
        count_block(job, key)


def finished(job: SlideJob) -> int:
    return int(finish(job)["n_cells"])


def measure(side: int, share: float, folder: Path) -> None:
    """Print the peaks of one slide."""
    from repeated_slide import write_repeated

    slide = write_repeated(folder / "slide.tif", side, blank_share=1 - share)
    job = job_of(slide, folder, "all")
    plan_mb, (keys, megapixels) = peak_mb(planned, job)
    count_mb, _ = peak_mb(counted, job, keys)
    divide_mb, _ = peak_mb(divide, job)
    finish_mb, n_cells = peak_mb(finished, job)
    summary = json.loads((job.folder / "summary.json").read_text("utf-8"))
    candidates = summary["markers"]["IFNG"]["n_candidates"]
    print(
        f"{side:7d} x {side:<7d} {megapixels:7.0f} MP of tissue, {n_cells} cells, {candidates} candidates: "
        f"planning {plan_mb:.0f} MB, compartments {divide_mb:.0f} MB, counting {count_mb:.0f} MB, "
        f"finishing {finish_mb:.0f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[10240, 30720, 100352])
    parser.add_argument("--share", type=float, nargs="+", help="of each side in turn (.9, .5, .1)")
    options = parser.parse_args()
    shares = options.share or [0.9, 0.5, 0.1]
    shares += shares[-1:] * (len(options.sides) - len(shares))
    print(about_machine())
    for side, share in zip(options.sides, shares, strict=False):
        folder = Path(tempfile.mkdtemp())
        try:
            measure(side, share, folder)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
