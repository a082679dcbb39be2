"""The sample study in napari's File > Open Sample menu."""

from __future__ import annotations

from typing import Any

from ishcount.core.errors import UsageError
from ishcount.study.samples import sample_folder
from ishcount_napari.reader import read_slide


def sample_slide() -> list[tuple[Any, dict[str, Any], str]]:
    """The first sample slide as a pyramid."""
    slides = sorted(
        path for path in sample_folder().rglob("*") if path.suffix.lower() in (".tif", ".tiff", ".svs")
    )
    if not slides:
        raise UsageError(f"no slide in {str(sample_folder())!r}; install ishcount again from its wheel")
    return read_slide(str(slides[0]))
