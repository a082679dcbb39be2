"""Figures of the accuracy table from the phantoms' JSONs, and the table as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ishcount.stats.rates import rate_interval, rate_upper_limit
from ishcount.truth.evaluate import best_cut, pool

LEVELS = ("easy", "medium", "hard")
CUTS_SHOWN = (0.5, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99)
Rows = list[dict[str, Any]]
Figure = Callable[[dict[str, Rows]], float | None]


@dataclass(frozen=True)
class Line:
    """One line of the table; `bars` for easy, medium, hard, to be reached if `at_least`, else not passed."""

    name: str
    figure: Figure
    bars: tuple[float | None, ...] = (None, None, None)
    at_least: bool = True
    percent: bool = False

    def entry(self, cell: dict[str, Rows], level: str) -> str:
        """The figure with its bar."""
        value, bar = self.figure(cell), self.bars[LEVELS.index(level)]
        if value is None or np.isnan(value):
            return "-"
        shown = f"{value:+.1%}" if self.percent else f"{value:.3g}"
        if bar is None:
            return shown
        met = value >= bar if self.at_least else abs(value) <= bar
        limit = f"{bar:.3g}" if not self.percent else f"{bar:.0%}"
        return f"{shown} ({'>=' if self.at_least else '<='} {limit}{'' if met else ': MISSED'})"


def _pooled(kind: str, *keys: str) -> Figure:
    def figure(cell: dict[str, Rows]) -> float | None:
        value: Any = pool(cell[kind]) if cell.get(kind) else None
        for key in keys:
            value = (value or {}).get(key)
        return None if value is None else float(value)

    return figure


def _cells(kind: str, key: str) -> Figure:
    return _pooled(kind, "positive_cells", key)


def _mean(kind: str, get: Callable[[dict[str, Any]], float | None]) -> Figure:
    def figure(cell: dict[str, Rows]) -> float | None:
        known = [value for row in cell.get(kind, []) if (value := get(row)) is not None]
        return float(np.mean(known)) if known else None

    return figure


def _best_f1(curve: str, kind: str = "positives") -> Figure:
    def figure(cell: dict[str, Rows]) -> float | None:
        return best_cut([row[curve] for row in cell[kind]])["best_cut_f1"] if cell.get(kind) else None

    return figure


def _estimated(kind: str) -> Figure:
    """Bias of the pooled estimate: estimated positives per mm2 of all slides, against the truth."""

    def figure(cell: dict[str, Rows]) -> float | None:
        rows = cell.get(kind, [])
        true = sum(row["true_per_mm2"] * row["true_area_mm2"] for row in rows)
        found = sum(row["estimated_per_mm2"] * row["true_area_mm2"] for row in rows)
        return found / true - 1 if true else None

    return figure


def _rarest(cell: dict[str, Rows]) -> float | None:
    """At the lowest prevalence: 0.3 %, or the rare slides' 0.25 %."""
    return _estimated("rare" if cell.get("rare") else "share_0.3")(cell)


def _against_base(kind: str) -> Figure:
    """Median over scenes of the difference, without sign, to the same scene as `positives`."""

    def figure(cell: dict[str, Rows]) -> float | None:
        base = {row["seed"]: row["positive_cells"]["n_found"] for row in cell.get("positives", [])}
        changes = [
            abs(row["positive_cells"]["n_found"] / base[row["seed"]] - 1)
            for row in cell.get(kind, [])
            if base.get(row["seed"])
        ]
        return float(np.median(changes)) if changes else None

    return figure


def _per_state(state: str) -> Figure:
    return _pooled("dot_free", "by_state", state, "false_per_mm2")


def _count_in(state: str) -> Line:
    """How far the count is off in tissue of one state: where states differ, so do groups of patients."""
    return within(f"... {state}", _pooled("positives", "by_state", state, "count_error"), None, None, None)


def _state_difference(cell: dict[str, Rows]) -> float | None:
    inflamed, normal = _per_state("inflamed")(cell), _per_state("normal")(cell)
    return None if inflamed is None or normal is None else inflamed - normal


def _expected_false(kind: str) -> Figure:
    def figure(cell: dict[str, Rows]) -> float | None:
        rows = [row for row in cell.get(kind, []) if row.get("expected_false_per_mm2") is not None]
        area = sum(row["area_mm2"] for row in rows)
        return sum(row["expected_false_per_mm2"] * row["area_mm2"] for row in rows) / area if area else None

    return figure


def _ceiling(*keys: str) -> Figure:
    def get(row: dict[str, Any]) -> float | None:
        value: Any = row.get("ceilings")
        for key in keys:
            value = (value or {}).get(key)
        return None if value is None else float(value)

    return _mean("positives", get)


def _dice(name: str) -> Figure:
    return _mean("positives", lambda row: row["compartments"].get(name, {}).get("dice"))


