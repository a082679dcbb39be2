"""What a phantom shall be: a preset, and whatever of it is to be different.

The numbers of a preset are choices, not measurements: they span what the field's slides look like from good
to poor. How far dots lie from their nuclei, and how many belong to nobody, is set so that perfect dots and
nuclei give positive cells an F1 of about .98, .95 and .91 (easy, medium, hard; see `truth.ceiling`). They
are never moved to suit the detector.

`blank` and `rare` are `medium` tissue with no positive cell, and with 2.5 in 1,000, and no background dot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ishcount.core.errors import UsageError

CHROMOGENS = ("fast_red", "dab", "hrp_green", "fast_blue", "aec")
SUBSAMPLINGS = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}
CONFOUNDERS = (
    "melanin_brown",  # caps over basal nuclei, colour near DAB
    "melanin_black",  # the same, near neutral black
    "melanophage",  # melanin clumps in dermal macrophages
    "red_cell",  # in vessels and spilled between fibres
    "haemosiderin",  # coarse golden-brown granules
    "precipitate",  # haematoxylin specks, on tissue and glass
    "chromatin",  # coarse dark clumps inside nuclei
    "haze",  # diffuse chromogen, no dots
    "crystal",  # large angular chromogen particles
    "corneum",  # chromogen held by the stratum corneum
    "fold",
    "pen",
    "dust",
    "bubble",
    "edge_drying",
    "defocus",
    "uneven_light",
)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The difficulty of a phantom. Optical densities are lengths of the OD vector, not one channel's."""

    prevalence: float = 0.15  # positive share of the nuclei
    background_per_mm2: float = 15.0  # dots that belong to no cell
    copies_mean: float = 4.0  # per positive cell, at least 1
    dot_od: float = 0.70  # peak of a sharp dot of 1 um
    dot_od_spread: float = 0.30  # sd of its logarithm
    out_of_focus: float = 0.10  # share of dots, and of nuclei
    far: float = 0.04  # share of dots more than 2 um, up to 6 um, from the nucleus
    clustered: float = 0.25  # share of cells with many copies whose dots touch
    out_of_plane: float = 0.025  # share of cells whose nucleus was cut away
    # Blue nuclei of real DAB slides: median 0.2-0.45, 90th percentile 0.25-0.65.
    nuclear_od: float = 0.42
    nuclear_od_spread: float = 0.22  # sd of its logarithm, nucleus to nucleus
    faint: float = 0.08  # share of nuclei with a third of the stain
    chromatin_contrast: float = 0.30
    tint_od: float = 0.20  # collagen and cytoplasm
    packing: float = 0.86  # least distance of lymphocytes in mean diameters; below 1 they overlap
    stain_spread_deg: float = 4.0  # how far a slide's stain vectors lie from their means
    blur_um: float = 0.26  # sd of the optics' point spread
    noise: float = 0.010  # of full scale, at white
    sharpening: float = 0.35
    tears: float = 0.6
    jpeg_quality: int = 85
    confounders: dict[str, float] = field(default_factory=dict)  # kind: amount, 1 is plenty


