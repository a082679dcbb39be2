"""The dock in a real window, with real keys and real mouse clicks."""

import json

import numpy as np
import pytest

pytest.importorskip("napari", reason="the napari extra is not installed")

from napari.layers import Image, Labels, Points, Shapes, Vectors
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QComboBox, QLabel, QListWidget

from ishcount.core.decisions import NO_CALL, Call
from ishcount.core.errors import SlideError, UsageError
from ishcount.review.log import read_log
from ishcount_napari.launch import add_dock
from ishcount_napari.widget_parts import DOCK_WIDTH_PX
from tests.result_folder import MARKER

pytestmark = pytest.mark.gui


def canvas(dock):
    return dock.viewer.window._qt_viewer.canvas.native


def press(hand, dock, key, modifier=Qt.KeyboardModifier.NoModifier):
    hand.keyClick(canvas(dock), key, modifier)
    hand.wait(30)


def call_of(dock, cell):
    session = dock.panel.session
    return int(session.live.call[MARKER][session.live.rows([cell])[0]])


FOREIGN = {
    "points": lambda: Points([[100.0, 100.0], [120.0, 120.0]], name="foreign"),
    "shapes": lambda: Shapes([[[50, 50], [50, 90], [90, 90]]], shape_type="polygon", name="foreign"),
    "labels": lambda: Labels(np.ones((40, 40), int), name="foreign"),
    "image": lambda: Image(np.zeros((40, 40)), name="foreign"),
    "vectors": lambda: Vectors(np.zeros((1, 2, 2)), name="foreign"),
}


def test_keys_work_whichever_layer_is_active(review, hand):
    viewer, session = review.viewer, review.panel.session
    foreign = [viewer.add_layer(make()) for make in FOREIGN.values()]
    ctrl = Qt.KeyboardModifier.ControlModifier
    for active in (*review.panel.layers.all, *foreign, None):
        viewer.layers.selection.active = active
        first = session.current
        press(hand, review, Qt.Key.Key_H)
        assert call_of(review, first) == Call.NEGATIVE, active
        assert session.current != first, "deciding goes on to the next cell"
        press(hand, review, Qt.Key.Key_Z, ctrl)
        assert call_of(review, first) == NO_CALL, active
        press(hand, review, Qt.Key.Key_Z, ctrl | Qt.KeyboardModifier.ShiftModifier)
        assert call_of(review, first) == Call.NEGATIVE, active
        press(hand, review, Qt.Key.Key_Z, ctrl)


def test_every_decision_key_does_what_it_says(review, hand):
    session = review.panel.session
    for key, call in (("G", Call.POSITIVE), ("H", Call.NEGATIVE), ("U", Call.UNSURE), ("N", Call.NOT_A_CELL)):
        cell = session.current
        press(hand, review, getattr(Qt.Key, f"Key_{key}"))
        assert call_of(review, cell) == call


def test_moving_keys_move_without_deciding(review, hand):
    session = review.panel.session
    first = session.current
    press(hand, review, Qt.Key.Key_K)
    second = session.current
    press(hand, review, Qt.Key.Key_J)
    assert (session.current, second != first) == (first, True)
    press(hand, review, Qt.Key.Key_W)
    assert session.queue.name != "positives"
    assert session.n_decisions == 0


def test_the_overlay_key_bares_the_slide_and_brings_everything_back(review, hand):
    review.viewer.scene.camera.zoom = 2.0
    press(hand, review, Qt.Key.Key_Q)
    assert [layer.name for layer in review.viewer.layers if layer.visible] == ["slide"]
    press(hand, review, Qt.Key.Key_Q)
    assert {"cells", "current cell", "exclusions"} <= {la.name for la in review.viewer.layers if la.visible}


def test_keys_typed_in_the_gallery_label_the_selection(review, hand):
    panel = review.panel
    panel.tabs.setCurrentWidget(panel.gallery)
    view = panel.gallery.view
    view.setCurrentIndex(panel.gallery.model.index(0))
    for row in (2, 4):
        view.selectionModel().select(
            panel.gallery.model.index(row), view.selectionModel().SelectionFlag.Select
        )
    chosen = panel.gallery.selected()
    hand.keyClick(view, Qt.Key.Key_H)
    assert [call_of(review, cell) for cell in chosen] == [Call.NEGATIVE] * 3
    assert panel.session.n_decisions == 3


def test_own_keys_take_the_place_of_the_defaults(review, hand, tmp_path, monkeypatch):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"negative": "B"}))
    monkeypatch.setenv("ISHCOUNT_REVIEW_KEYS", str(path))
    review.open_slide("EM-01")
    cell = review.panel.session.current
    press(hand, review, Qt.Key.Key_H)
    assert call_of(review, cell) == NO_CALL
    press(hand, review, Qt.Key.Key_B)
    assert call_of(review, cell) == Call.NEGATIVE


def place_on_canvas(dock, x_um, y_um):
    camera, (height, width) = dock.viewer.scene.camera, dock.viewer.canvas.size
    row = (y_um - camera.center[-2]) * camera.zoom + height / 2
    col = (x_um - camera.center[-1]) * camera.zoom + width / 2
    return QPoint(round(col), round(row))