def _found(name: str) -> Figure:
    """Share of the slides on which a compartment was found: the others have no Dice."""
    return _mean("positives", lambda row: float(row["compartments"].get(name, {}).get("dice") is not None))


def at_least(name: str, figure: Figure, *bars: float | None) -> Line:
    """A share that should be high; bars for easy, medium, hard."""
    return Line(name, figure, bars)


def within(name: str, figure: Figure, *bars: float | None) -> Line:
    """An error or a change in per cent that should be small either way."""
    return Line(name, figure, bars, at_least=False, percent=True)


def _epidermis_error(row: dict[str, Any]) -> float | None:
    return None if row["epidermis_error"] is None else abs(row["epidermis_error"])


LINES = (
    Line("tissue of dot-free slides, mm2", _pooled("dot_free", "area_mm2")),
    Line("false cells per mm2", _pooled("dot_free", "false_per_mm2")),
    Line("... 95 % upper limit", _pooled("dot_free", "false_per_mm2_upper"), (1.0, 1.5, 15.0), False),
    Line("... normal tissue", _per_state("normal")),
    Line("... inflamed, pigmented tissue", _per_state("inflamed")),
    Line("... inflamed, pigmented minus normal", _state_difference, (None, 0.5, None), False),
    Line("... as the slides' own expected_false_per_mm2 had it", _expected_false("dot_free")),
    at_least("recall of positive cells, default cut", _cells("positives", "recall"), 0.9, 0.7, 0.4),
    Line("precision, default cut", _cells("positives", "precision")),
    at_least("F1 of positive cells, best cut", _best_f1("by_cut"), 0.95, 0.85, 0.68),
    Line("... true dots and true nuclei (ceiling)", _ceiling("perfect", "f1")),
    Line("... true dots, found nuclei (ceiling)", _ceiling("perfect_dots")),
    Line("... found dots, true nuclei (ceiling)", _ceiling("perfect_nuclei")),
    Line("... no JPEG (ceiling)", _best_f1("by_cut", "no_jpeg")),
    at_least("dot F1 within 0.5 um, best cut", _best_f1("dots_by_cut"), 0.88, 0.72, 0.50),
    Line("... dots too near to be told apart (ceiling)", _ceiling("perfect", "dots_f1")),
    Line("... no JPEG (ceiling)", _best_f1("dots_by_cut", "no_jpeg")),
    at_least("nucleus F1 at IoU .5", _pooled("positives", "nuclei_iou", "f1"), 0.93, 0.88, 0.75),
    within(
        "tissue area error, mean of all", _mean("all", lambda row: abs(row["area_error"])), 0.01, 0.02, 0.05
    ),
    at_least("copies per cell, r", _mean("positives", lambda row: row["copies_correlation"]), 0.9, 0.8, None),
    within("count of positive cells, 15 %", _pooled("positives", "count_error"), None, None, None),
    _count_in("normal"),
    _count_in("inflamed"),
    within("estimated_per_mm2 at 0.3 %", _rarest, 0.05, 0.10, 0.25),
    within("estimated_per_mm2 at 2 %", _estimated("share_2"), 0.05, 0.10, 0.25),
    within("estimated_per_mm2 at 15 %, with background dots", _estimated("positives"), 0.05, 0.10, 0.25),
    within("estimated_per_mm2 at 20 %", _estimated("share_20"), 0.05, 0.10, 0.25),
    Line("rare: positive cells drawn", _cells("rare", "n_true")),
    at_least("rare: precision", _cells("rare", "precision"), None, 0.8, None),
    at_least("rare: recall", _cells("rare", "recall"), None, 0.7, None),
    within("rare: pooled count", _pooled("rare", "count_error"), None, 0.10, None),
    within("another camera: change of count, without sign", _against_base("camera"), 0.10, 0.10, None),
    within("20x 4:4:4: change of count, without sign", _against_base("20x_444"), 0.10, 0.10, None),
    within("turned by 90 degrees: change, without sign", _against_base("turned"), None, 0.01, None),
    within("mirrored: change, without sign", _against_base("mirrored"), None, 0.01, None),
    at_least("epidermis, Dice", _dice("epidermis"), 0.9, 0.9, 0.9),
    Line("... share of slides on which it was found", _found("epidermis")),
    at_least("dermis, Dice", _dice("dermis"), 0.9, 0.9, 0.9),
    at_least("stratum corneum, Dice", _dice("stratum_corneum"), 0.9, 0.9, 0.9),
    within("length of epidermis, mean error", _mean("positives", _epidermis_error), 0.05, 0.05, 0.05),
)


