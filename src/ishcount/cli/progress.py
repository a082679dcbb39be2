"""How far a run is: a live line on a terminal, one line per slide in a log."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from ishcount.cli.say import note, number, plain

if TYPE_CHECKING:
    from ishcount.study.schedule import Outcome

BEFORE, AFTER = 0.10, 0.25
"""What planning and finishing a slide cost beside counting its blocks, as shares of the latter.

Printed by `tests/benchmarks/bench_run.py`; only the time left depends on them.
"""


class Estimate:
    """Work done and left, in megapixels of tissue; a slide not looked at yet counts as the others' mean."""

    def __init__(self, n_slides: int) -> None:
        self.n_slides = n_slides
        self.n_ended = 0
        self.started = time.monotonic()
        self.counted_mp = 0.0
        self._planned: dict[str, float] = {}
        self._done: dict[str, float] = {}
        self._free: set[str] = set()
        self._pace_from: tuple[float, float] | None = None

    def planned(self, slide_id: str, megapixels: float) -> None:
        """A slide's size is known, and the work before counting is behind it."""
        self._planned[slide_id] = megapixels
        self._done[slide_id] = BEFORE * megapixels
        if self._pace_from is None:
            self._pace_from = time.monotonic(), sum(self._done.values())

    def counted(self, slide_id: str, megapixels: float) -> None:
        """Some more of a slide is counted."""
        self.counted_mp += megapixels
        self._done[slide_id] = self._done.get(slide_id, 0.0) + megapixels

    def ended(self, slide_id: str) -> None:
        """A slide is over."""
        self.n_ended += 1
        size = self._planned.setdefault(slide_id, 0.0)
        self._done[slide_id] = size * (1 + BEFORE + AFTER)
        if not size:
            self._free.add(slide_id)

    @property
    def megapixels_per_second(self) -> float:
        """Tissue counted per second since the start."""
        return self.counted_mp / max(1e-9, time.monotonic() - self.started)

    @property
    def share(self) -> float:
        """The share of all work that is done, 0-1."""
        total = self._total
        return min(1.0, sum(self._done.values()) / total) if total else self.n_ended / max(1, self.n_slides)

    @property
    def _total(self) -> float:
        sizes = [size for name, size in self._planned.items() if name not in self._free]
        unknown = self.n_slides - len(self._planned)
        mean = sum(sizes) / len(sizes) if sizes else 0.0
        return (sum(sizes) + unknown * mean) * (1 + BEFORE + AFTER)

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the end at the pace since the first slide was planned, for starting the workers is no
        work; None before there is a pace."""
        since, before = self._pace_from or (0.0, 0.0)
        done = sum(self._done.values())
        if self._pace_from is None or done <= before:
            return None
        return (time.monotonic() - since) * max(0.0, self._total - done) / (done - before)


class Progress:
    """Watches a run and tells a person: live on a terminal, else one line per slide."""

    def __init__(self, n_slides: int) -> None:
        self._estimate = Estimate(n_slides)
        self._n_blocks = self._n_blocks_done = 0
        self._latest = ""
        self._live: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), refresh_per_second=4, get_renderable=self._line)

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def planned(self, slide_id: str, n_blocks: int, megapixels: float) -> None:
        """A slide's blocks are known."""
        self._estimate.planned(slide_id, megapixels)
        self._n_blocks += n_blocks

    def counted(self, slide_id: str, n_blocks: int, megapixels: float) -> None:
        """Some of a slide's blocks are done."""
        self._estimate.counted(slide_id, megapixels)
        self._n_blocks_done += n_blocks
        self._latest = slide_id

    def ended(self, outcome: Outcome) -> None:
        """One line for the slide."""
        self._estimate.ended(outcome.slide.slide_id)
        estimate = self._estimate
        what = outcome.status if not outcome.is_kept else f"{outcome.status} (from an earlier run)"
        seconds = sum(outcome.seconds.values())
        line = f"[{estimate.n_ended}/{estimate.n_slides}] {plain(outcome.slide.slide_id)}: {what}"
        if outcome.megapixels:
            line += f", {outcome.megapixels:.0f} megapixels in {seconds:.1f} s of work"
        if outcome.reason:
            line += f"; {outcome.error_code} {plain(outcome.reason)}".replace(";  ", "; ")
        if self._live:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            note(line)

    def _line(self) -> Any:
        from rich.text import Text

        estimate = self._estimate
        left = estimate.seconds_left
        if not self._n_blocks:
            return Text(f"{estimate.n_ended} of {estimate.n_slides} slides; looking at the next")
        return Text(
            f"{estimate.n_ended} of {estimate.n_slides} slides, {plain(self._latest)}, "
            f"{self._n_blocks_done} of {self._n_blocks} blocks, {estimate.share:.0%}, "
            f"{number(estimate.counted_mp, 0)} megapixels at {estimate.megapixels_per_second:.1f} a second, "
            f"{'time left unknown' if left is None else f'{duration(left)} left'}"
        )


def duration(seconds: float) -> str:
    """A length of time for people: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