_MEDIUM = {
    "melanin_brown": 0.5, "melanin_black": 0.2, "melanophage": 0.4, "red_cell": 0.5, "precipitate": 0.4,
    "chromatin": 0.5, "haze": 0.4, "crystal": 0.2, "corneum": 0.4, "dust": 0.4, "defocus": 0.3,
    "uneven_light": 0.5, "haemosiderin": 0.2,
}  # fmt: skip
_HARD = dict.fromkeys(CONFOUNDERS, 1.0) | {"fold": 0.5, "pen": 0.4, "bubble": 0.5, "edge_drying": 0.5}
PRESETS = {
    "easy": Preset(
        background_per_mm2=3.0, copies_mean=5.0, dot_od=0.90, dot_od_spread=0.2, out_of_focus=0.03,
        clustered=0.12, out_of_plane=0.006, nuclear_od=0.45, nuclear_od_spread=0.12, faint=0.02,
        chromatin_contrast=0.18, tint_od=0.19, far=0.015, packing=0.98, stain_spread_deg=2.5, blur_um=0.20,
        noise=0.005,
        sharpening=0.3, tears=0.3, jpeg_quality=92, confounders={"red_cell": 0.2, "uneven_light": 0.3},
    ),
    "medium": Preset(confounders=_MEDIUM),
    "hard": Preset(
        background_per_mm2=40.0, copies_mean=3.2, dot_od=0.56, dot_od_spread=0.40, out_of_focus=0.20,
        clustered=0.4, out_of_plane=0.05, nuclear_od=0.40, nuclear_od_spread=0.30, faint=0.16,
        chromatin_contrast=0.45, tint_od=0.23, far=0.07, packing=0.74, stain_spread_deg=6.0, blur_um=0.34,
        noise=0.018,
        sharpening=0.7, tears=1.0, jpeg_quality=75, confounders=_HARD,
    ),
    "blank": Preset(prevalence=0.0, background_per_mm2=0.0, confounders=_MEDIUM),
    "rare": Preset(prevalence=0.0025, background_per_mm2=0.0, confounders=_MEDIUM),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PhantomSpec:
    """One phantom slide. Two equal specs give equal bytes.

    `chromogens` and `markers` go together (two of each: duplex). `None` means: as the preset has it.
    `confounders` as a set means exactly these kinds (see `CONFOUNDERS`), an empty set none at all.
    `pigment` (0-1) scales melanin. `seed` draws the scene and its staining, `camera_seed` (default: from
    `seed`) the optics and the camera, so that one scene can be seen by two scanners; `mpp_um` does not
    change the scene. Lengths in micrometres; `size_px` (width, height) wins over `width_um` and
    `height_um`. UsageError for values out of range.
    """

    preset: str = "medium"
    chromogens: tuple[str, ...] = ("fast_red",)
    markers: tuple[str, ...] = ("IFNG",)
    width_um: float = 600.0
    height_um: float = 500.0
    size_px: tuple[int, int] | None = None
    mpp_um: float = 0.25
    prevalence: float | None = None
    background_per_mm2: float | None = None
    copies_mean: float | None = None
    state: str = "inflamed"
    pigment: float = 0.4
    confounders: frozenset[str] | None = None
    jpeg_quality: int | None = None
    subsampling: str = "420"
    blur_um: float | None = None
    seed: int = 0
    camera_seed: int | None = None

    def __post_init__(self) -> None:
        _one_of("preset", self.preset, PRESETS)
        _one_of("state", self.state, ("normal", "inflamed"))
        _one_of("subsampling", self.subsampling, SUBSAMPLINGS)
        for chromogen in self.chromogens:
            _one_of("chromogen", chromogen, CHROMOGENS)
        for kind in self.confounders or ():
            _one_of("confounder", kind, CONFOUNDERS)
        if not self.markers or len(self.markers) != len(self.chromogens):
            raise UsageError(
                f"a phantom needs one chromogen per marker, found {len(self.markers)} markers and "
                f"{len(self.chromogens)} chromogens; give as many of each"
            )
        _within("mpp_um", self.mpp_um, 0.12, 2.0)
        _within("pigment", self.pigment, 0.0, 1.0)
        _within("seed", self.seed, 0, 2**63)
        preset = self.preset_numbers
        _within("prevalence", preset.prevalence, 0.0, 0.95)
        _within("background_per_mm2", preset.background_per_mm2, 0.0, 10_000.0)
        _within("copies_mean", preset.copies_mean, 1.0, 100.0)
        _within("jpeg_quality", preset.jpeg_quality, 10, 100)
        _within("blur_um", preset.blur_um, 0.05, 3.0)
        for side_px in self.shape_px:
            _within("a side in um", side_px * self.mpp_um, 100.0, 100_000.0)

    @property
    def shape_px(self) -> tuple[int, int]:
        """Width and height in level-0 pixels."""
        if self.size_px is not None:
            return self.size_px
        return round(self.width_um / self.mpp_um), round(self.height_um / self.mpp_um)

    @property
    def label_factor(self) -> int:
        """Level-0 pixels per pixel of the nuclei's label image, each way: it has about 0.5 um/px."""
        return max(1, round(0.5 / self.mpp_um))

    @property
    def preset_numbers(self) -> Preset:
        """The preset with this spec's own numbers in place."""
        preset = PRESETS[self.preset]
        own: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("prevalence", "background_per_mm2", "copies_mean", "jpeg_quality", "blur_um")
            if getattr(self, name) is not None
        }
        if self.confounders is not None:
            own["confounders"] = {
                kind: max(preset.confounders.get(kind, 0.0), 1.0) for kind in sorted(self.confounders)
            }
        return replace(preset, **own)


def _one_of(what: str, value: str, allowed: Iterable[str]) -> None:
    names = sorted(allowed)
    if value not in names:
        raise UsageError(f"{what} {value!r} is not known; choose one of {', '.join(names)}")


def _within(what: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{what} {value:g} is out of range; give a value from {low:g} to {high:g}")
