"""Rectangles of pixels, and who reads what and owns what.

All coordinates are integers, x to the right, y down, half-open: a region holds x <= column < x + width.
Blocks lie on a fixed grid of the slide and their cores partition it, so each pixel, and with it each dot and
each nucleus decided by one pixel, belongs to exactly one block.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Region:
    """A rectangle of pixels of a stated level: `x`, `y` is its top-left pixel."""

    x: int
    y: int
    width: int
    height: int

    @property
    def x_end(self) -> int:
        """First column to the right of the region."""
        return self.x + self.width

    @property
    def y_end(self) -> int:
        """First row below the region."""
        return self.y + self.height

    def contains(self, x: int, y: int) -> bool:
        """Whether pixel (x, y) lies inside."""
        return self.x <= x < self.x_end and self.y <= y < self.y_end

    def grow(self, margin: int) -> Region:
        """The region with `margin` pixels more on every side."""
        return Region(self.x - margin, self.y - margin, self.width + 2 * margin, self.height + 2 * margin)

    def intersect(self, other: Region) -> Region | None:
        """What both regions share, or None when they share no pixel."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        x_end, y_end = min(self.x_end, other.x_end), min(self.y_end, other.y_end)
        return Region(x, y, x_end - x, y_end - y) if x < x_end and y < y_end else None

    def clip(self, width: int, height: int) -> Region:
        """The part inside an image of `width` x `height`; ValueError when nothing is left."""
        inside = self.intersect(Region(0, 0, width, height))
        if inside is None:
            raise ValueError(f"{self} lies outside an image of {width} x {height} pixels")
        return inside

    def coarser(self, factor: int) -> Region:
        """The cells of a grid `factor` times coarser that this region touches."""
        x, y = self.x // factor, self.y // factor
        return Region(x, y, -(-self.x_end // factor) - x, -(-self.y_end // factor) - y)


@dataclass(frozen=True, slots=True, order=True)
class Block:
    """One unit of work: the level-0 pixels to read, and the core it answers for."""

    row: int
    col: int
    core: Region
    read: Region

    @property
    def key(self) -> str:
        """A name that sorts in reading order."""
        return f"r{self.row:05d}c{self.col:05d}"


def block_grid(width: int, height: int, side: int, margin: int) -> list[Block]:
    """Blocks of `side` pixels from corner (0, 0), in reading order; cores partition the slide.

    Reads are the cores grown by `margin` and cut at the slide's edge.
    """
    blocks = []
    for row in range(-(-height // side)):
        for col in range(-(-width // side)):
            core = Region(col * side, row * side, side, side).clip(width, height)
            blocks.append(Block(row, col, core, core.grow(margin).clip(width, height)))
    return blocks
