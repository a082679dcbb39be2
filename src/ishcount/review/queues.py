"""What a reader looks at next, and in which order.

Only the audit queue (see `audit`) is a probability sample. The others are chosen by the result itself, so a
density or an agreement is never estimated from them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ishcount.core.decisions import NO_CALL, Call
from ishcount.review.live import LiveCounts

LONGEST_QUEUE = 2000
"""Cells in the most-uncertain queue: more than a reader does in a day (about one in 5 s for 3 h)."""

QUEUES = (
    "audit", "positives", "uncertain", "rejected", "compartment", "unsure", "disagreements", "unreviewed",
)  # fmt: skip

Ids = NDArray[np.int64]


def positives(live: LiveCounts, marker: str) -> Ids:
    """Cells called positive at the cut in force, highest score first."""
    rows = np.flatnonzero(live.effective(marker) & live.counted())
    return live.cell_id[rows[np.argsort(-live.score[marker][rows], kind="stable")]]


def most_uncertain(live: LiveCounts, marker: str, *, longest: int = LONGEST_QUEUE) -> Ids:
    """Undecided cells whose score is nearest the cut in force; cells without candidates never come up."""
    score = live.score[marker]
    rows = np.flatnonzero((live.call[marker] == NO_CALL) & live.counted() & (score > 0))
    distance = np.abs(score[rows] - np.float32(live.cut(marker)))
    if len(rows) > longest:
        nearest = np.argpartition(distance, longest)[:longest]
        rows, distance = rows[nearest], distance[nearest]
    return live.cell_id[rows[np.lexsort((rows, distance))]]


def rejected(live: LiveCounts, dots: pd.DataFrame, marker: str, reason: str) -> Ids:
    """Negative cells that own a dot rejected for `reason`, best such dot first."""
    chosen = dots[(dots["marker"] == marker) & (dots["reason"] == reason) & (dots["cell_id"] > 0)]
    best = chosen.groupby("cell_id")["score"].max().sort_values(ascending=False, kind="stable")
    ids = best.index.to_numpy(np.int64)
    rows = live.rows(ids.tolist()) if len(ids) else np.zeros(0, np.intp)
    return ids[~live.effective(marker)[rows] & live.counted()[rows]]


def in_compartment(live: LiveCounts, marker: str, compartment: str) -> Ids:
    """Cells of one compartment that have a candidate dot, highest score first."""
    here = (
        live.compartment == live.compartments.index(compartment)
        if compartment in live.compartments
        else np.zeros(len(live.cell_id), bool)
    )
    rows = np.flatnonzero(here & live.counted() & (live.score[marker] > 0))
    return live.cell_id[rows[np.argsort(-live.score[marker][rows], kind="stable")]]


def called(live: LiveCounts, marker: str, call: Call) -> Ids:
    """Cells with one call, by cell id."""
    return live.cell_id[live.call[marker] == call]


def unreviewed(live: LiveCounts, marker: str) -> Ids:
    """Undecided cells with a candidate dot, highest score first."""
    rows = np.flatnonzero((live.call[marker] == NO_CALL) & live.counted() & (live.score[marker] > 0))
    return live.cell_id[rows[np.argsort(-live.score[marker][rows], kind="stable")]]


def next_undecided(ids: Ids, here: int, is_open: Callable[[int], bool]) -> int | None:
    """Place of the next cell to decide after `here` (round the end once); None when all are done."""
    for step in range(1, len(ids) + 1):
        place = (here + step) % len(ids)
        if is_open(int(ids[place])):
            return place
    return None


def blind_order(slide_ids: list[str], *, seed: int) -> list[tuple[str, str]]:
    """Slides in an order shuffled by `seed`, each with the name shown while blinded (`slide 1`, ...)."""

    def key(slide_id: str) -> bytes:
        return hashlib.sha256(f"{seed}:{slide_id}".encode("utf-8", "surrogatepass")).digest()

    return [(slide_id, f"slide {n}") for n, slide_id in enumerate(sorted(slide_ids, key=key), 1)]
