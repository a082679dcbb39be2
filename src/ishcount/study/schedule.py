"""Slides through their stages on one executor: neither one huge slide nor many small ones leave it idle.

Work of earlier slides goes first: a slide is begun when nothing is left to hand out for those before it.
Whatever happens to a slide ends that slide alone; only an output that cannot be written ends the run.
"""

from __future__ import annotations

import heapq
import itertools
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ishcount.core.errors import OutputError, SlideError
from ishcount.core.files import write_text
from ishcount.slide.source import shown
from ishcount.study import stages
from ishcount.study.executors import Done, Executor, Task
from ishcount.study.jobs import StudySlide
from ishcount.study.stages import Engine, Identity, Planned

if TYPE_CHECKING:
    import pandas as pd

    from ishcount.quantify.job import SlideJob

GROUP_MEGAPIXELS = 16.0
"""Blocks are handed out in groups of about this size: a second of work, so that handing out costs nothing and
neighbours in a group share the tiles on their border."""


@dataclass(slots=True)
class Outcome:
    """How a slide ended: its rows of densities, or why there are none."""

    slide: StudySlide
    status: str
    error_code: str = ""
    reason: str = ""
    packed: bytes | None = None  # the rows, pickled: hundreds of small tables would not keep memory flat
    is_kept: bool = False
    megapixels: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    cause: BaseException | None = None

    @property
    def table(self) -> pd.DataFrame | None:
        """The slide's rows; None where there are none."""
        return None if self.packed is None else pickle.loads(self.packed)  # noqa: S301, our own bytes


class Watcher(Protocol):
    """Whoever wants to know how far a run is."""

    def planned(self, slide_id: str, n_blocks: int, megapixels: float) -> None:
        """What is to be counted of a slide is known."""

    def counted(self, slide_id: str, n_blocks: int, megapixels: float) -> None:
        """Some of a slide's blocks are on disk."""

    def ended(self, outcome: Outcome) -> None:
        """A slide is done, whatever became of it."""


@dataclass(slots=True)
class _Course:
    """One slide on its way through the stages."""

    outcome: Outcome
    n_groups: int = 0
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class _Key:
    """Names a task: which slide, which stage, which part of it."""

    slide: int
    stage: str
    part: int = 0
    n_blocks: int = 0
    megapixels: float = 0.0


