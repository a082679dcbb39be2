"""From a sheet and the options of a run to one job per slide."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ishcount.core.files import folder_name
from ishcount.params import Params
from ishcount.quantify.job import SlideJob
from ishcount.slide.source import address, is_url
from ishcount.study.lock import Shard
from ishcount.study.sheet import Sheet, SheetRow

NOT_CARRIED = ("slide_id", "marker", "chromogen", "annotations")
"""Sheet columns that do not travel to the outputs: those have their own, or they are paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What a run is asked besides the sheet and the parameters.

    n_workers: processes; 0 counts in this very process, as a script without a main guard must.
    timeout_s: what one step of one slide may take.
    names_hidden: ids are pseudonyms, so `run.json` tells neither paths nor the command line.
    command: the command line, for `run.json`.
    """

    n_workers: int = 0
    outputs: Literal["all", "tables"] = "all"
    mpp: float | None = None
    region_um: tuple[float, float, float, float] | None = None
    shard: Shard | None = None
    scheduler: str | None = None
    resume: bool = True
    overwrite: bool = False
    timeout_s: float = 1800.0
    names_hidden: bool = False
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StudySlide:
    """One slide of a run: its job and what the sheet says of each of its markers."""

    job: SlideJob
    sheet_rows: dict[str, dict[str, str | None]] = field(default_factory=dict)

    @property
    def slide_id(self) -> str:
        """The slide's id in the study."""
        return self.job.slide_id


def slides_of(sheet: Sheet, out: Path, params: Params, options: RunOptions) -> list[StudySlide]:
    """One entry per slide of the sheet (of the shard where one is asked), in the sheet's order."""
    out = out.absolute()
    found = []
    for slide_id, rows in sheet.slides().items():
        folder = folder_name(slide_id)
        first = rows[0]
        job = SlideJob(
            slide=_absolute(first.slide),
            slide_id=slide_id,
            folder=out / "slides" / folder,
            work=out / ".ishcount" / "slides" / folder,
            markers=tuple((row.marker, row.chromogen) for row in rows),
            params=params,
            sheet_mpp=first.mpp,
            option_mpp=options.mpp,
            annotations=None if first.annotations is None else _absolute(first.annotations),
            region_um=options.region_um,
            sections=first.sections,
            outputs=options.outputs,
        )
        found.append(StudySlide(job, {row.marker: carried(row, sheet.columns) for row in rows}))
    shard = options.shard
    return found if shard is None else found[shard.index - 1 :: shard.count]


def carried(row: SheetRow, columns: tuple[str, ...]) -> dict[str, str | None]:
    """What the outputs say of a row: patient, group and role, then the sheet's other columns in its order."""
    own = {name: row.own.get(name) or None for name in columns if name not in NOT_CARRIED}
    return {"patient": row.patient or None, "group": row.group or None} | own | {"role": row.role}


def _absolute(path: Path) -> str:
    """The path (or URL) as workers elsewhere need it."""
    text = address(path.as_posix())
    return text if is_url(text) else str(path.absolute())
