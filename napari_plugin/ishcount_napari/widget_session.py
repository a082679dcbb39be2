"""Session: who reads, blinding, the study's slides, export and import, agreement, counting the view again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from ishcount.core.errors import IshcountError
from ishcount.core.files import plain_json
from ishcount.params import Params
from ishcount.review.apply import reader_states
from ishcount.review.exchange import changes_from_qupath, write_decisions
from ishcount_napari.preview import Preview, changed_params, run_preview
from ishcount_napari.session import Session
from ishcount_napari.study import Study
from ishcount_napari.widget_parts import button, row, shown_key, text
from ishcount_napari.work import Work

AGREEMENTS = {
    "positive_agreement": "positive agreement",
    "negative_agreement": "negative agreement",
    "gwet_ac1": "Gwet's AC1",
    "cohen_kappa": "Cohen's kappa",
}
EXPORT_KINDS = "CSV (*.csv);;Excel (*.xlsx);;GeoJSON (*.geojson)"


class SessionPanel(QWidget):
    """Everything that is not one cell."""

    def __init__(
        self,
        session: Session,
        study: Study,
        *,
        keys: dict[str, str],
        open_slide: Callable[[str], None],
        view_um: Callable[[], tuple[float, float, float, float]],
        show_preview: Callable[[Preview], None],
    ) -> None:
        """view_um: what is in view (x, y, width, height). open_slide: goes to another slide of the study."""
        super().__init__()
        self.session, self.study = session, study
        self._view_um, self._show_preview = view_um, show_preview
        self.who, self.message = text(), text()
        self.slides = QListWidget()
        self.slides.setMaximumHeight(110)
        self.slides.itemDoubleClicked.connect(lambda item: open_slide(item.data(256)))
        self.other = QComboBox()
        self.agreement = text()
        self.lines = QPlainTextEdit("density.dot_cut = 0.8")
        self.lines.setMaximumHeight(48)
        self.work = Work()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.setSpacing(4)
        for widget in (
            self.who,
            row(
                button(
                    "Blind", self._blind, tip="Hide slide, patient and group; shuffle the order", name="blind"
                ),
                button("Unblind", self._unblind, tip="Logged, cannot be undone", name="unblind"),
            ),
            text("<b>Slides</b> (double-click to open)"),
            self.slides,
            row(
                button(
                    "Export ...", self._export, tip="CSV, Excel or GeoJSON, with who and when", name="export"
                ),
                button(
                    "From QuPath ...", self._import, tip="Edited cells.geojson as decisions", name="qupath"
                ),
            ),
            text("<b>Agreement</b> with another reader, on the audit sample"),
            row(self.other, button("Compare", self._compare, name="compare")),
            self.agreement,
            text("<b>Run on this view</b> with other parameters (a preview: nothing is kept)"),
            self.lines,
            row(button("Run", self._run, name="run"), button("Cancel", self._cancel, name="cancel")),
            self.message,
            text(
                "<b>Keys</b>: "
                + ", ".join(f"{shown_key(key)} {act.replace('_', ' ')}" for act, key in keys.items())
            ),
        ):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.refresh()

    def refresh(self) -> None:
        """Show reader, blinding and the slides' progress."""
        session = self.session
        blind = "blinded" if session.blinded else "not blinded"
        self.who.setText(
            f"reader <b>{session.reviewer}</b>, {blind}<br>{len(session.log.entries)} entries saved"
        )
        self.slides.clear()
        for slide_id, shown, decided, verdict in self.study.progress(session.reviewer):
            item = QListWidgetItem(f"{shown}: {decided} decided {verdict.replace('_', ' ')}")
            item.setData(256, slide_id)
            self.slides.addItem(item)
        current = self.other.currentText()
        self.other.clear()
        self.other.addItems([name for name in self.study.readers() if name != session.reviewer])
        self.other.setCurrentText(current)

    def _blind(self) -> None:
        self.session.set_blinded(True)

    def _unblind(self) -> None:
        self.session.set_blinded(False)

    def _export(self) -> None:
        path, kind = QFileDialog.getSaveFileName(self, "Export decisions", "decisions.csv", EXPORT_KINDS)
        if path:
            self._try(lambda: write_decisions(_with_suffix(path, kind), self.session.result, self._states()))

    def _import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Detections edited in QuPath", "", "GeoJSON (*.geojson *.json)"
        )
        if path:
            self._try(lambda: self.take_from_qupath(Path(path)))

    def take_from_qupath(self, path: Path) -> None:
        """Log what was changed in QuPath as one act."""
        changes = changes_from_qupath(path, self.session.result, self.session.state)
        self.session.write(changes)
        self.message.setText(f"{len(changes)} decisions taken from {path.name}")

    def _states(self) -> dict[str, Any]:
        return reader_states(self.session.result)

    def _compare(self) -> None:
        if not self.other.currentText():
            self.agreement.setText("No other reader has decided anything yet.")
            return
        if self.session.blinded:
            self.agreement.setText("Unblind first: agreement is shown by group.")
            return
        try:
            found = self.study.agreement(self.session.marker, self.session.reviewer, self.other.currentText())
            self.agreement.setText(agreement_in_words(found))
            self.agreement.setToolTip(json.dumps(plain_json(found), indent=1))
        except IshcountError as error:
            self.agreement.setText(str(error))

    def _run(self) -> None:
        try:
            params = changed_params(self._params(), self.lines.toPlainText())
        except IshcountError as error:
            self.message.setText(str(error))
            return
        self.message.setText("learning stains ...")
        self.work.start(
            run_preview,
            self.session,
            self._view_um(),
            params,
            done=self._previewed,
            failed=lambda error: self.message.setText(str(error)),
            progress=lambda blocks: self.message.setText(f"block {blocks[0]} of {blocks[1]}"),
        )

    def _params(self) -> Params:
        path = self.study.result.folder / "params.toml"
        return self.study.result.params if path.exists() else Params()

    def _previewed(self, found: Preview) -> None:
        self.message.setText(
            f"preview: {len(found.xy_um)} positive of {found.n_cells} cells in view; "
            f"the result has {found.n_positive_before}"
        )
        self._show_preview(found)

    def _cancel(self) -> None:
        if self.work.is_running:
            self.work.stop()
            self.message.setText("cancelled")

    def _try(self, act: Callable[[], object]) -> None:
        try:
            self.message.setText("done")
            act()
        except IshcountError as error:
            self.message.setText(str(error))