def test_a_click_on_a_cell_goes_to_that_cell(review, hand):
    live = review.panel.session.live
    review.viewer.scene.camera.zoom = 2.0
    for row in (len(live.cell_id) // 2, len(live.cell_id) // 2 + 3):
        review.viewer.scene.camera.center = (float(live.y_um[row]) + 20, float(live.x_um[row]) + 30)
        hand.wait(50)
        at = place_on_canvas(review, live.x_um[row], live.y_um[row])
        hand.mouseClick(canvas(review), Qt.MouseButton.LeftButton, pos=at)
        hand.wait(50)
        assert review.panel.session.current == live.cell_id[row]


def colour_near(dock, cell, want):
    """How many screen pixels about a cell are near a colour (0-1)."""
    session = dock.panel.session
    row = int(session.live.rows([cell])[0])
    picture = dock.viewer.screenshot(canvas_only=True, flash=False)[..., :3] / 255
    scale = picture.shape[0] / dock.viewer.canvas.size[0]
    at = place_on_canvas(dock, session.live.x_um[row], session.live.y_um[row])
    row, col, reach = int(at.y() * scale), int(at.x() * scale), int(30 * scale)
    part = picture[max(row - reach, 0) : row + reach, max(col - reach, 0) : col + reach]
    return int((np.abs(part - want).max(axis=2) < 0.2).sum())


def test_a_decision_changes_the_colour_on_the_screen(review, hand):
    session = review.panel.session
    cell = session.current
    review.viewer.scene.camera.zoom = 3.0
    review.panel.layers.centre()
    review.panel.layers.dots.visible = False  # their rings lie over the outline
    red, blue = (0.95, 0.15, 0.10), (0.0, 0.35, 1.0)
    hand.waitUntil(lambda: colour_near(review, cell, red) > 20, timeout=5000)
    before = colour_near(review, cell, red)
    assert colour_near(review, cell, blue) == 0
    session.decide(Call.NEGATIVE, [cell])
    hand.waitUntil(lambda: colour_near(review, cell, blue) > 20, timeout=5000)
    assert colour_near(review, cell, red) < before - 20, "what is left is the dot itself"


def test_the_big_number_follows_each_decision(review, hand):
    before = review.panel.head.density.text()
    press(hand, review, Qt.Key.Key_H)
    after = review.panel.head.density.text()
    assert float(after.split()[0]) < float(before.split()[0])
    assert "automatic 15 positive" in review.panel.head.detail.text()


def test_the_slider_previews_and_the_button_decides(review, hand):
    head, session = review.panel.head, review.panel.session
    head.slider.setValue(300)
    hand.waitUntil(lambda: session.live.cut(MARKER) == 0.3, timeout=2000)
    assert "PREVIEW" in head.cut_label.text()
    assert session.log.entries == []
    head._choose_cut()
    assert [(entry.operation, entry.new) for entry in session.log.entries] == [("cut", 0.3)]
    assert "PREVIEW" not in head.cut_label.text()


def test_a_polygon_drawn_in_the_viewer_is_an_exclusion_with_the_reason_chosen(review, hand):
    panel = review.panel
    n_cells = panel.session.numbers().tally.n_cells
    panel.areas.reason.setCurrentText("ink")
    panel.layers.exclusions.add([[50, 50], [50, 200], [150, 200], [150, 50]], shape_type="polygon")
    hand.wait(50)
    (entry,) = panel.session.log.entries
    assert (entry.operation, entry.reason) == ("exclude", "ink")
    assert entry.new["polygon_um"] == [[50, 50], [200, 50], [200, 150], [50, 150]]
    assert panel.session.numbers().tally.n_cells < n_cells
    panel.act("undo")
    hand.wait(50)
    assert panel.layers.exclusions.nshapes == 0
    assert panel.session.numbers().tally.n_cells == n_cells


def test_a_polygon_deleted_in_the_viewer_is_no_exclusion_any_more(review, hand):
    panel = review.panel
    panel.session.exclude([[50, 50], [200, 50], [200, 150]], reason="fold")
    panel.session.exclude([[300, 300], [400, 300], [400, 400]], reason="fold")
    hand.wait(50)
    panel.layers.exclusions.selected_data = {0}
    panel.layers.exclusions.remove_selected()
    hand.wait(50)
    assert [value["polygon_um"][0] for value in panel.session.exclusions.values()] == [[300, 300]]


def test_a_point_added_in_the_viewer_is_an_added_cell(review, hand):
    panel = review.panel
    before = panel.session.numbers().tally
    panel.layers.added.add([[300.0, 250.0]])
    hand.wait(50)
    (cell,) = panel.session.state.added()
    assert (cell.x_um, cell.y_um, cell.positive) == (250.0, 300.0, {MARKER})
    after = panel.session.numbers().tally
    assert (after.n_cells, after.n_positive) == (before.n_cells + 1, before.n_positive + 1)
    panel.layers.added.selected_data = {0}
    panel.layers.added.remove_selected()
    hand.wait(50)
    assert panel.session.numbers().tally == before


def test_a_redrawn_outline_changes_the_area(review, hand):
    panel = review.panel
    area = panel.session.area_mm2("dermis")
    panel.drawing.begin_outline("epidermis")
    corners = np.array([[40.0, 40.0], [40.0, 560.0], [240.0, 560.0], [240.0, 40.0]])
    panel.drawing.draft.data = [corners]
    panel.drawing.use_outline("epidermis")
    hand.wait(50)
    assert panel.session.area_mm2("dermis") == pytest.approx(area - 520 * 100 * 1e-6)
    assert panel.drawing.draft is None


def test_closing_the_dock_loses_nothing_and_takes_its_layers_away(review, hand):
    press(hand, review, Qt.Key.Key_H)
    path = review.panel.session.log.path
    foreign = review.viewer.add_layer(Image(np.zeros((4, 4)), name="foreign"))
    review.close_slide()
    assert list(review.viewer.layers) == [foreign]
    assert [entry.operation for entry in read_log(path)] == ["call"]
    review.open_slide("EM-01")
    assert review.panel.session.n_decisions == 1


def test_the_next_slide_opens_in_the_same_dock(review, hand):
    review.open_slide("NS-02")
    assert review.panel.session.title == "NS-02"
    names = [layer.name for layer in review.viewer.layers]
    assert len(names) == len(set(names)) == 9


def words_shown(dock):
    found = [label.text() for label in dock.findChildren(QLabel)]
    found += [box.itemText(i) for box in dock.findChildren(QComboBox) for i in range(box.count())]
    found += [
        listed.item(i).text() for listed in dock.findChildren(QListWidget) for i in range(listed.count())
    ]
    return " ".join([*found, dock.viewer.title, *(layer.name for layer in dock.viewer.layers)])


def test_a_blinded_review_shows_neither_slide_nor_group(review, hand):
    assert "EM-01" in words_shown(review)
    review.panel.session.set_blinded(True)
    review.panel.tabs.setCurrentWidget(review.panel.settings)
    hand.wait(50)
    shown = words_shown(review)
    assert not any(word in shown for word in ("EM-01", "NS-02", "EM"))
    assert "slide 1" in shown


def test_the_dock_is_narrow_enough_for_a_small_screen(review, hand):
    review.viewer.window.resize(1366, 768)
    hand.wait(100)
    assert review.width() <= DOCK_WIDTH_PX
    size = review.viewer.window._qt_window.size()
    assert (size.width(), size.height()) == (1366, 768)
    for tab in range(review.panel.tabs.count()):
        review.panel.tabs.setCurrentIndex(tab)
        hand.wait(20)
        assert review._scroll.horizontalScrollBar().maximum() == 0
        assert review.panel.width() <= DOCK_WIDTH_PX


def test_an_audit_is_drawn_read_and_estimated_in_the_dock(review, hand):
    panel = review.panel
    panel.tabs.setCurrentWidget(panel.audit)
    panel.audit._draw()
    hand.wait(50)
    session = panel.session
    assert session.queue.name == "audit"
    wanted = len(session.queue.ids)
    for _ in range(wanted):
        press(hand, review, Qt.Key.Key_H if session.live.score[MARKER][
            session.live.rows([session.current])[0]] < 0.95 else Qt.Key.Key_G)  # fmt: skip
    for row in range(panel.audit.fields.count()):
        panel.audit.fields.setCurrentRow(row)
        panel.audit._show_field()
        panel.audit._declare(True)
        hand.wait(20)
    panel.audit.show_estimate()
    shown = panel.audit.estimate.text()
    assert f"{wanted} decisions of {wanted} planned" in shown
    assert "unknown" not in shown
    panel.audit._ask_more()
    hand.waitUntil(lambda: "halve the interval" in panel.audit.more.text(), timeout=20_000)


def test_a_folder_that_is_no_result_is_refused_in_the_dock(viewer, tmp_path):
    dock = add_dock(viewer)
    dock._try_open(str(tmp_path))
    assert "no result folder" in dock.message.text()
    with pytest.raises(UsageError, match="no result folder"):
        dock.open_result(tmp_path)


def test_a_log_of_another_result_is_refused_and_the_slide_in_view_stays(review, hand):
    other = review.study.slide("NS-02")
    review.open_slide("NS-02")
    review.panel.act("negative")
    review.open_slide("EM-01")
    path = other.folder / "dots.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(SlideError, match="another result"):
        review.open_slide("NS-02")
    review._try_slide("NS-02")
    assert "another result" in review.panel.head.message.text()
    assert review.panel.session.title == "EM-01"


def test_without_the_image_cells_and_numbers_are_still_there(made, viewer, hand):
    made.image.unlink()
    dock = add_dock(viewer)
    dock.open_result(made.out, "EM-01", reviewer="AB")
    assert "image is not where it was counted" in dock.panel.head.message.text()
    dock.panel.act("negative")
    assert dock.panel.session.n_decisions == 1
    dock.close_slide()
