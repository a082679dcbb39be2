"""What a phantom slide is asked to be, and the numbers behind each preset."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from ishcount.core.errors import UsageError

Preset = Literal["easy", "medium", "hard", "blank", "rare"]
PRESETS = ("easy", "medium", "hard", "blank", "rare")
CHROMOGENS = ("fast_red", "dab")
SUBSAMPLING = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}

SCENE_KINDS = frozenset(
    ["melanin", "red_cell", "haemosiderin", "precipitate", "chromatin", "haze", "crystal", "corneum", "fold", "ink", "dust", "bubble", "edge_drying"]
)
CAMERA_KINDS = frozenset(["blur", "uneven_light", "chromatic_shift", "noise"])
CONFOUNDERS = SCENE_KINDS | CAMERA_KINDS


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How difficult a slide is. Strengths in OD, lengths in micrometres.

    The ranges are guesses from published figures and real slides of other stains, wide on purpose; they
    define what this
    project means by easy, medium and hard and are never moved to suit the detector.
    """

    prevalence: float
    dot_od: tuple[float, float]  # median peak of the dots, drawn per slide
    dot_spread: float  # of the logarithm of the strength between dots
    out_of_focus: float  # share of dots
    background_dots_per_mm2: float
    out_of_plane_per_mm2: float  # cells whose nucleus is in another section
    faint_nuclei: float  # share
    vector_degrees: float  # how far stains stray from their usual direction
    focus_um: tuple[float, float]  # sigma of the whole optical blur
    amount: float  # of every confounder, 1 for medium
    confounders: frozenset[str]


_EASY = frozenset(["red_cell", "uneven_light", "noise"])
_MEDIUM = _EASY | frozenset(
    ["melanin", "precipitate", "chromatin", "haze", "corneum", "chromatic_shift", "dust", "edge_drying"]
)

HABITS: dict[str, Habits] = {
    "easy": Habits(
        prevalence=0.15,
        dot_od=(0.55, 0.80),
        dot_spread=0.18,
        out_of_focus=0.03,
        background_dots_per_mm2=2.0,
        out_of_plane_per_mm2=2.0,
        faint_nuclei=0.04,
        vector_degrees=2.0,
        focus_um=(0.18, 0.24),
        amount=0.4,
        confounders=_EASY,
    ),
    "medium": Habits(
        prevalence=0.15,
        dot_od=(0.38, 0.60),
        dot_spread=0.30,
        out_of_focus=0.10,
        background_dots_per_mm2=10.0,
        out_of_plane_per_mm2=15.0,
        faint_nuclei=0.10,
        vector_degrees=4.0,
        focus_um=(0.22, 0.32),
        amount=1.0,
        confounders=_MEDIUM,
    ),
    "hard": Habits(
        prevalence=0.15,
        dot_od=(0.24, 0.42),
        dot_spread=0.40,
        out_of_focus=0.22,
        background_dots_per_mm2=40.0,
        out_of_plane_per_mm2=50.0,
        faint_nuclei=0.20,
        vector_degrees=6.0,
        focus_um=(0.30, 0.48),
        amount=2.0,
        confounders=CONFOUNDERS,
    ),
}
HABITS["blank"] = HABITS["medium"]
HABITS["rare"] = HABITS["medium"]
RARE_PREVALENCE = 0.0025  # 2-3 positive cells per 1,000: the published 9 per mm2 among 5,000 nuclei per mm2


@dataclass(frozen=True, kw_only=True)
class PhantomSpec:
    """One phantom slide: what is on it, how it is scanned and stored. Lengths in micrometres.

    `prevalence` is the share of nuclei positive for each marker (None: the preset's own). `confounders` names
    exactly the
    kinds wanted (None: the preset's own; see `CONFOUNDERS`). `camera_seed` makes the same scene pass through
    another camera.
    Raises UsageError for values outside their range.
    """

    preset: Preset = "easy"
    chromogens: tuple[str, ...] = ("fast_red",)
    markers: tuple[str, ...] = ("IFNG",)
    width_um: float = 1200.0
    height_um: float = 900.0
    mpp_um: float = 0.25
    prevalence: float | None = None
    state: Literal["normal", "inflamed"] = "normal"
    pigment: float = 0.3
    confounders: frozenset[str] | None = None
    jpeg_quality: int = 80
    subsampling: Literal["420", "422", "444"] = "420"
    seed: int = 0
    camera_seed: int | None = None

    def __post_init__(self) -> None:
        _one_of("preset", self.preset, PRESETS)
        _one_of("state", self.state, ("normal", "inflamed"))
        _one_of("subsampling", self.subsampling, tuple(SUBSAMPLING))
        for name in self.chromogens:
            _one_of("chromogen", name, CHROMOGENS)
        for name in self.confounders or ():
            _one_of("confounder", name, tuple(sorted(CONFOUNDERS)))
        if len(self.markers) != len(self.chromogens) or len(set(self.markers)) != len(self.markers):
            raise UsageError(
                f"a phantom needs one chromogen per marker and no marker twice, found markers {self.markers} "
                f"and chromogens {self.chromogens}; give as many of one as of the other"
            )
        _within("width_um", self.width_um, 300, 20_000)
        _within("height_um", self.height_um, 300, 20_000)
        _within("mpp_um", self.mpp_um, 0.1, 1.0)
        _within("prevalence", 0.0 if self.prevalence is None else self.prevalence, 0, 1)
        _within("pigment", self.pigment, 0, 1)
        _within("jpeg_quality", self.jpeg_quality, 10, 100)

    @property
    def habits(self) -> Habits:
        """The preset's numbers."""
        return HABITS[self.preset]

    @property
    def kinds(self) -> frozenset[str]:
        """The confounders on this slide."""
        return self.habits.confounders if self.confounders is None else self.confounders

    @property
    def share_positive(self) -> float:
        """Share of nuclei positive for each marker."""
        if self.preset == "blank":
            return 0.0
        if self.prevalence is not None:
            return self.prevalence
        return RARE_PREVALENCE if self.preset == "rare" else self.habits.prevalence

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator of its own for each purpose, so that drawing one thing never moves another."""
        return np.random.default_rng(np.random.SeedSequence([self.seed, zlib.crc32(purpose.encode())]))

    def camera_rng(self, purpose: str) -> np.random.Generator:
        """As `rng`, for what belongs to the camera."""
        seed = self.seed if self.camera_seed is None else self.camera_seed
        return np.random.default_rng(
            np.random.SeedSequence([seed, zlib.crc32(b"camera:" + purpose.encode())])
        )

    def as_json(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        fields = asdict(self)
        fields["confounders"] = sorted(self.kinds)
        return fields


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"unknown {name} {value!r} for a phantom; choose one of {', '.join(known)}")


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(
            f"{name} of a phantom is {value:g}; give a value from {low:g} to {high:g}"
        )
