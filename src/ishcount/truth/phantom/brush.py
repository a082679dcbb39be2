"""Brushes: random fields laid out in micrometres and soft ellipses stamped into optical density.

All coordinates are micrometres from the corner of level-0 pixel (0, 0), so that the same scene can be painted
at any pixel size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ishcount.core.compiled import njit

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Blobs:
    """Soft ellipses. x_um, y_um, a_um, b_um (semi-axes), angle (radians), edge_um (softness of the rim; 0: a
    Gaussian with sigmas a and b): float32 (n,). od: float32 (n, 3), what each adds to the optical density."""

    x_um: Array
    y_um: Array
    a_um: Array
    b_um: Array
    angle: Array
    edge_um: Array
    od: Array

    def __len__(self) -> int:
        return len(self.x_um)

    def take(self, which: Array) -> Blobs:
        """Those chosen by index or mask."""
        return Blobs(*(getattr(self, field.name)[which] for field in fields(self)))


def blobs(x: Any, y: Any, a: Any, b: Any, angle: Any, edge: Any, od: Any) -> Blobs:
    """`Blobs` from anything that broadcasts to the length of `x`."""
    x = np.atleast_1d(np.asarray(x, np.float32))
    n = len(x)
    plain = [np.broadcast_to(np.asarray(value, np.float32), (n,)).copy() for value in (y, a, b, angle, edge)]
    return Blobs(x, *plain, np.broadcast_to(np.asarray(od, np.float32), (n, 3)).copy())


def join(parts: list[Blobs]) -> Blobs:
    """All blobs of several lists, in order of y, then x."""
    if not parts:
        return blobs([], [], 1, 1, 0, 0, [0, 0, 0])
    whole = Blobs(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Blobs)))
    return whole.take(np.lexsort((whole.x_um, whole.y_um)))


@njit
def _stamp(
    plane: Array, y0_um: float, um: float, x: Array, y: Array, a: Array, b: Array, angle: Array,
    edge: Array, od: Array,
) -> None:  # fmt: skip
    height, width = plane.shape[0], plane.shape[1]
    for i in range(len(x)):
        soft = edge[i] <= 0
        reach = 3.2 * max(a[i], b[i]) if soft else max(a[i], b[i]) + edge[i]
        top = max(0, int((y[i] - reach - y0_um) / um))
        bottom = min(height, int((y[i] + reach - y0_um) / um) + 2)
        left = max(0, int((x[i] - reach) / um))
        right = min(width, int((x[i] + reach) / um) + 2)
        cosine, sine = math.cos(angle[i]), math.sin(angle[i])
        for row in range(top, bottom):
            dy = (row + 0.5) * um + y0_um - y[i]
            for column in range(left, right):
                dx = (column + 0.5) * um - x[i]
                along = (cosine * dx + sine * dy) / a[i]
                across = (cosine * dy - sine * dx) / b[i]
                square = along * along + across * across
                if soft:
                    if square > 10.24:
                        continue
                    cover = math.exp(-0.5 * square)
                else:
                    inside = (1.0 - math.sqrt(square)) * min(a[i], b[i])
                    cover = min(1.0, max(0.0, 0.5 + inside / edge[i]))
                    if cover <= 0:
                        continue
                for channel in range(3):
                    plane[row, column, channel] += cover * od[i, channel]


def stamp(plane: Array, some: Blobs, *, y0_um: float, um: float) -> None:
    """Add blobs to `plane`: float32 (h, w, 3) whose first row starts at `y0_um`, pixels `um` wide."""
    reach = np.maximum(some.a_um, some.b_um) * 3.2 + some.edge_um
    part = some.take(
        (some.y_um + reach > y0_um) & (some.y_um - reach < y0_um + plane.shape[0] * um)
    )
    _stamp(
        plane, float(y0_um), float(um), part.x_um, part.y_um, part.a_um, part.b_um, part.angle, part.edge_um,
        part.od,
    )  # fmt: skip


@dataclass(frozen=True)
class Noise:
    """A wrapping random field of mean 0 and standard deviation 1; one cell is `cell_um` wide."""

    cells: npt.NDArray[np.float32]
    cell_um: float

    def at(self, x_um: Array, y_um: Array) -> npt.NDArray[np.float32]:
        """Values at places: float32 arrays of one shape (linear between cells)."""
        step = np.float32(1 / self.cell_um)
        seen: Any = cv2.remap(
            self.cells, x_um * step, y_um * step, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        )
        return np.asarray(seen)


def noise(rng: np.random.Generator, cell_um: float, *, side: int = 512, smooth: float = 0.8) -> Noise:
    """Draw a field of `side` x `side` cells smoothed by `smooth` cells."""
    raw = rng.normal(size=(side, side)).astype(np.float32)
    pad = 8
    wrapped = cv2.copyMakeBorder(raw, pad, pad, pad, pad, cv2.BORDER_WRAP)
    cells = cv2.GaussianBlur(wrapped, (0, 0), smooth)[pad:-pad, pad:-pad]
    return Noise(np.ascontiguousarray((cells - cells.mean()) / cells.std()), cell_um)


def line_noise(rng: np.random.Generator, at_um: Array, period_um: float) -> npt.NDArray[np.float32]:
    """A smooth random line of standard deviation about 1, evaluated at `at_um` (any shape)."""
    total = np.zeros(np.shape(at_um), np.float32)
    for _ in range(6):
        wave = rng.uniform(0.6, 1.8) * period_um
        total += np.sin(2 * np.pi * at_um / wave + rng.uniform(0, 2 * np.pi)).astype(np.float32)
    return total / np.float32(math.sqrt(3.0))
