"""A first sample sheet from a folder of slides, for a person to fill in."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pandas as pd

from ishcount.core.errors import UsageError
from ishcount.study.sheet import default_slide_id

SUFFIXES = frozenset({
    ".svs", ".tif", ".tiff", ".btf", ".tf8", ".ndpi", ".vms", ".vmu", ".scn", ".mrxs", ".bif", ".svslide",
    ".czi", ".qptiff", ".dcm", ".zvi",
})  # fmt: skip
DRAFTED = ("slide", "slide_id", "patient", "group", "marker", "chromogen", "role", "batch")


def draft_sheet(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """A table with one row per slide found under `folder`, and what was left out and why.

    Paths are relative to `folder`, `/` on every system. A DICOM series is one slide: its first file.
    """
    if not folder.is_dir():
        raise UsageError(f"{str(folder)!r} is no folder; name the folder that holds the slides")
    paths, left_out = _slides_under(folder)
    if not paths:
        raise UsageError(f"no slide in {str(folder)!r}; looked for {' '.join(sorted(SUFFIXES))}")
    ids = [default_slide_id(path) for path in paths]
    often = Counter(name.casefold() for name in ids)
    rows = [
        {"slide": path.as_posix(),
         "slide_id": name if often[name.casefold()] == 1 else path.as_posix().replace("/", "_"),
         "role": "target"}
        for path, name in zip(paths, ids, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(DRAFTED), dtype="string"), left_out


def _slides_under(folder: Path) -> tuple[list[Path], list[str]]:
    found, left_out = [], []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = sorted(name for name in names if Path(name).suffix.casefold() in SUFFIXES)
        series = [name for name in inside if name.casefold().endswith(".dcm")]
        for name in inside:
            path = (Path(root) / name).relative_to(folder)
            if name in series[1:]:
                continue
            try:
                str(path).encode("utf-8")
            except UnicodeEncodeError:
                left_out.append(f"{str(path)!r}: its name is no text that a sheet can hold; rename the file")
                continue
            found.append(path)
    return found, left_out
