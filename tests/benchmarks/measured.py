"""What the benchmarks share: the machine in words, CPU seconds, peak memory, a slide through its stages.

CPU time and not wall time, and ratios to decoding in the same process: they mean the same on a busy machine.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

sys.path.insert(0, str(Path(__file__).parent))

from ishcount import __version__
from ishcount.quantify import Plan, SlideJob, count_block, finish, prepare
from ishcount.study.executors import settle_in
from ishcount.study.stages import PRELOAD


def about_machine() -> str:
    """Machine, versions and load, for the head of a benchmark's output."""
    from importlib.metadata import version

    packages = ("numpy", "opencv-python-headless", "numba", "imagecodecs", "tifffile")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return "\n".join(
        [
            f"ishcount {__version__}, Python {platform.python_version()}, {platform.platform()}",
            ", ".join(f"{name} {version(name)}" for name in packages),
            f"{platform.machine()}, {cores} cores, load {os.getloadavg()[0]:.1f}",
        ]
    )


def cpu_seconds(call: Callable[[], Any]) -> float:
    """CPU seconds of a call in this process."""
    start = time.process_time()
    call()
    return time.process_time() - start


def job_of(
    slide: Path, folder: Path, outputs: Literal["all", "tables"] = "tables", marker: str = "IFNG:dab"
) -> SlideJob:
    """A job for one slide with its result and partial files below `folder`."""
    name, _, chromogen = marker.partition(":")
    return SlideJob(
        slide=str(slide), slide_id="bench", folder=folder / "out", work=folder / "work",
        markers=((name, chromogen or "auto"),), outputs=outputs,
    )  # fmt: skip


def stage_seconds(job: SlideJob) -> tuple[Plan, dict[str, float]]:
    """CPU seconds of planning, counting and finishing one slide in this process, and its plan."""
    seconds, plans = {}, []
    seconds["plan"] = cpu_seconds(lambda: plans.append(prepare(job)))
    plan = plans[0]
    seconds["count"] = cpu_seconds(lambda: [count_block(job, key) for key in plan.keys])
    seconds["finish"] = cpu_seconds(lambda: finish(job))
    return plan, seconds


def warm_up(folder: Path) -> None:
    """Load what is compiled and drawn before anything is measured: one small slide with all outputs."""
    from repeated_slide import write_repeated

    small = write_repeated(folder / "warm.tif", 4096, blank_share=0.5)
    stage_seconds(job_of(small, folder / "warm", "all"))


def peak_mb(call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Peak resident memory (MB) of a fresh process that makes this call, with its libraries; its value."""
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    ours, theirs = context.Pipe()
    process = context.Process(target=_report_peak, args=(theirs, call, arguments))
    process.start()
    theirs.close()
    try:
        answer: tuple[float, Any] = ours.recv()
    finally:
        process.join()
    return answer


def _report_peak(pipe: Any, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    settle_in()
    value = call(*arguments)
    pipe.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, value))


def tables_only(job: SlideJob) -> SlideJob:
    """The same job without labels, outlines and pictures."""
    return replace(job, outputs="tables")
