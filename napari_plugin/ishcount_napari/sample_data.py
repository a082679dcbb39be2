"""The sample study in napari's File > Open Sample menu."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ishcount.core.errors import UsageError
from ishcount_napari.reader import read_slide


def sample_folder() -> Path:
    """The folder of sample slides: inside the installed package, or beside the sources in a checkout."""
    import ishcount

    package = Path(ishcount.__file__).resolve().parent
    for folder in (package / "sample_images", package.parents[1] / "sample_images"):
        if folder.is_dir():
            return folder
    raise UsageError("the sample slides are not installed; install ishcount again from its wheel")


def sample_slide() -> list[tuple[Any, dict[str, Any], str]]:
    """The first sample slide as a pyramid."""
    slides = sorted(
        path for path in sample_folder().rglob("*") if path.suffix.lower() in (".tif", ".tiff", ".svs")
    )
    if not slides:
        raise UsageError(f"no slide in {str(sample_folder())!r}; install ishcount again from its wheel")
    return read_slide(str(slides[0]))
