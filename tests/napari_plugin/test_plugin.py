"""The plugin as napari finds it: manifest, readers, sample data, launching."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("napari", reason="the napari extra is not installed")

import npe2

import ishcount_napari
from ishcount.core.errors import UsageError
from ishcount_napari.launch import DOCK_TITLE, open_window
from ishcount_napari.reader import get_reader, read_slide, result_of

MANIFEST = Path(ishcount_napari.__file__).with_name("napari.yaml")


@pytest.fixture
def manifest():
    return npe2.PluginManifest.from_file(MANIFEST)


def test_the_manifest_is_valid(manifest):
    assert manifest.name == "ishcount"
    found = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", str(MANIFEST)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_command_of_the_manifest_can_be_imported(manifest):
    for command in manifest.contributions.commands:
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(__import__(module, fromlist=[name]), name))


def test_the_manifest_offers_reader_widget_sample_and_menu(manifest):
    offered = manifest.contributions
    assert offered.readers
    assert offered.sample_data
    assert [widget.display_name for widget in offered.widgets] == [DOCK_TITLE]
    assert "napari/layers/annotate" in offered.menus


def test_the_reader_knows_results_and_slides_from_other_folders(made, tmp_path):
    assert result_of(made.out) == (made.out, None)
    assert result_of(made.slide_folder) == (made.out, "EM-01")
    assert get_reader(str(made.out)).__name__ == "read_result"
    assert get_reader([str(made.image)]).__name__ == "read_slide"
    assert get_reader(str(tmp_path)) is None


def test_a_slide_opens_as_a_pyramid_in_micrometres(made):
    ((levels, about, kind),) = read_slide(str(made.image))
    assert kind == "image"
    assert [level.shape[:2] for level in levels] == [(1800, 2400), (900, 1200)]
    assert about["scale"] == (0.25, 0.25)
    assert about["translate"] == (0.125, 0.125)
    assert about["multiscale"]
    assert np.asarray(levels[0][100:110, 100:110]).shape == (10, 10, 3)


def test_what_is_no_slide_is_refused_in_one_line(tmp_path):
    (tmp_path / "x.tif").write_bytes(b"no image at all, but long enough")
    with pytest.raises(ValueError, match=r"x\.tif"):
        read_slide(str(tmp_path / "x.tif"))


def test_a_wrong_slide_id_is_refused_before_a_window_opens(made):
    with pytest.raises(UsageError, match="there are EM-01, NS-02"):
        open_window(made.out, "EM-99")


@pytest.mark.gui
def test_dropping_a_result_folder_on_napari_opens_its_review(made, viewer, hand):
    read = get_reader(str(made.slide_folder))
    assert read(str(made.slide_folder)) == [(None,)]
    dock = next(iter(viewer.window.dock_widgets.values()))
    assert dock.panel.session.title == "EM-01"
    dock.close_slide()


@pytest.mark.gui
def test_launching_opens_the_slide_asked_for(made, hand):
    window, dock = open_window(made.out, "NS-02", "AB", show=False)
    assert (dock.panel.session.title, dock.panel.session.reviewer) == ("NS-02", "AB")
    dock.close_slide()
    window.close()
