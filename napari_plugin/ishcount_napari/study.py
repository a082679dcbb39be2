"""The slides of a result folder as a reviewer walks through them: order, aliases, progress. No Qt, no
napari.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ishcount.core.errors import IshcountError, SlideError, UsageError
from ishcount.result import SlideResult, StudyResult, load_result
from ishcount.review import readers
from ishcount.review.apply import CONSENSUS, apply_review, reader_states
from ishcount.review.audit import plan_from
from ishcount.review.audited import audit_of
from ishcount.review.pooling import Audit
from ishcount.review.queues import blind_order

BLIND_SEED = 20261122
"""Order and aliases of blinded slides: fixed, so that two readers speak of the same `slide 7`."""


@dataclass(frozen=True)
class Study:
    """A result folder under review."""

    result: StudyResult
    blinded: bool = False

    @property
    def order(self) -> list[tuple[str, str]]:
        """Slide ids with the name shown: as in the folder, or shuffled under aliases while blinded."""
        ids = sorted(self.result.slides)
        return blind_order(ids, seed=BLIND_SEED) if self.blinded else [(slide, slide) for slide in ids]

    def alias(self, slide_id: str) -> str:
        """A slide's name while blinded."""
        return dict(blind_order(sorted(self.result.slides), seed=BLIND_SEED))[slide_id]

    def slide(self, slide_id: str | None) -> SlideResult:
        """One slide (None: the first in order); UsageError names what there is."""
        if not self.result.slides:
            raise UsageError(f"{str(self.result.folder)!r} holds no finished slide; count slides first")
        wanted = self.order[0][0] if slide_id is None else slide_id
        if wanted not in self.result.slides:
            known = ", ".join(sorted(self.result.slides))
            raise UsageError(f"no slide {wanted!r} in {str(self.result.folder)!r}; there are {known}")
        return self.result.slides[wanted]

    def image(self, slide_id: str) -> str:
        """Path of a slide's image as `run.json` has it; "" when it is not known or no longer there."""
        entries = self.result.run.get("slides") or []
        path = next((str(e.get("path") or "") for e in entries if e.get("slide_id") == slide_id), "")
        return path if path and Path(path).exists() else ""

    def progress(self, reviewer: str) -> list[tuple[str, str, int, str]]:
        """Slide id, name shown, cells decided and verdict of each slide, in order.

        A slide whose log says blinded is shown under its alias, whatever the others say.
        """
        found = []
        for slide_id, _ in self.order:
            state = reader_states(self.result.slides[slide_id]).get(reviewer)
            hidden = self.blinded if state is None or state.blinded is None else state.blinded
            decided = sum(1 for _ in state.items("call")) if state else 0
            verdict = (state.value("verdict", "") or {}).get("verdict", "") if state else ""
            found.append((slide_id, self.alias(slide_id) if hidden else slide_id, decided, verdict))
        return found

    def other_audits(self, slide_id: str, marker: str) -> list[Audit]:
        """Audits of all slides but one: what its sensitivity may be pooled with."""
        found = []
        for other, result in self.result.slides.items():
            audit = audit_of(result, marker, reader_states(result)) if other != slide_id else None
            if audit is not None:
                found.append(audit)
        return found

    def agreement(self, marker: str, a: str, b: str) -> dict[str, Any]:
        """Agreement of two readers: calls over the audit samples of all slides, densities within groups."""
        calls: list[dict[Any, Any]] = [{}, {}]
        among: list[Any] = []
        densities: list[list[float]] = [[], []]
        groups = []
        for slide_id, slide in self.result.slides.items():
            states = reader_states(slide)
            if a not in states or b not in states:
                continue
            plan = next((s.plans[marker] for s in states.values() if marker in s.plans), None)
            sample = plan_from(plan).cell_ids if plan else []
            among += [(slide_id, cell) for cell in sample]
            for place, reader in enumerate((a, b)):
                found = states[reader].calls(marker)
                calls[place] |= {(slide_id, cell): call for cell, call in found.items()}
                densities[place].append(_density(slide, {reader: states[reader]}, marker))
            groups.append(self.group(slide_id))
        return {
            "readers": [a, b],
            "calls": readers.call_agreement(calls[0], calls[1], among),
            "densities_within_groups": readers.density_agreement(densities[0], densities[1], groups),
        }

    def group(self, slide_id: str) -> str:
        """The slide's group in the sample sheet."""
        rows = self.result.densities
        found = rows.loc[rows["slide_id"] == slide_id, "group"].dropna()
        return str(found.iloc[0]) if len(found) else ""

    def readers(self) -> list[str]:
        """Everyone who has a log on any slide, the consensus left out."""
        names = {reader for slide in self.result.slides.values() for reader in reader_states(slide)}
        return sorted(names - {CONSENSUS})


def open_study(out: Path | str, *, blinded: bool = False) -> Study:
    """A result folder to review; UsageError when it is none, SlideError when its files cannot be read."""
    with damage_said(Path(out)):
        study = Study(load_result(Path(out)), blinded)
        _ = study.result.run  # read now, so that damage is said here
        return study


@contextmanager
def damage_said(folder: Path) -> Iterator[None]:
    """What a damaged or missing file of a result raises, as one line."""
    try:
        yield
    except IshcountError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = " ".join(str(error).split())[:200]
        raise SlideError(
            f"{folder.name!r} cannot be reviewed: a file is missing, damaged or of another version "
            f"({type(error).__name__}: {what}); count the slide again",
            code="E_IO",
        ) from error


def _density(slide: SlideResult, states: dict[str, Any], marker: str) -> float:
    decisions = apply_review(slide, states)
    rows = slide.densities(decisions=decisions)
    found = rows.loc[(rows["marker"] == marker) & (rows["compartment"] == "tissue"), "positive_per_mm2"]
    return float(found.iloc[0]) if len(found) else float(np.nan)
