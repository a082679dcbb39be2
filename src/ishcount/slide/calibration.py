"""The size of a pixel: every vendor's field, its unit, and whether it can be believed.

A pixel size is believed when both edges are finite and between 0.05 and 5 um and differ by at most 10 %. That
range holds every brightfield scanner (0.1 um at 100x to 4 um at 2.5x) and keeps out the resolutions that
programs write when they know none (72 or 96 dots per inch are 353 and 265 um). Beyond 10 % the fault is more
likely in the file than in a scanner's stage, and an area would be wrong by as much. The file's own fields are
read in this order: Aperio `MPP`; OME `PhysicalSizeX/Y` with unit; ImageJ's unit; the TIFF resolution with its
unit; for vendor formats what OpenSlide reports. A field that is there but absurd is not replaced by the next
one.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ishcount.core.errors import SlideError
from ishcount.core.units import PixelSize
from ishcount.slide.protocol import Slide

if TYPE_CHECKING:
    from ishcount.slide.tiff_pages import Page

MIN_UM = 0.05
MAX_UM = 5.0
MAX_ANISOTROPY = 0.10  # of the larger edge: refused above
NOTED_ANISOTROPY = 0.01  # of the larger edge: said above
# Scanner objectives times pixel size give about 10 um (0.25 um at 40x, 0.5 um at 20x; 0.17-0.35 um at 40x
# occur), so a product outside 10/1.6 to 10*1.6 says that one of the two is for another objective.
POWER_TIMES_UM = 10.0
POWER_TOLERANCE = 1.6

UM_PER_UNIT = {
    "m": 1e6, "dm": 1e5, "cm": 1e4, "mm": 1e3, "\u00b5m": 1.0, "\u03bcm": 1.0, "um": 1.0, "micron": 1.0,
    "microns": 1.0, "micrometer": 1.0, "nm": 1e-3, "pm": 1e-6, "\u00c5": 1e-4, "in": 25_400.0,
    "inch": 25_400.0,
}  # fmt: skip
UM_PER_TIFF_UNIT = {2: 25_400.0, 3: 10_000.0}


@dataclass(frozen=True, slots=True)
class Calibration:
    """A pixel size with its source, or None, and what a person should know about it."""

    pixel_size: PixelSize | None = None
    source: str = ""
    warnings: tuple[str, ...] = ()


def judge(x_um: float | None, y_um: float | None, source: str) -> Calibration:
    """`PixelSize(x_um, y_um)` when it can be believed; otherwise None and the reason."""
    reason = _fault(x_um, y_um)
    if reason or x_um is None or y_um is None:
        return Calibration(warnings=(f"the pixel size in {source} is not used: {reason}",))
    apart = abs(x_um - y_um) / max(x_um, y_um)
    notes = (f"pixels are {x_um:g} x {y_um:g} um, not square",) if apart > NOTED_ANISOTROPY else ()
    return Calibration(PixelSize(x_um, y_um), source, notes)


def _fault(x_um: float | None, y_um: float | None) -> str:
    """What is wrong with a pixel size, or nothing."""
    for value in (x_um, y_um):
        if value is None:
            return "it is not a number"
        if not math.isfinite(value):
            return f"it is {value}"
        if not MIN_UM <= value <= MAX_UM:
            return f"{value:g} um lies outside {MIN_UM:g} to {MAX_UM:g} um"
    if x_um is not None and y_um is not None and abs(x_um - y_um) > MAX_ANISOTROPY * max(x_um, y_um):
        return f"{x_um:g} and {y_um:g} um differ by more than {MAX_ANISOTROPY:.0%}"
    return ""


def number(text: object) -> float | None:
    """A decimal number with a point, or None. A comma is not guessed at: it may part thousands."""
    try:
        return float(str(text).strip())
    except ValueError:
        return None


def with_power(calibration: Calibration, power: float | None) -> Calibration:
    """The same calibration, with a warning when the objective's power speaks against it."""
    size = calibration.pixel_size
    if size is None or not power or not math.isfinite(power) or power <= 0:
        return calibration
    product = power * size.mean_um / POWER_TIMES_UM
    if 1 / POWER_TOLERANCE <= product <= POWER_TOLERANCE:
        return calibration
    note = f"{size.mean_um:g} um per pixel is unusual for an objective of {power:g}x; check the pixel size"
    return Calibration(size, calibration.source, (*calibration.warnings, note))


# -- TIFF ----------------------------------------------------------------------------------------------------


def calibrate_tiff(first: Page, base: Page, kind: str) -> Calibration:
    """The pixel size of level 0 (`base`) of a TIFF whose first page is `first`."""
    if kind == "aperio":
        return _aperio(base.description or first.description)
    if kind == "ome-tiff":
        found = _ome(first.description, base)
        if found is not None:
            return found
    if found := _imagej(base):
        return found
    return _resolution(base)


def _aperio(description: str) -> Calibration:
    fields = dict(re.findall(r"\|\s*([A-Za-z ]+?)\s*=\s*([^|]*)", description))
    if "MPP" not in fields:
        return Calibration(warnings=("the Aperio header holds no MPP",))
    value = number(fields["MPP"])
    return with_power(judge(value, value, "Aperio MPP"), number(fields.get("AppMag", "")))


