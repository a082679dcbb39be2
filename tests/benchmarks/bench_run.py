"""What a run costs: `python tests/benchmarks/bench_run.py [--slide FILE --mpp F] [--repeats N] [--dask]`.

Without --slide a phantom of --size mm is drawn. Prints machine and versions, then seconds and rates for 1 and
2 worker processes (and a Dask cluster on this machine), what each stage costs beside counting, and what the
files take. These numbers stand in `study/forecast.py` and `cli/progress.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ishcount import __version__
from ishcount.params import Params
from ishcount.study.jobs import RunOptions
from ishcount.study.run import run_study
from ishcount.study.sheet import sheet_of_slides


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slide", type=Path)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--size", type=float, default=2.0, help="side of the drawn phantom, mm")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--dask", action="store_true")
    options = parser.parse_args()
    print(f"ishcount {__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"{os.cpu_count()} cores")
    print(f"load before: {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "")
    with tempfile.TemporaryDirectory() as folder:
        slide = options.slide or draw(Path(folder), options.size)
        measure(slide, Path(folder), options)


def draw(folder: Path, side_mm: float) -> Path:
    from ishcount.truth.simulate.spec import PhantomSpec
    from ishcount.truth.simulate.writer import write_phantom

    print(f"drawing a phantom of {side_mm:g} x {side_mm:g} mm")
    spec = PhantomSpec(preset="medium", seed=1, width_um=1000 * side_mm, height_um=1000 * side_mm)
    return write_phantom(spec, folder, "phantom", labels=False)


def measure(slide: Path, folder: Path, options: argparse.Namespace) -> None:
    ways: dict[str, dict[str, Any]] = {"1 worker": {"n_workers": 1}, "2 workers": {"n_workers": 2}}
    run(slide, folder / "warm", options.mpp, n_workers=1, outputs="all")  # compiles what is not compiled yet
    seconds = {}
    for outputs in ("tables", "all"):
        for name, how in ways.items():
            seconds[outputs, name] = repeat(
                slide, folder, options, f"{outputs}, {name}", outputs=outputs, **how
            )
    if options.dask:
        with local_cluster() as address:
            seconds["tables", "dask"] = repeat(
                slide, folder, options, "tables, Dask with 2 workers", outputs="tables", scheduler=address
            )
        ratio = seconds["tables", "dask"] / seconds["tables", "2 workers"]
        print(f"Dask takes {ratio:.3f} x the time of processes")
    print(
        f"2 workers are {seconds['tables', '1 worker'] / seconds['tables', '2 workers']:.2f} x as fast as 1"
    )
    ratio = seconds["all", "1 worker"] / seconds["tables", "1 worker"]
    print(f"with pictures, labels and GeoJSON: {ratio:.2f} x the time")


def repeat(slide: Path, folder: Path, options: argparse.Namespace, name: str, **how: Any) -> float:
    """Median seconds of the repeats; prints it with rates, stage costs and file sizes."""
    found = []
    for _ in range(options.repeats):
        out = folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        start = time.perf_counter()
        run(slide, out, options.mpp, **how)
        found.append(time.perf_counter() - start)
    about = json.loads((out / "run.json").read_text("utf-8"))["slides"][0]
    megapixels, stages = about["megapixels_counted"], about["seconds"]
    megabytes = sum(path.stat().st_size for path in (out / "slides").rglob("*") if path.is_file()) / 1e6
    middle = statistics.median(found)
    costs = ", ".join(f"{stage} {stages[stage] / stages['count']:.2f}" for stage in ("plan", "finish"))
    print(
        f"{name}: {middle:.1f} s, {megapixels / middle:.1f} megapixels of tissue per second; "
        f"beside counting: {costs}; {megabytes / megapixels:.3f} MB per megapixel"
    )
    return middle


def run(slide: Path, out: Path, mpp: float | None, **how: Any) -> None:
    sheet = sheet_of_slides([slide], {"IFNG": "fast_red"}, None)
    result = run_study(sheet, out, params=Params(), options=RunOptions(mpp=mpp, **how), keep_others=True)
    if result.exit_code:
        raise SystemExit(f"{slide.name} was not counted: {result.outcomes[0].reason}")


@contextmanager
def local_cluster() -> Iterator[str]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


if __name__ == "__main__":
    main()
