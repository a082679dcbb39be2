"""A result folder on disk, and one window for all tests in which a review is opened and closed again."""

import os
import tempfile

import pytest

from tests.result_folder import make_result

# Settings of the person who runs the tests are neither read nor changed.
os.environ["NAPARI_CONFIG"] = os.path.join(tempfile.mkdtemp(prefix="ishcount-napari-"), "settings.yaml")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The first slide of a result folder of two; a person's own keys are left out of it."""
    monkeypatch.setenv("ISHCOUNT_REVIEW_KEYS", str(tmp_path / "no_keys.json"))
    return make_result(tmp_path / "result", slide_ids=("EM-01", "NS-02"))[0]


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
def review(made, viewer, qtbot):
    """The dock, open at the first slide."""
    from ishcount_napari.launch import add_dock

    dock = add_dock(viewer)
    dock.open_result(made.out, reviewer="AB")
    qtbot.wait(100)
    yield dock
    dock.close_slide()
    viewer.layers.clear()
    qtbot.wait(20)
