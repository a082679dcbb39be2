"""One slide: the order of the steps, over blocks.

open -> pixel size -> overview -> tissue map -> stains, thresholds and noise learned once from sampled windows
(`prepare`) -> each block on its own (`count_block`) -> merge, owners, copies, ids, labels, tables (`finish`).
The three run in any process, in any order of blocks, on any engine; `count_slide` runs them here and now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ishcount.core.files import folder_name
from ishcount.params import Params
from ishcount.quantify.block import count_block
from ishcount.quantify.finish import finish
from ishcount.quantify.job import Plan, SlideJob
from ishcount.quantify.network import with_network
from ishcount.quantify.prepare import prepare
from ishcount.result import SlideResult, load_slide_result

__all__ = ["Plan", "SlideJob", "count_block", "count_slide", "finish", "prepare"]


def count_slide(
    slide: str | Path,
    out: str | Path,
    *,
    markers: Sequence[str] = ("signal",),
    params: Params | None = None,
    mpp: float | None = None,
    slide_id: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SlideResult:
    """Count one slide into `out`/slides/<slide_id> and give the result back.

    markers: "IFNG" or "IFNG:fast_red", at most two. mpp: um per pixel where the file does not say. progress
    is called with blocks done and blocks in all. Raises SlideError when the slide cannot be counted.
    """
    name = slide_id or Path(slide).name.split(".")[0]
    pairs = tuple((text.partition(":")[0], text.partition(":")[2] or "auto") for text in markers)
    folder = folder_name(name)
    job = SlideJob(
        slide=str(slide),
        slide_id=name,
        folder=Path(out) / "slides" / folder,
        work=Path(out) / ".ishcount" / "slides" / folder,
        markers=pairs,
        params=with_network(params or Params()),
        option_mpp=mpp,
    )
    plan = prepare(job)
    for done, key in enumerate(plan.keys, start=1):
        count_block(job, key)
        if progress:
            progress(done, len(plan.keys))
    finish(job)
    return load_slide_result(job.folder)
