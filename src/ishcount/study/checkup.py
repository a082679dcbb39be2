"""Whether this installation can do its work, and a count of a slide whose answer is known."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from ishcount._version import __version__

N_DOTS_PLANTED = 12


def checkup() -> dict[str, dict[str, Any]]:
    """Name -> {ok, says}: `ok` False only where counting itself would not work."""
    checks = {
        "ishcount": (True, f"{__version__} in {Path(__file__).parents[1]}"),
        "python": (True, f"{platform.python_version()} on {platform.platform()}"),
        "libraries": _libraries(),
        "openslide": _openslide(),
        "window": _window(),
        "dask": _optional("distributed", "dask", "the same command on a cluster"),
        "remote": _optional("fsspec", "remote", "slides on s3:// and https://"),
        "memory": (
            True,
            f"{_gigabytes():.1f} GB for {os.cpu_count()} cores; 0.5 GB for each worker, 1 GB besides",
        ),
        "self-test": _self_test(),
    }
    return {name: {"ok": ok, "says": says} for name, (ok, says) in checks.items()}


def _libraries() -> tuple[bool, str]:
    names = (
        "numpy",
        "scipy",
        "scikit-image",
        "opencv-python-headless",
        "numba",
        "tifffile",
        "pandas",
        "zarr",
    )
    return True, ", ".join(f"{name} {version(name)}" for name in names)


def _openslide() -> tuple[bool, str]:
    try:
        import openslide
    except (ImportError, OSError) as error:
        return False, f"OpenSlide does not load ({error}); reinstall openslide-bin"
    return True, f"OpenSlide {openslide.__library_version__}: vendor formats can be read"


def _window() -> tuple[bool, str]:
    if importlib.util.find_spec("napari") is None:
        return True, "no napari: review needs pip install 'ishcount[napari]'"
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return True, f"napari {version('napari')}, but no display"
    return True, f"napari {version('napari')}"


def _optional(module: str, extra: str, what: str) -> tuple[bool, str]:
    if importlib.util.find_spec(module) is None:
        return True, f"not installed: {what} needs pip install 'ishcount[{extra}]'"
    try:
        return True, f"{module} {version(module)}: {what}"
    except PackageNotFoundError:
        return True, f"{module}: {what}"


def _gigabytes() -> float:
    """Memory of this machine in GB; not a number where the system does not say."""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return float("nan")


def _self_test() -> tuple[bool, str]:
    """Count a drawn slide: nuclei on a grid, a known number of them with one brown dot each."""
    import tifffile

    from ishcount.core.errors import IshcountError
    from ishcount.quantify import count_slide

    with tempfile.TemporaryDirectory(prefix="ishcount-") as folder:
        path = Path(folder) / "known.tif"
        tifffile.imwrite(
            path, known_slide(), photometric="rgb", tile=(256, 256),
            resolution=(40_000, 40_000), resolutionunit="CENTIMETER",
        )  # fmt: skip
        try:
            result = count_slide(path, Path(folder) / "out", markers=["TEST:dab"])
        except IshcountError as error:
            return False, f"a known slide could not be counted: {error.code} {error}"
        n_cells = len(result.cells)
        n_dots = int((result.dots["score"] > 0.5).sum()) if len(result.dots) else 0
    good = abs(n_cells - 144) <= 15 and abs(n_dots - N_DOTS_PLANTED) <= 3
    return good, f"{n_cells} of 144 nuclei and {n_dots} of {N_DOTS_PLANTED} dots found in a drawn slide"


def known_slide() -> np.ndarray:
    """uint8 (1024, 1024, 3) at 0.25 um: 144 blue nuclei in pale tissue, 12 of them with a brown dot."""
    y, x = np.mgrid[0:1024, 0:1024].astype(np.float32)
    haematoxylin = np.where((abs(x - 512) < 460) & (abs(y - 512) < 460), 0.06, 0.0)
    brown = np.zeros_like(haematoxylin)
    for number in range(144):
        row, col = 107 + 74 * (number // 12), 107 + 74 * (number % 12)
        distance = np.hypot(x - col, y - row)
        haematoxylin += 0.25 * (1 - np.tanh((distance - 13) / 1.6))
        if number % 12 == number // 12:
            brown += 0.7 * np.exp(-((x - col - 6) ** 2 + (y - row) ** 2) / (2 * 1.6**2))
    density = haematoxylin[..., None] * (0.65, 0.70, 0.29) + brown[..., None] * (0.27, 0.57, 0.78)
    return np.rint(240 * 10.0**-density).clip(0, 255).astype(np.uint8)
