"""The window where something is missing, hidden or still at work."""

import shutil
import time

import numpy as np
import pytest

pytest.importorskip("napari", reason="the napari extra is not installed")

from qtpy.QtWidgets import QPushButton

from ishcount.core.decisions import Call
from ishcount.core.errors import OutputError, SlideError
from ishcount_napari.launch import add_dock
from ishcount_napari.lut import SHADES
from ishcount_napari.work import Work
from tests.result_folder import MARKER

pytestmark = pytest.mark.gui
LABELS = "labels.ome.zarr"


def garble(folder):
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            path.write_bytes(b"garbage")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda made: shutil.rmtree(made.slide_folder / LABELS), ""),
        (lambda made: (made.slide_folder / LABELS / ".zattrs").unlink(), "picture of the cells is damaged"),
        (lambda made: garble(made.slide_folder / LABELS), "picture of the cells is damaged"),
        (lambda made: made.image.write_bytes(b"no image"), "cells and numbers only"),
    ],
    ids=["tables only", "labels without description", "labels without content", "image damaged"],
)
def test_what_is_missing_is_said_and_the_review_goes_on(made, viewer, hand, damage, said):
    damage(made)
    dock = add_dock(viewer)
    dock.open_result(made.out, "EM-01", reviewer="AB")
    hand.wait(50)
    assert said in dock.panel.head.message.text()
    assert bool(dock.panel.head.message.text()) == bool(said)
    dock.panel.act("negative")
    assert dock.panel.session.n_decisions == 1
    dock.close_slide()


@pytest.mark.parametrize("name", ["cells.parquet", "dots.parquet", "tissue.geojson", "summary.json"])
def test_a_damaged_result_is_refused_in_one_line(made, viewer, name):
    (made.slide_folder / name).write_bytes(b"{damaged")
    dock = add_dock(viewer)
    with pytest.raises(SlideError, match="count the slide again") as refused:
        dock.open_result(made.out, "EM-01", reviewer="AB")
    assert "\n" not in str(refused.value)
    assert dock.panel is None
    assert len(viewer.layers) == 0


def test_in_the_audit_the_automatic_call_is_hidden_until_the_cell_is_decided(review, hand):
    panel, session = review.panel, review.panel.session
    looks = panel.layers.table.values
    cell = next(int(c) for c in session.queue.ids)
    assert looks[cell] // SHADES == 2, "called positive, and shown so"
    panel.audit._draw()
    session.go_to(cell)
    hand.wait(50)
    assert "score" not in panel.cell.facts.text()
    assert "automatic" not in panel.cell.facts.text()
    assert panel.cell.dots.text() == ""
    assert looks[cell] // SHADES == 1
    assert not panel.layers.dots.visible
    shown = panel.gallery.model.index(session.queue.place)
    assert panel.gallery.model.data(shown) == ""
    session.decide(Call.POSITIVE, [cell])
    hand.wait(50)
    assert "score" in panel.cell.facts.text()
    session.choose_queue("positives")
    hand.wait(50)
    assert set((looks[session.queue.ids] // SHADES).tolist()) == {2, 5}


def test_in_disputes_the_card_says_what_the_others_said(review, hand):
    cell = review.panel.session.current
    review.panel.act("positive")
    review.open_result(review.study.result.folder, "EM-01", reviewer="CD")
    session = review.panel.session
    session.decide(Call.NEGATIVE, [cell])
    session.choose_queue("disagreements")
    hand.wait(50)
    assert session.current == cell
    assert "AB: <b>positive</b>" in review.panel.cell.facts.text()


def test_an_outline_used_without_a_change_keeps_its_holes_and_its_area(review, hand):
    panel = review.panel
    hole = [[100.0, 100.0], [140.0, 100.0], [140.0, 140.0], [100.0, 140.0]]
    outer = [[40.0, 40.0], [560.0, 40.0], [560.0, 410.0], [40.0, 410.0]]
    panel.session.correct_outline("tissue", [outer, hole])
    area = panel.session.area_mm2()
    panel.drawing.begin_outline("tissue")
    assert panel.drawing.draft.nshapes == 2
    panel.drawing.use_outline("tissue")
    hand.wait(50)
    assert panel.session.area_mm2() == pytest.approx(area, rel=1e-6)


def test_a_button_that_cannot_do_its_work_says_so(review, hand, monkeypatch):
    def refuse(*_):
        raise OutputError("cannot write: the folder is read-only")

    monkeypatch.setattr(review.panel.session.log, "append", refuse)
    review.panel.tabs.setCurrentWidget(review.panel.settings)
    review.findChild(QPushButton, "blind").click()
    assert "read-only" in review.panel.head.message.text()
    review.panel.session.preview_cut(0.5)
    review.findChild(QPushButton, "use_cut").click()
    assert "read-only" in review.panel.head.message.text()
    assert not review.panel.session.blinded


def test_closing_while_work_runs_raises_nothing(review, hand):
    panel = review.panel
    panel.audit._draw()
    panel.audit._ask_more()
    panel.tabs.setCurrentWidget(panel.settings)
    panel.settings._run()
    review.close_slide()
    hand.wait(1500)
    assert review.panel is None


def test_work_tells_of_progress_and_result_and_is_silent_once_stopped(viewer, hand):
    heard, work = [], Work()
    tell = {"done": lambda r: heard.append(("done", r)), "failed": lambda e: heard.append(("failed", str(e)))}

    def count(n):
        for i in range(n):
            yield i
            time.sleep(0.01)
        return "end"

    def fail():
        raise ValueError("no")

    work.start(count, 2, progress=lambda i: heard.append(("at", i)), **tell)
    hand.waitUntil(lambda: not work.is_running, timeout=5000)
    assert heard == [("at", 0), ("at", 1), ("done", "end")]
    work.start(fail, **tell)
    hand.waitUntil(lambda: not work.is_running, timeout=5000)
    assert heard.pop() == ("failed", "no")
    heard.clear()
    work.start(count, 500, progress=lambda i: heard.append(i), **tell)
    hand.waitUntil(lambda: len(heard) > 0, timeout=5000)
    work.stop()
    n = len(heard)
    hand.wait(200)
    assert len(heard) == n
    assert not work.is_running


def test_all_cells_decided_at_once_are_counted_and_coloured(review, hand):
    session = review.panel.session
    ids = np.sort(session.live.cell_id)
    session.decide(Call.POSITIVE, ids.tolist())
    hand.wait(50)
    assert session.live.tally(MARKER).n_positive == len(ids)
    assert set((review.panel.layers.table.values[ids] // SHADES).tolist()) == {5}
