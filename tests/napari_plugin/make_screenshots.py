"""Screenshots of a review for the README: far, 20x and 40x with the dock, and the other tabs.

    xvfb-run -a -s "-screen 0 1920x1200x24" python tests/napari_plugin/make_screenshots.py RESULT
    DESTINATION [SLIDE_ID]

A few cells are decided, an exclusion drawn and an audit begun, so RESULT should be a copy. The window is
1366 x 768 pixels, the smallest it is made for.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from PIL import Image
from qtpy.QtWidgets import QApplication

from ishcount.core.decisions import Call
from ishcount_napari.launch import open_window

WINDOW_PX = (1366, 768)
PX_PER_UM_AT_40X = 4.0  # 0.25 um a pixel


def settle(seconds: float = 1.0) -> None:
    """Let Qt read, paint and come to rest."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def shoot(viewer: Any, path: Path) -> None:
    """Save the whole window."""
    settle()
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)[..., :3])
    picture.quantize(160, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )  # a third of the size
    print(path)


def review_a_little(dock: Any) -> None:
    """Decide some cells as a reader would, and leave something out."""
    session = dock.panel.session
    queue = session.queue.ids[: min(24, len(session.queue.ids))].tolist()
    for place, cell in enumerate(queue):
        session.go_to(cell)
        session.decide((Call.POSITIVE, Call.POSITIVE, Call.NEGATIVE, Call.POSITIVE, Call.UNSURE)[place % 5])
    x_um, y_um = session.live.x_um[-1], session.live.y_um[-1]
    corners = [(-60, -40), (20, -55), (60, 10), (10, 50), (-50, 30)]
    session.exclude([[x_um + dx, y_um + dy] for dx, dy in corners], reason="fold")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", type=Path)
    parser.add_argument("destination", type=Path)
    parser.add_argument("slide_id", nargs="?")
    options = parser.parse_args()
    viewer, dock = open_window(options.result, options.slide_id, "AB")
    viewer.window.resize(*WINDOW_PX)
    settle(2.0)
    review_a_little(dock)
    panel = dock.panel
    settle(2.0)
    viewer.reset_view()
    shoot(viewer, options.destination / "review-far.png")
    for name, zoom in (("20x", PX_PER_UM_AT_40X / 2), ("40x", PX_PER_UM_AT_40X)):
        panel.layers.centre(zoom=zoom)
        panel.layers.show_dots()
        shoot(viewer, options.destination / f"review-{name}.png")
    for tab in (panel.gallery, panel.table, panel.areas, panel.audit, panel.settings):
        panel.tabs.setCurrentWidget(tab)
        if tab is panel.audit:
            panel.audit._draw()
            panel.audit.show_estimate()
        name = panel.tabs.tabText(panel.tabs.currentIndex()).lower()
        settle(2.0)
        shoot(viewer, options.destination / f"review-tab-{name}.png")
    dock.close_slide()
    viewer.close()


if __name__ == "__main__":
    main()
