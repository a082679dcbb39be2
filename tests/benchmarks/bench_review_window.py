"""The window on a million cells: from the slide being known to a painted window, and what a person waits for.

    xvfb-run -a -s "-screen 0 1920x1200x24" python tests/benchmarks/bench_review_window.py [--cells 1000000]

Wall time and CPU time of this process: on a busy machine the first says how busy it is, the second what the
review costs. `number` is until the count in the dock has changed, `picture` until the window is painted
(software painting where there is no graphics card).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
from bench_review import SIDE_UM, box, make_result
from numpy.typing import NDArray

from ishcount.core import files, tables
from ishcount.core.units import PixelSize
from ishcount.outputs.labels import write_labels
from ishcount.result import load_slide_result, write_densities

LABEL_UM = 0.5
NUCLEUS_SHARE = 0.5
"""Side of a drawn nucleus as a share of the distance between cells."""


def add_labels(folder: Path, n_cells: int) -> None:
    """A label image of squares on the benchmark's grid of cells."""
    per_row = ceil(sqrt(n_cells))
    side = int(SIDE_UM / LABEL_UM)
    pitch = side // per_row
    inside = np.arange(pitch) < round(NUCLEUS_SHARE * pitch)

    def bands() -> Iterator[NDArray[np.uint32]]:
        for row in range(per_row):
            ids = np.arange(row * per_row + 1, (row + 1) * per_row + 1, dtype=np.uint32)
            line = np.repeat(np.where(ids <= n_cells, ids, 0), pitch) * np.tile(inside, per_row)
            yield np.where(inside[:, None], line[None], 0).astype(np.uint32)

    write_labels(
        folder / "labels.ome.zarr", bands(), height=per_row * pitch, width=per_row * pitch,
        pixel_size=PixelSize(LABEL_UM, LABEL_UM),
    )  # fmt: skip


def make_study(out: Path, n_cells: int) -> None:
    """A result folder of one slide, without its image."""
    folder = out / "slides" / "big"
    make_result(folder, n_cells)
    add_labels(folder, n_cells)
    rows = load_slide_result(folder).densities().assign(slide_id="big", patient="P1", group="EM", status="ok")
    for name in tables.DENSITIES:
        if name not in rows:
            rows[name] = None
    write_densities(out, tables.check(pd.DataFrame(rows), tables.DENSITIES))
    files.write_json(out / "run.json", {"slides": [{"slide_id": "big", "path": ""}]})


class Watch:
    """Wall and CPU milliseconds of an act, until the number has changed and until all is painted."""

    def __init__(self, head: Callable[[], object]) -> None:
        from qtpy.QtWidgets import QApplication

        self._app = QApplication.instance()
        self._head = head

    def settle(self) -> None:
        """Let Qt do what waits, until nothing does."""
        quiet = 0
        while quiet < 3:
            before = time.process_time()
            self._app.processEvents()
            quiet = quiet + 1 if time.process_time() - before < 0.002 else 0
            time.sleep(0.002)

    def time(self, act: Callable[[int], object], times: int) -> dict[str, float]:
        """Medians over `times` turns."""
        found = []
        for turn in range(times):
            wall, cpu = time.perf_counter(), time.process_time()
            act(turn)
            self._head()
            number = time.perf_counter() - wall, time.process_time() - cpu
            self.settle()
            found.append((*number, time.perf_counter() - wall, time.process_time() - cpu))
        middle = [1000 * statistics.median(column) for column in zip(*found, strict=True)]
        return dict(zip(("number", "number_cpu", "picture", "picture_cpu"), middle, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--result", type=Path, help="keep the made result here, and use it again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ.setdefault("NAPARI_CONFIG", str(Path(name) / "settings.yaml"))
        out = options.result or Path(name) / "study"
        if not (out / "densities.parquet").exists():
            make_study(out, options.cells)
        run(out, options.cells)


def run(out: Path, n_cells: int) -> None:
    """Open the study, act, print."""
    import napari

    from ishcount.core.decisions import Call
    from ishcount_napari.launch import add_dock

    viewer = napari.Viewer(show=True)
    viewer.window.resize(1366, 768)
    dock = add_dock(viewer)
    watch = Watch(lambda: None)
    watch.settle()
    wall, cpu = time.perf_counter(), time.process_time()
    dock.open_result(out, reviewer=f"bench-{os.getpid()}")
    opened = time.perf_counter() - wall, time.process_time() - cpu
    watch.settle()
    painted = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{n_cells:,} cells, load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(
        f"opening {opened[0]:.2f} s wall ({opened[1]:.2f} s CPU), painted {painted[0]:.2f} ({painted[1]:.2f})"
    )
    session, head = dock.panel.session, dock.panel.head
    watch = Watch(head.density.text)
    viewer.scene.camera.zoom = 2.0
    watch.settle()
    ids = np.random.default_rng(2).integers(1, n_cells, 100).tolist()

    def decide(turn: int) -> None:
        session.go_to(ids[turn])
        watch.settle()

    rows = {}
    decide(0)
    rows["decision"] = watch.time(lambda turn: dock.panel.act(("positive", "negative")[turn % 2]), 15)
    rows["undo"] = watch.time(lambda _: dock.panel.act("undo"), 10)
    rows["new cut"] = watch.time(lambda turn: session.preview_cut(0.3 + turn / 50), 10)
    rows["exclusion"] = watch.time(lambda turn: session.exclude(box(turn), reason="fold"), 6)
    rows["bulk of 200"] = watch.time(lambda turn: session.decide(Call(turn % 2), list(range(5000, 5200))), 4)
    print(f"{'ms (CPU)':14}{'number':>18}{'picture':>20}")
    for words, found in rows.items():
        print(
            f"{words:14}{found['number']:10.1f} ({found['number_cpu']:.1f})"
            f"{found['picture']:12.0f} ({found['picture_cpu']:.0f})"
        )
    dock.close_slide()
    viewer.close()


if __name__ == "__main__":
    main()