def cells_of(contents: Sequence[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Rows]]:
    """Figures by (level, chromogen) and kind; `all` holds those that have an area error."""
    cells: dict[tuple[str, str], dict[str, Rows]] = {}
    for content in contents:
        task = content["task"]
        cell = cells.setdefault((task["level"], task["chromogen"]), {"all": []})
        row = content["figures"] | {"seed": task["seed"], "slide_id": str(task)}
        cell.setdefault(task["kind"], []).append(row)
        if "area_error" in row:
            cell["all"].append(row)
    return {key: cells[key] for key in sorted(cells, key=lambda key: (LEVELS.index(key[0]), key[1] == "dab"))}


def report(contents: Sequence[dict[str, Any]], seeds: range, blanks: Sequence[dict[str, Any]]) -> str:
    """The whole page."""
    cells = cells_of(contents)
    lines = [*_heading(contents, seeds), ""]
    names = list(cells)
    lines += ["| | " + " | ".join(" ".join(name) for name in names) + " |", "|---" * (len(names) + 1) + "|"]
    for line in LINES:
        entries = [line.entry(cells[name], name[0]) for name in names]
        if any(entry != "-" for entry in entries):
            lines.append(f"| {line.name} | " + " | ".join(entries) + " |")
    return "\n".join([*lines, *_cuts(cells), *_states(cells), *_real(blanks)]) + "\n"


def _heading(contents: Sequence[dict[str, Any]], seeds: range) -> list[str]:
    states = sorted({tuple(content["counted_by"].values()) for content in contents})
    by = "; ".join(f"ishcount {version}, models {models}, code {code}" for version, models, code in states)
    return [
        f"{len(contents)} phantoms, seeds {seeds[0]} to {seeds[-1]}. Counted by {by}. Python "
        f"{platform.python_version()}, numpy {np.__version__}, {platform.machine()}, {os.cpu_count()} cores."
        + (" These states differ: count again with --recount." if len(states) > 1 else "")
    ]


def _cuts(cells: dict[tuple[str, str], dict[str, Rows]]) -> list[str]:
    """False cells on dot-free slides and recall over cuts: what the default cut was chosen from."""
    lines = ["", "False cells per mm2 of dot-free slides (95 % upper limit) / recall at 15 %, by cut:", ""]
    lines += [
        "| cut | " + " | ".join(" ".join(name) for name in cells) + " |",
        "|---" * (len(cells) + 1) + "|",
    ]
    for cut in CUTS_SHOWN:
        entries = []
        for cell in cells.values():
            if not (cell.get("dot_free") and cell.get("positives")):
                entries.append("-")
                continue
            area = sum(row["area_mm2"] for row in cell["dot_free"])
            n_false = sum(_at(row, cut)["n_found"] for row in cell["dot_free"])
            hits, true = (
                sum(_at(row, cut)[key] for row in cell["positives"]) for key in ("n_matched", "n_true")
            )
            limit = rate_upper_limit(n_false, area)
            entries.append(f"{n_false / area:.2f} ({limit:.2f}) / {hits / true:.2f}")
        lines.append(f"| {cut:g} | " + " | ".join(entries) + " |")
    return lines


def _at(row: dict[str, Any], cut: float) -> dict[str, Any]:
    return next(part for part in row["by_cut"] if abs(part["cut"] - cut) < 1e-9)


def _states(cells: dict[tuple[str, str], dict[str, Rows]]) -> list[str]:
    """Difference between tissue states; its interval combines exact limits of both rates (MOVER)."""
    lines = ["", "False cells per mm2, inflamed and pigmented minus normal (95 % interval):", ""]
    for name, cell in cells.items():
        states = pool(cell["dot_free"])["by_state"] if cell.get("dot_free") else {}
        if len(states) == 2:
            rates = [
                rate_interval(states[s]["n_false_cells"], states[s]["area_mm2"])
                for s in ("inflamed", "normal")
            ]
            (a, (al, ah)), (b, (bl, bh)) = ((rate["estimate"], rate["ci"]) for rate in rates)
            low, high = a - b - np.hypot(a - al, bh - b), a - b + np.hypot(ah - a, b - bl)
            lines.append(f"- {' '.join(name)}: {a - b:+.2f} ({low:+.2f} to {high:+.2f})")
    return lines


def _real(blanks: Sequence[dict[str, Any]]) -> list[str]:
    """Real tissue that holds no probe signal."""
    if not blanks:
        return []
    lines = ["", "Real tissue without probe signal (every positive cell is false):", ""]
    lines += [
        "| field | counted as | mm2 | positive cells | per mm2 (95 % upper limit) | cells at cut .5 | flags |"
    ]
    lines += ["|---" * 7 + "|"]
    for row in blanks:
        limit = rate_upper_limit(row["n_positive"], row["area_mm2"])
        rate = row["n_positive"] / row["area_mm2"] if row["area_mm2"] else float("nan")
        lines.append(
            f"| {row['field']} | {row['chromogen']} | {row['area_mm2']:.3f} | {row['n_positive']} | "
            f"{rate:.1f} ({limit:.1f}) | {row['n_at_half']} | {row['flags']} |"
        )
    return lines
