"""Optical density under construction: noise, spots and blobs, measured in micrometres."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ishcount.truth.training.imaginary_slide import Array, Draw

SIZE_PX = 640


class Canvas:
    """Optical density (size, size, 3) under construction, in micrometres at the pixel size of the draw."""

    def __init__(self, draw: Draw, rng: np.random.Generator) -> None:
        self.draw, self.rng, self.mpp = draw, rng, draw.mpp_um
        self.od = np.zeros((SIZE_PX, SIZE_PX, 3))
        self.others: list[tuple[str, float, float, float]] = []

    def note(self, reason: str, x: float, y: float, reach_um: float) -> None:
        """Keep in mind that what is seen here is no dot, and why."""
        self.others.append((reason, x, y, reach_um / self.mpp))

    def place(self) -> tuple[float, float]:
        x, y = self.rng.uniform(0, SIZE_PX, 2)
        return float(x), float(y)

    def noise(self, scale_um: float, stretch: float = 1.0) -> Array:
        """Smooth noise of unit variance with the given grain, drawn out along a random direction."""
        sigma = max(scale_um / self.mpp, 0.6)
        field: Any = self.rng.normal(size=(SIZE_PX, SIZE_PX))
        field = cv2.GaussianBlur(field, (0, 0), sigmaX=sigma * stretch, sigmaY=sigma)
        if stretch > 1:
            angle = self.rng.uniform(0, 180)
            turn = cv2.getRotationMatrix2D((SIZE_PX / 2, SIZE_PX / 2), angle, 1.0)
            field = cv2.warpAffine(field, turn, (SIZE_PX, SIZE_PX), borderMode=cv2.BORDER_REFLECT)
        return np.asarray(field / field.std())

    def window(self, x: float, y: float, reach_um: float) -> tuple[Any, Array, Array]:
        """Slices about a place and the offsets from it in um; empty where the place is outside."""
        reach = reach_um / self.mpp
        top, bottom = (int(np.clip(v, 0, SIZE_PX)) for v in (y - reach, y + reach + 2))
        left, right = (int(np.clip(v, 0, SIZE_PX)) for v in (x - reach, x + reach + 2))
        rows, cols = np.mgrid[top:bottom, left:right]
        return np.s_[top:bottom, left:right], (cols - x) * self.mpp, (rows - y) * self.mpp

    def add(self, where: Any, amount: Array, vector: Array) -> None:
        self.od[where] += amount[..., None] * vector

    def spot(
        self, x: float, y: float, sigma_um: float, amount: float, vector: Array, *,
        aspect: float = 1.0, reason: str = "",
    ) -> None:  # fmt: skip
        if reason:
            self.note(reason, x, y, 2 * sigma_um)
        where, dx, dy = self.window(x, y, 4 * sigma_um * aspect + 0.5)
        turn = self.rng.uniform(0, np.pi)
        along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        self.add(where, amount * np.exp(-((along / aspect) ** 2 + across**2) / (2 * sigma_um**2)), vector)

    def blob(
        self, x: float, y: float, radius_um: float, aspect: float, edge_um: float, turn: float
    ) -> tuple[Any, Array]:
        """A soft ellipse with a wobbling outline: slices and a mask 0-1."""
        where, dx, dy = self.window(x, y, radius_um * max(aspect, 1) * 1.5 + 1)
        along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        phase = np.arctan2(across, along)
        wobble = 1 + sum(
            self.rng.normal(0, 0.05) * np.cos(k * phase + self.rng.uniform(0, 6)) for k in (2, 3, 5)
        )
        distance = (1 - np.hypot(along / (radius_um * aspect), across / radius_um) / wobble) * radius_um
        return where, 1 / (1 + np.exp(-np.clip(distance / edge_um, -30, 30)))
