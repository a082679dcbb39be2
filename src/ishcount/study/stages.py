"""What workers are asked to do for a slide: importable functions on plain data, safe to do twice.

`Engine` is the seam to the counting of one slide: the study knows the order of the stages, who runs them and
what is on disk already; it knows nothing of pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ishcount.core.errors import SlideError
from ishcount.core.files import read_arrays
from ishcount.core.memory import give_back
from ishcount.slide.source import is_url
from ishcount.study import keep

if TYPE_CHECKING:
    import pandas as pd

    from ishcount.quantify.job import SlideJob

SheetRows = Mapping[str, Mapping[str, Any]]
"""What the sample sheet says of each marker of one slide: marker -> column -> text."""

PRELOAD = ("ishcount.quantify", "ishcount.result", "ishcount.study.stages")
"""What every worker needs; loaded once, in the server that workers are forked from."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The blocks of a slide that are still to count, and how big the whole of them is."""

    keys: tuple[str, ...]
    n_blocks: int
    megapixels: float


@dataclass(frozen=True, slots=True)
class Engine:
    """How one slide is counted. Each function is importable and takes and gives plain data."""

    digest: Callable[[str, dict[str, str]], str]
    prepare: Callable[[SlideJob], tuple[Sequence[str], float]]
    prepared: Callable[[SlideJob], tuple[Sequence[str], float]]
    block_path: Callable[[SlideJob, str], Path]
    divide: Callable[[SlideJob], object]
    count_block: Callable[[SlideJob, str], object]
    finish: Callable[[SlideJob, int], Mapping[str, Any]]
    rows: Callable[[SlideJob, SheetRows], pd.DataFrame]


@dataclass(frozen=True, slots=True)
class Identity:
    """A slide's content digest, what is new for the cache, and whether its result is on disk already."""

    digest: str
    new_in_cache: dict[str, str]
    is_finished: bool


def identify(engine: Engine, job: SlideJob, cache: Mapping[str, str], resume: bool) -> Identity:
    """Who the slide is. An archived slide that cannot be read now keeps a result that is there."""
    known = dict(cache)
    try:
        check_input(job)
        digest = engine.digest(job.slide, known)
    except SlideError as error:
        if error.code == "E_IO" and resume and keep.is_finished(job, None):
            return Identity("", {}, True)
        raise
    new = {key: value for key, value in known.items() if key not in cache}
    return Identity(digest, new, resume and keep.is_finished(job, digest))


def check_input(job: SlideJob) -> None:
    """SlideError for an input that must not even be opened: missing, or no file (a pipe would never end)."""
    if is_url(job.slide):
        return
    path = Path(job.slide)
    try:
        there, usable = path.exists(), path.is_file() or path.is_dir()
    except (OSError, ValueError) as error:
        raise SlideError(f"cannot look at {path.name!r}: {error}; check its path", "E_IO") from error
    if not there:
        raise SlideError(f"there is no file {path.name!r} where the sheet says; check path and share", "E_IO")
    if not usable:
        raise SlideError(f"{path.name!r} is no ordinary file; copy the slide to a disk", "E_FORMAT")


def plan(engine: Engine, job: SlideJob, resume: bool) -> Planned:
    """Learn what the slide teaches before counting, or read what was learned; which blocks are to count."""
    keep.make_ready(job, fresh=not resume)
    try:
        keys, megapixels = engine.prepared(job)
    except (OSError, ValueError, KeyError, TypeError):
        keys, megapixels = engine.prepare(job)
    missing = tuple(key for key in keys if not _is_whole(engine.block_path(job, key)))
    return Planned(missing, len(keys), megapixels)


def _is_whole(path: Path) -> bool:
    """Whether a partial file is there and undamaged."""
    try:
        read_arrays(path)
    except (OSError, ValueError):
        return False
    return True


def divide(engine: Engine, job: SlideJob) -> None:
    """Find the compartments of a planned slide; blocks need not wait for it."""
    engine.divide(job)


def count(engine: Engine, job: SlideJob, keys: Sequence[str]) -> None:
    """Count some blocks; what is found goes to the slide's partial files."""
    for key in keys:
        engine.count_block(job, key)


def finish(engine: Engine, job: SlideJob, n_threads: int) -> Mapping[str, Any]:
    """Merge the partial files, write the slide's result, vouch for it; the summary."""
    if engine.digest(job.slide, {}) != job.slide_digest:
        name = Path(job.slide).name
        raise SlideError(f"{name!r} was changed while it was counted; run the same command again", "E_IO")
    summary = engine.finish(job, n_threads)
    keep.mark_finished(job)
    return summary


def rows(engine: Engine, job: SlideJob, sheet_rows: SheetRows) -> pd.DataFrame:
    """The slide's rows of `densities.*` from what is on disk."""
    return engine.rows(job, sheet_rows)


def counting() -> Engine:
    """The engine that counts slides."""
    from ishcount.quantify.block import block_path, count_block

    return Engine(_digest, _prepare, _prepared, block_path, _divide, count_block, _finish, _rows)


def _digest(slide: str, cache: dict[str, str]) -> str:
    from ishcount.slide.digest import slide_digest

    return slide_digest(slide, cache=cache)


def _prepare(job: SlideJob) -> tuple[Sequence[str], float]:
    from ishcount.quantify.prepare import prepare

    made = prepare(job)
    give_back()
    return made.keys, made.megapixels


def _divide(job: SlideJob) -> None:
    from ishcount.quantify.divide import divide

    divide(job)
    give_back()


def _prepared(job: SlideJob) -> tuple[Sequence[str], float]:
    from ishcount.quantify.job import read_plan

    made = read_plan(job)
    return made.keys, made.megapixels


def _finish(job: SlideJob, n_threads: int) -> Mapping[str, Any]:
    from ishcount.quantify.block import close_slide
    from ishcount.quantify.finish import finish as finish_slide

    summary = finish_slide(job, n_threads)
    close_slide()
    give_back()
    return summary


def _rows(job: SlideJob, sheet_rows: SheetRows) -> pd.DataFrame:
    from ishcount.result import load_slide_result
    from ishcount.study.reviewed import rows_with_review

    table, problem = rows_with_review(load_slide_result(job.folder), sheet_rows)
    return table.assign(reason=problem) if problem else table
