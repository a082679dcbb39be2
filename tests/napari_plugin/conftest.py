"""A result folder on disk, and one window for all tests in which a review is opened and closed again."""

import os
import sys
import tempfile
import time

import pytest

from tests.result_folder import make_result

# Settings of the person who runs the tests are neither read nor changed.
os.environ["NAPARI_CONFIG"] = os.path.join(tempfile.mkdtemp(prefix="ishcount-napari-"), "settings.yaml")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The first slide of a result folder of two; a person's own keys are left out of it."""
    monkeypatch.setenv("ISHCOUNT_REVIEW_KEYS", str(tmp_path / "no_keys.json"))
    return make_result(tmp_path / "result", slide_ids=("EM-01", "NS-02"))[0]


class Hand:
    """Real key presses and mouse clicks, and the patience to wait for what follows."""

    def keyClick(self, widget, key, *modifier):
        """Press and let go of a key."""
        from qtpy.QtTest import QTest

        QTest.keyClick(widget, key, *modifier)

    def mouseClick(self, widget, button, *, pos):
        """Click at a place of a widget."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.mouseMove(widget, pos)
        QTest.mouseClick(widget, button, Qt.KeyboardModifier.NoModifier, pos)

    def wait(self, milliseconds):
        """Let Qt work for a while."""
        self.waitUntil(lambda: False, timeout=milliseconds, must=False)

    def waitUntil(self, holds, *, timeout, must=True):
        """Let Qt work until something holds; fails the test when it does not in time."""
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + timeout / 1000
        while time.monotonic() < end:
            QApplication.processEvents()
            if holds():
                return
            time.sleep(0.005)
        assert not must or holds(), f"did not happen within {timeout} ms"


@pytest.fixture
def hand():
    """A hand at keyboard and mouse. What goes wrong inside Qt's own calls fails the test too."""
    went_wrong = []
    before, sys.excepthook = sys.excepthook, lambda *error: went_wrong.append(error)
    yield Hand()
    sys.excepthook = before
    assert went_wrong == []


@pytest.fixture(scope="module")
def viewer():
    """One visible window: opening one takes seconds."""
    import gc

    import napari

    # napari collects garbage at every removal of a layer; what is there now need not be looked at each time.
    gc.collect()
    gc.freeze()
    window = napari.Viewer(show=True)
    window.window.resize(1000, 700)  # small: painting in software is what takes the time
    yield window
    window.close()
    gc.unfreeze()


@pytest.fixture
def review(made, viewer, hand):
    """The dock, open at the first slide."""
    from ishcount_napari.launch import add_dock

    dock = add_dock(viewer)
    dock.open_result(made.out, reviewer="AB")
    hand.wait(100)
    yield dock
    dock.close_slide()
    viewer.layers.clear()
    hand.wait(20)