def _ome(description: str, base: Page) -> Calibration | None:
    """PhysicalSizeX and Y of the image as large as level 0; None when the XML gives none."""
    pixels = ome_pixels(description, base.width, base.height)
    if pixels is None:
        return None
    x, y = pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeY")
    if x is None and y is None:
        return None
    sizes = []
    for value, axis in ((x if x is not None else y, "X"), (y if y is not None else x, "Y")):
        unit = pixels.get(f"PhysicalSize{axis}Unit", "\u00b5m").strip()
        if unit not in UM_PER_UNIT:
            return Calibration(
                warnings=("the pixel size in OME PhysicalSize is not used: its unit is no length",)
            )
        size = number(value)
        sizes.append(None if size is None else size * UM_PER_UNIT[unit])
    return judge(sizes[0], sizes[1], "OME PhysicalSize")


def ome_pixels(description: str, width: int, height: int) -> Mapping[str, str] | None:
    """Attributes of the first Pixels element of that size in an OME-XML text; None when there is none.

    A document type is refused: it serves only to make a parser open files or swell (XXE, billion laughs).
    """
    if "<!DOCTYPE" in description or "<!ENTITY" in description:
        return None
    try:
        root = ElementTree.fromstring(description.strip("\0 \r\n").encode())
    except (ElementTree.ParseError, ValueError):
        return None
    for element in root.iter():
        here = (element.get("SizeX"), element.get("SizeY"))
        if element.tag.endswith("}Pixels") and here == (str(width), str(height)):
            return dict(element.attrib)
    return None


def _imagej(base: Page) -> Calibration | None:
    """ImageJ writes pixels per unit as the resolution and the unit's name in the description."""
    if not base.description.startswith("ImageJ=") or base.resolution is None:
        return None
    unit = re.search(r"^unit=(.+)$", base.description, re.MULTILINE)
    name = unit.group(1).strip().replace("\\u00B5", "\u00b5") if unit else ""
    if name not in UM_PER_UNIT:
        return None
    x, y = (UM_PER_UNIT[name] / per_unit if per_unit else math.inf for per_unit in base.resolution[:2])
    return judge(x, y, "ImageJ resolution")


def _resolution(base: Page) -> Calibration:
    if base.resolution is None:
        return Calibration(warnings=("the file holds no pixel size",))
    per_unit_x, per_unit_y, unit = base.resolution
    if unit not in UM_PER_TIFF_UNIT:
        return Calibration(warnings=("the TIFF resolution has no unit, so the file holds no pixel size",))
    x, y = (
        UM_PER_TIFF_UNIT[unit] / per_unit if per_unit else math.inf for per_unit in (per_unit_x, per_unit_y)
    )
    return judge(x, y, "TIFF resolution")


# -- OpenSlide and the choice --------------------------------------------------------------------------------


def calibrate_openslide(properties: Mapping[str, str]) -> Calibration:
    """The pixel size that OpenSlide found in the vendor's own fields."""
    x, y = properties.get("openslide.mpp-x"), properties.get("openslide.mpp-y")
    if x is None and y is None:
        return Calibration(warnings=("the file holds no pixel size",))
    vendor = properties.get("openslide.vendor", "")
    sizes = number(x if x is not None else y), number(y if y is not None else x)
    return with_power(
        judge(*sizes, f"OpenSlide {vendor}".strip()), number(properties.get("openslide.objective-power"))
    )


def given(mpp: float, source: str) -> Calibration:
    """A pixel size a person gave, as a calibration; SlideError E_MPP when it cannot be believed."""
    return Calibration(given_size(mpp, source), source)


def given_size(mpp: float, source: str) -> PixelSize:
    """A pixel size a person gave, held to the same rules; SlideError E_MPP when it breaks them."""
    if reason := _fault(mpp, mpp):
        raise SlideError(
            f"the pixel size from {source} cannot be used: {reason}; give micrometres per pixel", "E_MPP"
        )
    return PixelSize(mpp, mpp)


def resolve_pixel_size(
    slide: Slide, *, sheet_mpp: float | None = None, option_mpp: float | None = None
) -> tuple[PixelSize, str]:
    """The pixel size to count with and its source, in the order of trust: sheet, --mpp, file.

    NaN counts as not given (an empty cell of a sheet). SlideError E_MPP when nothing usable is left.
    """
    for value, source in ((sheet_mpp, "sheet"), (option_mpp, "--mpp")):
        if value is not None and not math.isnan(value):
            return given_size(value, source), source
    if slide.pixel_size is None:
        why = next(
            (note for note in slide.warnings if "pixel size" in note or "MPP" in note), "none was found"
        )
        raise SlideError(
            f"{slide.path!r} has no usable pixel size ({why}); give one with --mpp, e.g. --mpp 0.25, "
            "or in the sheet's column mpp",
            "E_MPP",
        )
    return slide.pixel_size, slide.mpp_source


def pixel_size_conflict(slide: Slide, used: PixelSize) -> str:
    """One sentence when the file's own pixel size is more than 1 % off the one used, else nothing."""
    own = slide.pixel_size
    if own is None or abs(own.mean_um - used.mean_um) <= NOTED_ANISOTROPY * own.mean_um:
        return ""
    said = f"the file says {own.mean_um:g} um per pixel ({slide.mpp_source})"
    return f"{said}, {used.mean_um:g} um was given and is used"
