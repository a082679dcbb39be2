"""The audit inside a session: drawing the plan, reading fields, the corrected number. No Qt."""

from __future__ import annotations

import msgspec
import numpy as np
import shapely

from ishcount.review.audit import FIELD_UM, N_DECISIONS, N_FIELDS, Plan, PlanField, draw_plan
from ishcount.review.audited import audit_of
from ishcount.review.corrected import Corrected, correct
from ishcount.review.log import Change
from ishcount.review.outlines import UM2_PER_MM2, WHOLE
from ishcount.review.pooling import Audit, pooled
from ishcount_napari.session import Session


def draw_audit(
    session: Session, *, seed: int, n_decisions: int = N_DECISIONS, n_fields: int = N_FIELDS
) -> Plan:
    """Draw and log the audit of the marker in view. Drawing again replaces the plan; the log keeps both."""
    live, marker = session.live, session.marker
    rows = np.flatnonzero(live.counted())
    plan = draw_plan(
        live.cell_id[rows],
        live.score[marker][rows],
        cut=session.cut,
        tissue_mm2=session.area_mm2(),
        seed=seed,
        n_decisions=n_decisions,
        fields=draw_fields(session, seed=seed, n_fields=n_fields),
    )
    old = session.state.plans.get(marker)
    session.write([Change(operation="plan", marker=marker, old=old, new=msgspec.to_builtins(plan))])
    return plan


def draw_fields(session: Session, *, seed: int, n_fields: int = N_FIELDS) -> tuple[PlanField, ...]:
    """Random squares of a grid over the tissue; every square that holds tissue is equally likely."""
    tissue = session.areas.get(WHOLE)
    if tissue is None or tissue.is_empty or n_fields <= 0:
        return ()
    tissue = shapely.difference(tissue, session.left_out)
    left, top, right, bottom = tissue.bounds
    rng = np.random.default_rng([seed, 2])
    shift = rng.uniform(0, FIELD_UM, 2)  # so that no place is always on a square's edge
    x, y = np.meshgrid(
        np.arange(left - shift[0], right, FIELD_UM), np.arange(top - shift[1], bottom, FIELD_UM)
    )
    boxes = shapely.box(x.ravel(), y.ravel(), x.ravel() + FIELD_UM, y.ravel() + FIELD_UM)
    shapely.prepare(tissue)
    held = shapely.area(shapely.intersection(boxes, tissue))
    places = np.flatnonzero(held > 0)
    chosen = rng.choice(places, min(n_fields, len(places)), replace=False)
    return tuple(
        PlanField(
            name=f"F{n}",
            x_um=round(float(x.ravel()[place]), 2),
            y_um=round(float(y.ravel()[place]), 2),
            side_um=FIELD_UM,
            tissue_mm2=float(held[place]) / UM2_PER_MM2,
        )
        for n, place in enumerate(chosen, 1)
    )


def declare_field_read(session: Session, name: str, is_read: bool = True) -> None:
    """Say that a field was read whole (or not after all)."""
    old = session.state.value("field", name, session.marker)
    new = True if is_read else None
    session.write([Change(operation="field", marker=session.marker, item=name, old=old, new=new)])


def own_audit(session: Session) -> Audit | None:
    """What this reader and the others read of the plan so far; None without a plan."""
    states = session.others() | {session.reviewer: session.state}
    return audit_of(session.result, session.marker, states)


def corrected(session: Session, others: list[Audit] | None = None) -> Corrected | None:
    """The audit-corrected count, borrowing sensitivity from the audits of other slides; None without a
    plan.
    """
    own = own_audit(session)
    if own is None:
        return None
    together = pooled([own, *(others or [])])[0]
    return correct(together.strata, together.fields)
