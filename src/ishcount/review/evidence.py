"""From decisions to the numbers the audit needs: strata read so far, fields read so far."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ishcount.core.decisions import AddedCell, Call
from ishcount.review.audit import Plan, PlanField
from ishcount.review.corrected import Fields, Stratum

Calls = Mapping[int, Call]


def resolve(readers: Sequence[Calls], consensus: Calls | None = None) -> dict[int, Call]:
    """One call per cell from several readers: theirs where they agree, `UNSURE` where not, consensus above
    all.
    """
    resolved: dict[int, Call] = {}
    for cell in sorted({cell for calls in readers for cell in calls}):
        found = {_class(calls[cell]) for calls in readers if cell in calls}
        resolved[cell] = found.pop() if len(found) == 1 else Call.UNSURE
    resolved.update(consensus or {})
    return resolved


def _class(call: Call) -> Call:
    """What a call means for counting positives: not a cell is not a positive cell."""
    return Call.NEGATIVE if call == Call.NOT_A_CELL else call


def disagreement(readers: Sequence[Calls], among: Collection[int]) -> tuple[float, float]:
    """Shares of cells (of those `among` that several readers read) in dispute, where the first reader to have
    called it said positive, and where negative; 0 where nothing was read twice.
    """
    split = {Call.POSITIVE: [0, 0], Call.NEGATIVE: [0, 0]}  # first call -> read twice, in dispute
    for cell in among:
        found = [_class(calls[cell]) for calls in readers if cell in calls]
        found = [call for call in found if call != Call.UNSURE]
        if len(found) > 1:
            split[found[0]][0] += 1
            split[found[0]][1] += len(set(found)) > 1
    shares = [disputed / twice if twice else 0.0 for twice, disputed in split.values()]
    return shares[0], shares[1]


def read_strata(
    plan: Plan,
    cell_id: NDArray[np.int64],
    score: NDArray[np.float32],
    readers: Sequence[Calls],
    consensus: Calls | None = None,
) -> list[Stratum]:
    """What was read of each stratum, as far as its order was followed without a gap.

    cell_id, score: (n,) of the cells that count now (exclusions taken off). Disagreement found on cells read
    twice is carried over to cells read once, as doubtful.
    """
    calls = resolve(readers, consensus)
    counted = set(cell_id.tolist())
    audited = [cell for stratum in plan.strata for cell in stratum.order if cell in counted]
    doubt_positive, doubt_negative = disagreement(readers, audited)
    strata = []
    for stratum in plan.strata:
        inside = (score >= np.float32(stratum.low)) & (score < np.float32(stratum.high))
        prefix = _decided_beginning([cell for cell in stratum.order if cell in counted], calls)
        once = [cell for cell in prefix if sum(cell in reader for reader in readers) < 2]
        once = [cell for cell in once if cell not in (consensus or {})]
        n_positive = sum(calls[cell] == Call.POSITIVE for cell in prefix)
        n_doubtful = sum(calls[cell] == Call.UNSURE for cell in prefix)
        moved = round(doubt_positive * sum(calls[cell] == Call.POSITIVE for cell in once))
        more = round(doubt_negative * sum(_class(calls[cell]) == Call.NEGATIVE for cell in once))
        strata.append(
            Stratum(
                name=stratum.name,
                n_cells=int(np.count_nonzero(inside)),
                n_read=len(prefix),
                n_positive=n_positive - moved,
                n_doubtful=n_doubtful + moved + more,
                expected=stratum.expected,
                is_called=stratum.is_called,
            )
        )
    return strata


def _decided_beginning(order: Sequence[int], calls: Calls) -> list[int]:
    for place, cell in enumerate(order):
        if cell not in calls:
            return list(order[:place])
    return list(order)


def read_fields(
    plan: Plan,
    done: Collection[str],
    *,
    cell_id: NDArray[np.int64],
    x_um: NDArray[np.float64],
    y_um: NDArray[np.float64],
    score: NDArray[np.float32],
    calls: Calls,
    added: Sequence[AddedCell],
    marker: str,
) -> Fields:
    """Positives that nobody proposed, in the fields a reader declared read (`done`: their names).

    They are added cells that are positive, and cells without any candidate that were called positive; cells
    with candidates belong to the strata. Fields are read in the plan's order: one after a gap does not count.
    """
    silent = {cell for cell, call in calls.items() if call == Call.POSITIVE}
    rows = np.flatnonzero((score <= 0) & np.isin(cell_id, np.fromiter(silent, np.int64, len(silent))))
    points = [(float(x_um[row]), float(y_um[row])) for row in rows]
    points += [(cell.x_um, cell.y_um) for cell in added if marker in cell.positive]
    areas, found = [], []
    for field in plan.fields:
        if field.name not in done:
            break
        areas.append(field.tissue_mm2)
        found.append(sum(_holds(field, x, y) for x, y in points))
    return Fields(tissue_mm2=plan.tissue_mm2, field_mm2=tuple(areas), found=tuple(found))


def _holds(field: PlanField, x_um: float, y_um: float) -> bool:
    return field.x_um <= x_um < field.x_um + field.side_um and field.y_um <= y_um < field.y_um + field.side_um
