"""How often the within-slide interval holds the density it is about, by simulation.

    python -m tests.benchmarks.bench_coverage [--repeats 400] [-o docs/coverage.md]

Positive cells are scattered over rectangles of tissue, at random or in foci (a Poisson number of foci per
mm2, each with a Poisson number of cells, spread as a Gaussian); the density of the process is what another
section would show on average. For each size of tissue: the blocks it amounts to, in how many slides an
interval is given, how often it then holds the density, its median width, and how often the exact Poisson
interval does.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ishcount.core.block_interval import BLOCK_UM, BlockInterval, Blocks, block_interval
from ishcount.steps.density import garwood

SEED = 9100
SIZES_MM = ((2.0, 0.9), (2.5, 1.2), (3.0, 1.7), (4.0, 2.5), (8.0, 1.25), (8.0, 2.5), (10.0, 4.0))


@dataclass(frozen=True)
class Field:
    """How positive cells lie: foci per mm2 (0: none, cells at random) and their spread (sd, mm)."""

    name: str
    foci_per_mm2: float = 0.0
    spread_mm: float = 0.1

    def draw(self, rng: np.random.Generator, size_mm: tuple[float, float], density: float) -> np.ndarray:
        """Places (n, 2) in mm within the rectangle."""
        width, height = size_mm
        if not self.foci_per_mm2:
            return rng.uniform(0, size_mm, (rng.poisson(density * width * height), 2))
        edge = 4 * self.spread_mm
        n = rng.poisson(self.foci_per_mm2 * (width + 2 * edge) * (height + 2 * edge))
        centres = rng.uniform(-edge, np.array(size_mm) + edge, (n, 2))
        of = np.repeat(centres, rng.poisson(density / self.foci_per_mm2, n), axis=0)
        places = of + rng.normal(0, self.spread_mm, of.shape)
        return places[((places > 0) & (places < size_mm)).all(axis=1)]


FIELDS = (
    Field("at random"),
    Field("3 foci per mm2, sd 0.15 mm", 3.0, 0.15),
    Field("1 focus per mm2, sd 0.1 mm", 1.0, 0.1),
    Field("1 focus per mm2, sd 0.2 mm", 1.0, 0.2),
    Field("0.3 foci per mm2, sd 0.1 mm", 0.3, 0.1),
)


def blocks_of(corner_mm: np.ndarray, size_mm: tuple[float, float]) -> Blocks:
    """Squares of a rectangle of tissue that begins at `corner_mm` of the image."""
    side = BLOCK_UM / 1000
    covered = []
    for start, length in zip(corner_mm, size_mm, strict=True):
        edges = np.arange(0, start + length + side, side)
        ends = np.clip(edges[1:], start, start + length) - np.clip(edges[:-1], start, start + length)
        covered.append(ends)
    area = np.outer(covered[1], covered[0])
    row, column = np.nonzero(area > 0)
    return Blocks(row, column, area[row, column])


def one(
    rng: np.random.Generator, field: Field, size_mm: tuple[float, float], density: float
) -> tuple[BlockInterval, tuple[float, float]]:
    """The interval of one simulated slide, and the exact Poisson interval."""
    corner = rng.uniform(0, BLOCK_UM / 1000, 2)
    places = (field.draw(rng, size_mm, density) + corner) * 1000
    found = block_interval(places[:, 0], places[:, 1], blocks_of(corner, size_mm))
    return found, garwood(len(places), size_mm[0] * size_mm[1])


def line(field: Field, size_mm: tuple[float, float], density: float, repeats: int) -> str:
    """One line of the table."""
    rng = np.random.default_rng([SEED, repeats])
    slides = [one(rng, field, size_mm, density) for _ in range(repeats)]
    given = [found for found, _ in slides if np.isfinite(found.high)]
    held = [found.low <= density <= found.high for found in given]
    poisson = [low <= density <= high for _, (low, high) in slides]
    area = size_mm[0] * size_mm[1]
    blocks = np.mean([found.n_blocks for found, _ in slides if found.n_blocks])
    boot = np.mean([found.method.startswith("moving") for found in given]) if given else 0.0
    width = np.median([found.high - found.low for found in given]) if given else np.nan
    return (
        f"| {area:.1f} | {blocks:.0f} | {field.name} | {len(given) / repeats:.0%} | "
        + (f"{np.mean(held):.3f} | {boot:.0%} | {width:.1f}" if len(given) >= 20 else "- | - | -")
        + f" | {np.mean(poisson):.2f} |"
    )


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--density", type=float, default=9.0, help="positive cells per mm2")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    header = (
        "tissue, mm2", "blocks", f"{options.density:g} positive cells per mm2", "given", "coverage",
        "by bootstrap", "median width", "exact Poisson covers",
    )  # fmt: skip
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    for size in SIZES_MM:
        for field in FIELDS:
            lines.append(line(field, size, options.density, options.repeats))
            print(lines[-1], flush=True)
    if options.output:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
