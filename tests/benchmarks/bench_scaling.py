"""Cores: `python tests/benchmarks/bench_scaling.py [--side 20480] [--runs 3] [--dask]`.

One slide (420 megapixels) by one worker process and by two, in turn, by the clock: worth reading on a machine
that does nothing else, so the load is printed beside each run. Says where the time went: seconds of each
stage, and the share of the run in which only one process can work (planning, finishing, the table).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from measured import about_machine

from ishcount.params import Params
from ishcount.study.jobs import RunOptions
from ishcount.study.run import run_study
from ishcount.study.sheet import sheet_of_slides


def run(slide: Path, out: Path, **how: Any) -> tuple[float, dict[str, float]]:
    """Seconds by the clock, and of each stage summed over workers."""
    shutil.rmtree(out, ignore_errors=True)
    sheet = sheet_of_slides([slide], {"IFNG": how.pop("chromogen", "dab")}, None)
    start = time.perf_counter()
    result = run_study(
        sheet, out, params=Params(), options=RunOptions(outputs="tables", **how), keep_others=True
    )
    took = time.perf_counter() - start
    if result.exit_code:
        raise SystemExit(result.outcomes[0].reason)
    stages = json.loads((out / "run.json").read_text("utf-8"))["slides"][0]["seconds"]
    return took, stages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=20480)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dask", action="store_true")
    parser.add_argument("--skin", action="store_true", help="a drawn skin section with red dots instead")
    options = parser.parse_args()
    print(about_machine())
    with tempfile.TemporaryDirectory() as scratch:
        from repeated_slide import skin_unit, write_repeated

        unit = skin_unit() if options.skin else None
        slide = write_repeated(Path(scratch) / "slide.tif", options.side, blank_share=0.02, unit=unit)
        out = Path(scratch) / "out"
        run(write_repeated(Path(scratch) / "warm.tif", 4096), out, n_workers=1)
        ratios, dask, dye = [], [], "fast_red" if options.skin else "dab"
        for _ in range(options.runs):
            one, alone = run(slide, out, n_workers=1, chromogen=dye)
            two, shared = run(slide, out, n_workers=2, chromogen=dye)
            ratios.append(one / two)
            print(
                f"load {os.getloadavg()[0]:.1f}: one worker {one:.1f} s, two {two:.1f} s, {one / two:.2f} x"
            )
            for name, stages in (("one", alone), ("two", shared)):
                print(f"  {name}: " + ", ".join(f"{stage} {s:.1f}" for stage, s in stages.items()))
            if options.dask:
                dask.append(dask_over(slide, out, two, dye))
        print(f"two workers are {statistics.median(ratios):.2f} x as fast as one (median)")
        if dask:
            print(f"Dask takes {statistics.median(dask):.3f} x the time of worker processes (median)")


def dask_over(slide: Path, out: Path, seconds: float, dye: str) -> float:
    """Time with a Dask cluster of two processes over `seconds`."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        run(slide, out, scheduler=cluster.scheduler_address, chromogen=dye)  # its workers load what they need
        took, _ = run(slide, out, scheduler=cluster.scheduler_address, chromogen=dye)
    print(f"  Dask {took:.1f} s", flush=True)
    return took / seconds


if __name__ == "__main__":
    main()
