"""The audit: draw it, read it, see what it says of the density."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

from qtpy.QtWidgets import QLabel, QListWidget, QListWidgetItem, QSpinBox, QVBoxLayout, QWidget

from ishcount.review.audit import N_DECISIONS
from ishcount.review.corrected import more_decisions_to_halve
from ishcount_napari.auditing import corrected, declare_field_read, draw_audit, own_audit
from ishcount_napari.session import Session
from ishcount_napari.study import Study
from ishcount_napari.widget_parts import button, number, row, text
from ishcount_napari.work import Work

EXPLAIN = (
    "Called cells, a random sample of near misses, and fields read whole: only these give the corrected "
    "density. Fix the number of decisions beforehand."
)


class AuditPanel(QWidget):
    """Plan, fields and the audit-corrected density."""

    def __init__(
        self, session: Session, study: Study, look_at: Callable[[float, float, float], None]
    ) -> None:
        """look_at: shows a square (x_um, y_um, side_um) in the viewer."""
        super().__init__()
        self.session, self.study, self._look_at = session, study, look_at
        self.work = Work()
        self.decisions, self.seed = QSpinBox(), QSpinBox()
        self.decisions.setRange(30, 5000)
        self.decisions.setValue(N_DECISIONS)
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setValue(1)
        self.status, self.estimate, self.more = text(), text(), text()
        self.fields = QListWidget()
        self.fields.setMaximumHeight(90)
        self.fields.itemDoubleClicked.connect(lambda _: self._show_field())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.setSpacing(4)
        for widget in (
            text(EXPLAIN),
            row(QLabel("decisions"), self.decisions, QLabel("seed"), self.seed),
            row(
                button("Draw audit", self._draw, name="draw_audit"),
                button("Read the cells", lambda: session.choose_queue("audit"), name="read_cells"),
            ),
            self.status,
            self.fields,
            row(
                button("Show field", self._show_field, name="show_field"),
                button("Field is read", lambda: self._declare(True), name="field_read"),
                button("Not read", lambda: self._declare(False), name="field_unread"),
            ),
            self.estimate,
            row(
                button("Estimate", self.show_estimate, name="estimate"),
                button("How many more?", self._ask_more, name="how_many_more"),
            ),
            self.more,
        ):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.refresh()

    def refresh(self) -> None:
        """Show plan and progress as they are now."""
        session = self.session
        plan = session.plan
        chosen = self.fields.currentRow()
        self.fields.clear()
        if plan is None:
            self.status.setText("No audit drawn yet for this slide and marker.")
            return
        lines = []
        for stratum in plan.strata:
            decided = sum(
                session.state.value("call", cell, session.marker) is not None for cell in stratum.order
            )
            lines.append(
                f"{stratum.name}: {decided} of {len(stratum.order)} read ({stratum.n_cells:,} cells)"
            )
        lines.append("A stratum counts as far as its own order was followed: read on in this queue.")
        self.status.setText("<br>".join(lines))
        for field in plan.fields:
            is_read = session.state.value("field", field.name, session.marker) is not None
            item = QListWidgetItem(
                f"{field.name}  {'read' if is_read else 'not read'}  {field.tissue_mm2:.3f} mm\u00b2"
            )
            self.fields.addItem(item)
        self.fields.setCurrentRow(chosen)

    def show_estimate(self) -> None:
        """Work the corrected density out and show it."""
        others = self.study.other_audits(self.session.result.slide_id, self.session.marker)
        found = corrected(self.session, others)
        if found is None:
            self.estimate.setText("Draw an audit first.")
            return
        if not found.n_decisions:
            self.estimate.setText("Nothing of the audit has been read yet.")
            return
        area = self.session.area_mm2()
        middle, low, high = found.per_mm2(area)
        upper = number(high) if isfinite(high) else "unknown (no field read)"
        said = "" if found.sensitivity is None else f", sensitivity {found.sensitivity:.0%}"
        said += "" if found.precision is None else f", precision {found.precision:.0%}"
        planned = len(self.session.plan.cell_ids) if self.session.plan else 0
        early = " (<b>too early to quote</b>)" if found.n_decisions < planned else ""
        proposed = number(found.high_proposed / area if area > 0 else float("nan"))
        self.estimate.setText(
            f"<b>audit-corrected {number(middle)} /mm\u00b2</b><br>95% {number(low)} to {upper}; "
            f"proposed cells alone up to {proposed}<br>"
            f"{found.n_decisions} decisions of {planned} planned{early}{said}; "
            f"pooled with {len(others)} other slides"
        )

    def _draw(self) -> None:
        draw_audit(self.session, seed=self.seed.value(), n_decisions=self.decisions.value())
        self.session.choose_queue("audit")

    def _chosen_field(self) -> str | None:
        row_number = self.fields.currentRow()
        fields = self.session.plan.fields if self.session.plan else ()
        return fields[row_number].name if 0 <= row_number < len(fields) else None

    def _show_field(self) -> None:
        name, plan = self._chosen_field(), self.session.plan
        if name is not None and plan is not None:
            field = next(field for field in plan.fields if field.name == name)
            self._look_at(field.x_um, field.y_um, field.side_um)

    def _declare(self, is_read: bool) -> None:
        name = self._chosen_field()
        if name is None:
            self.more.setText("Choose a field in the list first.")
        else:
            declare_field_read(self.session, name, is_read)

    def _ask_more(self) -> None:
        own = own_audit(self.session)
        if own is None:
            self.more.setText("Draw an audit first.")
            return
        self.more.setText("working it out ...")
        self.work.start(
            more_decisions_to_halve,
            own.strata,
            own.fields,
            done=self._show_more,
            failed=lambda error: self.more.setText(str(error)),
        )

    def _show_more(self, needed: int | None) -> None:
        if needed is None:
            self.more.setText("No number of decisions on this slide would halve the interval.")
        else:
            self.more.setText(
                f"About {needed} more decisions would halve the interval (a field counts as 5)."
            )
