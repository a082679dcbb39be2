"""Counting the view again with other parameters: a look, not a result. Nothing of it is kept or logged. No
Qt.
"""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ishcount.core.errors import UsageError
from ishcount.params import Params, make_params
from ishcount.result import load_slide_result
from ishcount_napari.session import Session

if TYPE_CHECKING:
    from ishcount.quantify import SlideJob

LARGEST_VIEW_UM = 3000.0
"""Largest side of a view to count again: about a minute's work."""


@dataclass(frozen=True)
class Preview:
    """Positive cells (n, 2: x, y in um) in the view with other parameters, and how many there were before."""

    xy_um: NDArray[np.float64]
    n_cells: int
    n_positive_before: int


def changed_params(params: Params, lines: str) -> Params:
    """`params` with TOML lines such as `density.dot_cut = 0.8` laid over; UsageError names what is wrong."""
    try:
        wanted = tomllib.loads(lines)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f"these lines are no TOML ({error}); write for example density.dot_cut = 0.8"
        ) from error
    content = params.model_dump()
    for section, values in wanted.items():
        known = content.get(section)
        content[section] = (
            {**known, **values} if isinstance(known, dict) and isinstance(values, dict) else values
        )
    return make_params(content)


def run_preview(
    session: Session, region_um: tuple[float, float, float, float], params: Params
) -> Generator[tuple[int, int], None, Preview]:
    """Count a part (x, y, width, height in um) of the slide; yields blocks done and in all.

    A generator, so that a worker can show progress and stop between blocks. UsageError when the image is not
    at hand or the view too large.
    """
    from ishcount.quantify import count_block, finish, prepare  # seconds of imports that few need

    if not session.image:
        raise UsageError("the slide's image is not at hand, so nothing can be counted again")
    if max(region_um[2:]) > LARGEST_VIEW_UM:
        raise UsageError(
            f"zoom in first: at most {LARGEST_VIEW_UM / 1000:.0f} mm can be counted again at once"
        )
    with tempfile.TemporaryDirectory(prefix="ishcount-preview-") as folder:
        job = _job(session, region_um, params, Path(folder))
        plan = prepare(job)
        for done, key in enumerate(plan.keys, 1):
            count_block(job, key)
            yield done, len(plan.keys)
        finish(job)
        cells = load_slide_result(job.folder).cells
    positive = cells[cells[f"{session.marker}_positive"]]
    live = session.live
    x, y, width, height = region_um
    inside = (live.x_um >= x) & (live.x_um < x + width) & (live.y_um >= y) & (live.y_um < y + height)
    before = int(np.count_nonzero(inside & live.automatic[session.marker]))
    return Preview(positive[["x_um", "y_um"]].to_numpy(float), len(cells), before)


def _job(session: Session, region_um: Any, params: Params, folder: Path) -> SlideJob:
    from ishcount.quantify import SlideJob

    markers = session.result.markers
    return SlideJob(
        slide=session.image,
        slide_id=session.result.slide_id,
        folder=folder / "result",
        work=folder / "work",
        markers=tuple((name, str(found.get("chromogen") or "auto")) for name, found in markers.items()),
        params=params,
        option_mpp=session.pixel_size.mean_um,
        region_um=region_um,
        outputs="tables",
    )
