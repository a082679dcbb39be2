"""The accuracy table: phantoms of seeds never used in training or tuning, the bars beside, misses included.

    python -m tests.benchmarks.bench_accuracy --folder WORK [--seeds 10] [--presets easy medium hard]
        [--chromogens fast_red dab] [--kinds positives dot_free ...] [-o docs/accuracy_table.md]

WORK keeps the drawn phantoms (some 3 GB for the whole table) and one small JSON of figures per phantom, so
that the table can be made in parts, by several processes, and printed again without counting: what has
figures is not counted again unless --recount. --only draw draws and stops, --only print prints what there is.
With the environment variable ISHCOUNT_REAL_DATA the real blanks are counted as well. Seeds from 9000 are kept
for this table; 9000-9099 have been looked at during development.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.benchmarks.accuracy_phantoms import (
    CHROMOGENS,
    FIRST,
    KINDS,
    LEVELS,
    Task,
    count,
    draw,
    load,
    tasks,
)
from tests.benchmarks.accuracy_real import real_blanks
from tests.benchmarks.accuracy_table import report


def one(job: tuple[Task, Path, Path, bool]) -> str:
    """Draw, or draw and count; a line for the log."""
    task, phantoms, numbers, only_draw = job
    start = time.process_time()
    if only_draw:
        draw(task, phantoms)
    else:
        count(task, phantoms, numbers)
    return f"{task.name} {time.process_time() - start:.1f} s CPU"


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="keeps phantoms and figures")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=9100)
    parser.add_argument("--presets", nargs="+", default=list(LEVELS), choices=LEVELS)
    parser.add_argument("--chromogens", nargs="+", default=list(CHROMOGENS), choices=CHROMOGENS)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--first-look", action="store_true", help=f"the kinds {', '.join(FIRST)} alone")
    parser.add_argument("--phantoms", type=Path, help="drawn phantoms, if not in the folder")
    parser.add_argument("--only", choices=("draw", "print"))
    parser.add_argument("--recount", action="store_true", help="count again what has figures")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    return parser.parse_args()


def main() -> None:
    """Draw, count, print, and write the table where asked."""
    options = parse()
    phantoms, numbers = options.phantoms or options.folder / "phantoms", options.folder / "numbers"
    for folder in (phantoms, numbers):
        folder.mkdir(parents=True, exist_ok=True)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    kinds = list(FIRST) if options.first_look else options.kinds
    wanted = tasks(kinds, options.presets, options.chromogens, seeds)
    left = [
        task
        for task in wanted
        if options.only == "draw" or options.recount or not (numbers / f"{task.name}.json").is_file()
    ]
    if options.only != "print":
        jobs = [(task, phantoms, numbers, options.only == "draw") for task in left]
        with ProcessPoolExecutor(options.workers) as executor:
            for number, line in enumerate(executor.map(one, jobs), start=1):
                print(f"{number}/{len(jobs)} {line}", file=sys.stderr, flush=True)
    if options.only == "draw":
        return
    real = os.environ.get("ISHCOUNT_REAL_DATA")
    blanks = real_blanks(Path(real), numbers, count=options.only != "print") if real else []
    text = report(load(numbers, wanted), seeds, blanks)
    print(text)
    if options.output:
        options.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
