"""Phantoms of exactly one kind of confounder: what is rejected keeps its reason, and it is the right one.

Each slide is blank medium tissue with one kind of confounder and no dot at all. Candidates near a particle of
the kind (or on the area it spoils) are its own; the reason most of them carry is the reason of the kind.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from ishcount.core.tables import DOT_REASONS
from ishcount.quantify import count_slide
from ishcount.steps.density import DensityParams
from ishcount.truth.simulate.artefacts import ARTEFACT_BITS
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.tissue import CORNEUM, GRID_UM
from ishcount.truth.simulate.truth import PhantomTruth, load_truth
from ishcount.truth.simulate.writer import write_phantom

RIGHT = {  # the reasons that are right for a kind; the contract has no words for haemosiderin and crystals
    "melanin_brown": {"melanin"},
    "melanin_black": {"melanin"},
    "melanophage": {"melanin"},
    "haemosiderin": {"melanin", "size"},  # coarse lumps: half are called by their size
    "red_cell": {"red_cell"},
    "precipitate": {"precipitate"},
    "chromatin": {"haematoxylin"},
    "haze": {"diffuse"},
    "crystal": {"size"},
    "corneum": {"diffuse"},
    "fold": {"fold"},
    "pen": {"ink"},
    "defocus": {"blur"},
}
PARTICLES = frozenset(RIGHT) - {"corneum", "fold", "pen", "defocus"}
# Haze, ink and blurred areas make no candidates at all: nothing is left there that needs a reason.
MAKE_CANDIDATES = frozenset(RIGHT) - {"haze", "pen", "defocus"}
CHROMOGENS = ("fast_red", "dab")
# Named wrongly by the thresholds of 2026-11-22, and what most of their candidates were called. These have not
# been looked at since reasons are learned: they may pass.
WRONG = {
    ("fold", "fast_red"): "precipitate",
    ("fold", "dab"): "haematoxylin",
}
MOST_FALSE = 2  # per slide of some 0.25 mm2

pytestmark = pytest.mark.slow
CASES = [(kind, chromogen) for kind in RIGHT for chromogen in CHROMOGENS]


@cache
def counted(kind: str, chromogen: str) -> tuple[pd.DataFrame, PhantomTruth, int]:
    """Candidates, truth and false cells of the slide of a kind."""
    spec = PhantomSpec(
        preset="blank", confounders=frozenset({kind}), chromogens=(chromogen,), pigment=0.8, seed=9801,
        width_um=700, height_um=550,
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        slide = count_slide(write_phantom(spec, Path(folder), "one"), folder, markers=[f"IFNG:{chromogen}"])
        n_false = int(slide.markers["IFNG"]["n_positive"])
        return slide.dots, load_truth(Path(folder) / "one.truth"), n_false


def own_candidates(kind: str, dots: pd.DataFrame, truth: PhantomTruth) -> pd.DataFrame:
    """Candidates within a micrometre of a particle of the kind, or on what it spoils."""
    places = dots[["x_um", "y_um"]].to_numpy(float)
    if kind in PARTICLES:
        particles = truth.confounders
        distance, nearest = cKDTree(particles[["x_um", "y_um"]]).query(places)
        return dots[distance <= np.minimum(particles["long_um"].to_numpy()[nearest], 4) + 1.0]
    rows = np.clip((places[:, 1] / GRID_UM).astype(int), 0, truth.code.shape[0] - 1)
    columns = np.clip((places[:, 0] / GRID_UM).astype(int), 0, truth.code.shape[1] - 1)
    if kind == "corneum":
        return dots[truth.code[rows, columns] == CORNEUM]
    return dots[(truth.artefacts[rows, columns] & ARTEFACT_BITS[kind]) > 0]


def missed(table: dict[tuple[str, str], str]) -> list[object]:
    """Cases, those of `table` marked as missed: they run, are shown, and do not fail the suite."""
    return [
        pytest.param(*case, marks=pytest.mark.xfail(reason=table[case], strict=False))
        if case in table
        else case
        for case in CASES
    ]


@pytest.mark.parametrize(("kind", "chromogen"), missed(WRONG))
def test_most_rejected_candidates_of_a_kind_carry_its_reason(kind: str, chromogen: str):
    dots, truth, _ = counted(kind, chromogen)
    own = own_candidates(kind, dots, truth)
    rejected = own.loc[own["reason"] != "", "reason"].value_counts()
    print(kind, chromogen, len(own), rejected.to_dict())
    if kind in MAKE_CANDIDATES:
        assert len(own) >= 5, f"{kind} made no candidates: the phantom does not test it"
    assert rejected.empty or rejected.index[0] in RIGHT[kind]


@pytest.mark.parametrize(("kind", "chromogen"), CASES)
def test_one_kind_of_confounder_makes_few_false_cells(kind: str, chromogen: str):
    assert counted(kind, chromogen)[2] <= MOST_FALSE


@pytest.mark.parametrize(("kind", "chromogen"), CASES)
def test_every_candidate_is_kept_and_says_why_it_does_not_count(kind: str, chromogen: str):
    dots, _, _ = counted(kind, chromogen)
    counts = dots["score"] >= np.float32(DensityParams().dot_cut)
    assert set(dots["reason"]) <= set(DOT_REASONS)
    assert ((dots["reason"] == "") == counts).all()
