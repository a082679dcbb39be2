"""How everything drawn looks: one colour-blind-safe palette, one font, no dates in files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette (jfly.uni-koeln.de/color), in an order that also differs in lightness.
MARKER_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKER_SHAPES = ("o", "^", "s", "D", "v", "P")
NEGATIVE_RGB = (120, 144, 176)
INK = "#1a1a1a"
MUTED = "#5f6670"
ARTEFACT_COLOUR = "#e6b800"
OUTLINE_COLOUR = "#00685b"


def marker_rgb(index: int) -> tuple[int, int, int]:
    """Colour of the index-th marker as 8-bit red, green, blue; the palette repeats after six."""
    text = MARKER_COLOURS[index % len(MARKER_COLOURS)]
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


@contextmanager
def drawing(**settings: Any) -> Iterator[None]:
    """matplotlib with our settings and none of the user's, so that equal input gives equal bytes."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        style: dict[Any, Any] = {
            "font.family": "DejaVu Sans",  # comes with matplotlib, so text is the same everywhere
            "font.size": 7.5,
            "axes.titlesize": 8.5,
            "axes.labelsize": 8,
            "axes.linewidth": 0.7,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": INK,
            "text.color": INK,
            "axes.labelcolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.major.width": 0.7,
            "ytick.major.width": 0.7,
            "legend.frameon": False,
            "legend.fontsize": 7,
            "text.hinting": "none",  # the same proportions in every format, so that labels fit
            "svg.hashsalt": "ishcount",
            "svg.fonttype": "path",  # the same look in every viewer and in the PDF
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
        }
        rc: Any = matplotlib.rcParams  # its type lists every legal key, which ours are
        rc.update({**style, **settings})
        yield


def settle(figure: Figure) -> None:
    """Lay the figure out once and round the places of its axes.

    The solver behind matplotlib's constrained layout walks its constraints in the order of memory addresses,
    so the last bits of its answer differ between runs, and with them the bytes of the file.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.transforms import Bbox

    FigureCanvasAgg(figure)
    for _ in range(2):  # the first pass makes room for labels whose size the second one knows
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        place = axes.get_position(original=True).extents
        axes.set_position(Bbox.from_extents(*(round(float(edge), 5) for edge in place)))


def save_png(figure: Figure, path: Path, *, dpi: int) -> None:
    """Save a figure as PNG without the date or the name of the program, then free it."""
    import io

    from ishcount.core.files import write_bytes

    buffer = io.BytesIO()
    settle(figure)
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def nice_length(longest: float) -> float:
    """The largest of 1, 2, 5 x 10^n that is not above `longest`: for scale bars."""
    import math

    step = 10.0 ** math.floor(math.log10(longest))
    return max(factor * step for factor in (1, 2, 5) if factor * step <= longest * (1 + 1e-9))
