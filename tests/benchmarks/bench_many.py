"""Many slides in one run: `python tests/benchmarks/bench_many.py [--slides 200] [--workers 2]`.

Small slides (1024 pixels, all with tissue) in one study. After each tenth: resident memory of the main
process and of its workers, and open files; at the end, memory over that after the first tenth, and what is
left in the folder for temporary files and half-written in the output.
"""

from __future__ import annotations

import argparse
import multiprocessing.util
import os
import tempfile
from pathlib import Path
from typing import Any

from measured import about_machine
from repeated_slide import write_repeated

from ishcount.params import Params
from ishcount.study.jobs import RunOptions
from ishcount.study.run import Quiet, run_study
from ishcount.study.sheet import sheet_of_slides


def resident_mb(process: int) -> float:
    """Resident memory of a process in MB, 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def descendants(process: int) -> list[int]:
    """Process ids of children, their children and so on."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            if parent == process:
                found += [int(entry.name), *descendants(int(entry.name))]
    return found


class Watch(Quiet):
    """Notes memory and open files after every tenth of the slides."""

    def __init__(self, n_slides: int) -> None:
        self.step, self.n_ended, self.notes = max(1, n_slides // 10), 0, []

    def ended(self, outcome: Any) -> None:
        self.n_ended += 1
        if self.n_ended % self.step:
            return
        main = resident_mb(os.getpid())
        workers = sorted((resident_mb(child) for child in descendants(os.getpid())), reverse=True)[:2]
        files = len(os.listdir("/proc/self/fd"))
        self.notes.append((main, max(workers, default=0.0), files))
        told = ", ".join(f"{worker:.0f}" for worker in workers)
        print(f"{self.n_ended} slides: main {main:.0f} MB, workers {told} MB, {files} open files", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(about_machine())
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        temporary = Path(scratch) / "tmp"
        temporary.mkdir()
        multiprocessing.util.get_temp_dir()  # this process' own, removed when all else is: not in there
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        slides = []
        for number in range(options.slides):
            slides.append(write_repeated(Path(scratch) / f"s{number:03d}.tif", 1024))
            with slides[-1].open("ab") as file:
                file.write(number.to_bytes(4, "little"))  # no two slides are the same file
        watch = Watch(options.slides)
        out = Path(scratch) / "out"
        result = run_study(
            sheet_of_slides(slides, {"IFNG": "dab"}, None), out, params=Params(), watcher=watch,
            options=RunOptions(n_workers=options.workers), keep_others=True,
        )  # fmt: skip
        first, last = watch.notes[0], watch.notes[-1]
        print(f"exit code {result.exit_code}; memory at the end over that after a tenth: ")
        print(f"  main {last[0] / first[0]:.3f}, worker {last[1] / first[1]:.3f}")
        print(f"  open files {first[2]}, then {last[2]}")
        left = [path.name for path in temporary.iterdir() if not path.name.startswith("pymp-")]
        half = [path.name for path in out.rglob(".*") if path.name.endswith((".tmp", ".old"))]
        state = out / ".ishcount" / "slides"
        parts = [path for path in state.rglob("*") if path.is_file() and path.name != "done.json"]
        print(f"left: temporary {left or 'none'}, half-written {half or 'none'}, partial files {len(parts)}")


if __name__ == "__main__":
    main()