def _with_suffix(path: str, kind: str) -> Path:
    chosen = Path(path)
    if chosen.suffix.lower() in (".csv", ".xlsx", ".geojson", ".json"):
        return chosen
    return chosen.with_name(chosen.name + kind[kind.index("*") + 1 : -1])


def agreement_in_words(found: dict[str, Any]) -> str:
    """The numbers of `Study.agreement` for people."""
    calls = found["calls"]
    if calls.get("reason") and not calls["n_both"]:
        return str(calls["reason"])
    lines = [f"{calls['n_both']} cells decided by both ({calls['n_unsure']} unsure left out)"]
    for name, words in AGREEMENTS.items():
        lines.append(f"{words}: {_entry(calls.get(name) or {})}")
    for group, entry in found["densities_within_groups"].items():
        lines.append(f"{group or 'no group'}: CCC {_entry(entry['lin_ccc'])}")
        lines.append(f"&nbsp; Bland-Altman (square root): {_entry(entry['bland_altman_square_root'])}")
    return "<br>".join(lines)


def _entry(entry: dict[str, Any]) -> str:
    estimate, interval = entry.get("estimate"), entry.get("ci")
    if estimate is None:
        return str(entry.get("reason") or "not estimable")
    return f"{estimate:.2f}" + (f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else "")