class Schedule:
    """The state of a run: where each slide is, and what is ready to be handed out."""

    def __init__(
        self,
        slides: Sequence[StudySlide],
        engine: Engine,
        executor: Executor,
        *,
        watcher: Watcher,
        cache: dict[str, str],
        resume: bool,
        timeout_s: float,
    ) -> None:
        self._courses = [_Course(Outcome(slide, "ok")) for slide in slides]
        self._engine = engine
        self._executor = executor
        self._watcher = watcher
        self._cache = cache
        self._resume = resume
        self._timeout_s = timeout_s
        self._ready: list[tuple[int, int, Task]] = []
        self._order = itertools.count()
        self._ended: list[Outcome] = []

    def run(self) -> Iterator[Outcome]:
        """Each slide's outcome, as it ends."""
        for number, course in enumerate(self._courses):
            job = course.outcome.slide.job
            self._add(_Key(number, "identify"), stages.identify, job, dict(self._cache), self._resume)
        n_out = 0
        while self._ready or n_out:
            while self._ready and n_out < self._executor.capacity:
                number, _, task = heapq.heappop(self._ready)
                if not self._courses[number].is_over:
                    self._executor.submit(task)
                    n_out += 1
            if n_out:
                self._take(self._executor.next_done())
                n_out -= 1
            yield from self._ended
            self._ended.clear()

    def _add(self, key: _Key, stage: Callable[..., Any], *arguments: Any) -> None:
        task = Task(key, stage, (self._engine, *arguments), self._timeout_s)
        heapq.heappush(self._ready, (key.slide, next(self._order), task))

    def _take(self, done: Done) -> None:
        """Lead the slide on to what follows the task that is done."""
        key: _Key = done.task.key  # type: ignore[assignment]
        course = self._courses[key.slide]
        if isinstance(done.error, OutputError):
            raise done.error
        if course.is_over:
            return
        seconds = course.outcome.seconds
        seconds[key.stage] = seconds.get(key.stage, 0.0) + done.seconds
        if done.error is not None:
            self._fail(course, done.error)
        else:
            after: dict[str, Callable[[_Key, _Course, Any], None]] = {
                "identify": self._identified, "plan": self._planned, "divide": self._counted,
                "count": self._counted, "finish": self._finished, "rows": self._got_rows,
            }  # fmt: skip
            after[key.stage](key, course, done.value)

    def _identified(self, key: _Key, course: _Course, identity: Identity) -> None:
        self._cache.update(identity.new_in_cache)
        slide = course.outcome.slide
        job = replace(slide.job, slide_digest=identity.digest)
        course.outcome.slide = replace(slide, job=job)
        course.outcome.is_kept = identity.is_finished
        if identity.is_finished:
            self._add(_Key(key.slide, "rows"), stages.rows, job, slide.sheet_rows)
        else:
            self._add(_Key(key.slide, "plan"), stages.plan, job, self._resume)

    def _planned(self, key: _Key, course: _Course, planned: Planned) -> None:
        job = course.outcome.slide.job
        per_block = planned.megapixels / max(1, planned.n_blocks)
        course.outcome.megapixels = per_block * len(planned.keys)
        self._watcher.planned(job.slide_id, len(planned.keys), course.outcome.megapixels)
        step = max(1, round(GROUP_MEGAPIXELS / per_block)) if per_block else 1
        groups = grouped(planned.keys, step, self._executor.capacity)
        if not groups:
            self._finish(key.slide, job)
            return
        course.n_groups = len(groups) + 1
        self._add(_Key(key.slide, "divide"), stages.divide, job)
        for part, keys in enumerate(groups):
            key_of_group = _Key(key.slide, "count", part, len(keys), len(keys) * per_block)
            self._add(key_of_group, stages.count, job, keys)

    def _counted(self, key: _Key, course: _Course, _value: None) -> None:
        job = course.outcome.slide.job
        if key.n_blocks:
            self._watcher.counted(job.slide_id, key.n_blocks, key.megapixels)
        course.n_groups -= 1
        if course.n_groups == 0:
            self._finish(key.slide, job)

    def _finish(self, number: int, job: SlideJob) -> None:
        n_left = sum(not course.is_over for course in self._courses)
        self._add(_Key(number, "finish"), stages.finish, job, max(1, self._executor.n_cores // n_left))

    def _finished(self, key: _Key, course: _Course, _summary: object) -> None:
        slide = course.outcome.slide
        self._add(_Key(key.slide, "rows"), stages.rows, slide.job, slide.sheet_rows)

    def _got_rows(self, _key: _Key, course: _Course, table: pd.DataFrame) -> None:
        outcome = course.outcome
        outcome.packed = pickle.dumps(table)
        if len(table):
            first = table.iloc[0]
            told = (
                "" if first.isna()[name] else str(first[name]) for name in ("status", "error_code", "reason")
            )
            outcome.status, outcome.error_code, outcome.reason = told
        self._end(course)

    def _fail(self, course: _Course, error: BaseException) -> None:
        outcome = course.outcome
        outcome.status, outcome.cause = "failed", error
        outcome.error_code, reason = explain(error)
        if outcome.error_code == "E_INTERNAL":
            work = outcome.slide.job.work
            write_text(work / "error.txt", "\n".join([repr(error), *getattr(error, "__notes__", [])]))
            reason += f"; please report it with .ishcount/slides/{work.name}/error.txt"
        outcome.reason = without_path(reason, outcome.slide.job.slide, outcome.slide.slide_id)
        self._end(course)

    def _end(self, course: _Course) -> None:
        course.is_over = True
        self._watcher.ended(course.outcome)
        self._ended.append(course.outcome)


def grouped(keys: Sequence[str], most: int, n_takers: int) -> list[Sequence[str]]:
    """Keys in their order, at most `most` together and fewer towards the end: all takers finish at once."""
    groups, start = [], 0
    while start < len(keys):
        size = max(1, min(most, (len(keys) - start) // (2 * n_takers)))
        groups.append(keys[start : start + size])
        start += size
    return groups


def without_path(reason: str, path: str, slide_id: str) -> str:
    """The reason with the slide's id for its file: equal wherever the slides lie, and pseudonyms stay so."""
    name = Path(path).name
    for told in (
        repr(path),
        path,
        repr(shown(path)),
        shown(path),
        repr(name),
        *([name] if len(name) > 3 else []),
    ):
        reason = reason.replace(told, repr(slide_id) if told[0] in "'\"" else slide_id)
    return reason


def explain(error: BaseException) -> tuple[str, str]:
    """Code and one-sentence reason of what ended a slide."""
    if isinstance(error, SlideError):
        return error.code, " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "E_WORKER", "there was not enough memory; use fewer workers"
    if isinstance(error, OSError):
        return "E_IO", f"the slide could not be read: {error.strerror or error}; check the disk or the share"
    text = " ".join(str(error).split())[:200]
    return "E_INTERNAL", f"a mistake of ours ({type(error).__name__}: {text})"
