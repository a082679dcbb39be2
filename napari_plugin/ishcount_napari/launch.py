"""`ishcount review`: napari with a result folder open in the dock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

DOCK_TITLE = "ISH review"


def review(out_dir: Path | str, slide_id: str | None = None, reviewer: str | None = None) -> None:
    """Open napari on a result folder and return when its window is closed.

    reviewer: name of the log the decisions go to (default: the user's name). Raises UsageError when the
    folder, the slide or the reviewer is not usable, SlideError when a log belongs to another result.
    """
    import napari

    viewer, _ = open_window(out_dir, slide_id, reviewer)
    viewer.show()
    napari.run()


def open_window(
    out_dir: Path | str, slide_id: str | None = None, reviewer: str | None = None, *, show: bool = True
) -> tuple[Any, Any]:
    """A viewer with the dock open at a slide, and the dock; the event loop is left to the caller."""
    import napari

    from ishcount_napari.study import open_study

    open_study(out_dir).slide(slide_id)  # says what is wrong before a window opens
    viewer = napari.Viewer(title="ishcount review", show=show)
    dock = add_dock(viewer)
    try:
        dock.open_result(out_dir, slide_id, reviewer=reviewer)
    except BaseException:
        viewer.close()
        raise
    return viewer, dock


def add_dock(viewer: Any) -> Any:
    """The dock in a viewer: the one that is there, or a new one at the right."""
    from ishcount_napari.widget import ReviewDock

    for found in viewer.window.dock_widgets.values():
        if isinstance(found, ReviewDock):
            return found
    dock = ReviewDock(viewer)
    viewer.window.add_dock_widget(dock, name=DOCK_TITLE, area="right")
    return dock
