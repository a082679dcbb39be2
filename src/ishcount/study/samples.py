"""The sample study that comes with ishcount: synthetic slides, their sheet and their truth."""

from __future__ import annotations

from pathlib import Path

from ishcount.core.errors import UsageError

CASE, CONTROL = "EM", "normal"
"""The groups of the sample study."""


def sample_folder() -> Path:
    """The folder of sample slides: inside the installed package, or beside the sources in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "sample_images", package.parents[1] / "sample_images"):
        if (folder / "sheet.csv").is_file():
            return folder
    raise UsageError("the sample study is not installed; install ishcount again from its wheel")
