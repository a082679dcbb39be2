"""Options that `quantify` and `study` share, and what they turn into."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ishcount.core.errors import UsageError

if TYPE_CHECKING:
    from ishcount.params import Params
    from ishcount.study.jobs import RunOptions
    from ishcount.study.lock import Shard

Out = Annotated[Path, typer.Option("-o", "--out", help="Folder for the results; made if missing.")]
Mpp = Annotated[float | None, typer.Option("--mpp", help="Pixel size in um where the sheet gives none.")]
ParamsFile = Annotated[
    Path | None, typer.Option("--params", help="Parameters as TOML (params.toml of a result).")
]
Preset = Annotated[str, typer.Option("--preset", help="Named set of parameters that --params is laid over.")]
Annotations = Annotated[
    Path | None,
    typer.Option("--annotations", help="GeoJSON of one slide, or a folder of <slide_id>.geojson."),
]
RegionUm = Annotated[
    str | None,
    typer.Option("--region", metavar="X,Y,W,H", help="Count only this rectangle (um): a quick look."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done, with time and space; do nothing.")
]
OutputsWanted = Annotated[
    str, typer.Option("--outputs", metavar="all|tables", help="tables: no labels, GeoJSON or pictures.")
]
N_Workers = Annotated[
    int | None,
    typer.Option("--workers", min=0, help="Processes (default: one per core; 0: count in this one)."),
]
BlockUm = Annotated[
    float | None,
    typer.Option("--block-um", min=64, max=4096, help="Side of a block of work, um (default 512)."),
]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", metavar="HOST:PORT", help="Count on this running Dask scheduler.")
]
ShardOf = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Only the I-th of N parts of the slides (I from 1)."),
]
Resume = Annotated[
    bool, typer.Option("--resume/--no-resume", help="Keep what earlier runs finished, or count again.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Allow other parameters in a folder that holds results.")
]
Pseudonymise = Annotated[
    bool, typer.Option("--pseudonymise", help="Hashed slide and patient ids; the key lies beside the folder.")
]
TimeoutS = Annotated[
    float, typer.Option("--timeout", min=1, help="Seconds that one step of a slide may take.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print machine-readable JSON instead of a table.")]
Case = Annotated[
    str | None, typer.Option("--case", help="Group of interest: differences are case minus control.")
]
Control = Annotated[str | None, typer.Option("--control", help="Group it is compared with.")]


def load_params(file: Path | None, preset: str, block_um: float | None) -> Params:
    """The parameters of a run: preset, file laid over it, then --block-um."""
    from ishcount.params import make_params, read_params

    params = make_params(preset=preset) if file is None else read_params(file, preset=preset)
    if block_um is None:
        return params
    blocks = params.blocks.model_copy(update={"block_um": float(block_um)})
    copied: Params = params.model_copy(update={"blocks": blocks})
    return copied


@dataclass(frozen=True, slots=True)
class Counting:
    """What the options that `quantify` and `study` share come to."""

    run: RunOptions
    params: Params
    annotations: Path | None
    dry_run: bool
    pseudonymise: bool
    as_json: bool


def counting_options(
    mpp: Mpp = None,
    params: ParamsFile = None,
    preset: Preset = "default",
    annotations: Annotations = None,
    region: RegionUm = None,
    dry_run: DryRun = False,
    outputs: OutputsWanted = "all",
    workers: N_Workers = None,
    block_um: BlockUm = None,
    scheduler: Scheduler = None,
    shard: ShardOf = None,
    resume: Resume = True,
    overwrite: Overwrite = False,
    pseudonymise: Pseudonymise = False,
    timeout: TimeoutS = 1800,
    as_json: AsJson = False,
) -> Counting:
    """Checked options; UsageError says what to write instead."""
    from ishcount.study.jobs import RunOptions

    if outputs not in ("all", "tables"):
        raise UsageError(f"--outputs {outputs!r} is not known; write all or tables")
    if mpp is not None and not 0.05 <= mpp <= 5:  # the range in which a pixel size is believed at all
        raise UsageError(f"--mpp {mpp} is no pixel size in um; write 0.05 to 5, such as 0.25")
    run = RunOptions(
        n_workers=n_cores() if workers is None else workers,
        outputs="tables" if outputs == "tables" else "all",
        mpp=mpp,
        region_um=None if region is None else parse_region(region),
        shard=None if shard is None else parse_shard(shard),
        scheduler=scheduler,
        resume=resume,
        overwrite=overwrite,
        timeout_s=timeout,
        names_hidden=pseudonymise,
        command=tuple(sys.argv[1:]),
    )
    used = load_params(params, preset, block_um)
    return Counting(run, used, annotations, dry_run, pseudonymise, as_json)


def with_counting_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the shared options after its own; it is called with them as `counting`."""
    shared = inspect.signature(counting_options, eval_str=True).parameters
    own = dict(inspect.signature(command, eval_str=True).parameters)
    del own["counting"]

    def called(**given: Any) -> None:
        command(
            **{name: given[name] for name in own},
            counting=counting_options(**{name: given[name] for name in shared}),
        )

    parameters = [*own.values(), *shared.values()]
    called.__name__, called.__doc__ = command.__name__, command.__doc__
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    vars(called)["__signature__"] = inspect.Signature(parameters)
    return called


def n_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse_region(text: str) -> tuple[float, float, float, float]:
    """`X,Y,W,H` in um; width and height above 0."""
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--region {text!r} is not X,Y,W,H in um; write such as 1000,2000,500,500") from None
    if not (width > 0 and height > 0 and x >= 0 and y >= 0):
        raise UsageError(f"--region {text!r} holds nothing; width and height must be above 0")
    return x, y, width, height


def parse_shard(text: str) -> Shard:
    """`I/N` with I from 1 to N."""
    from ishcount.study.lock import Shard

    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise UsageError(f"--shard {text!r} is not I/N with I from 1 to N; write such as 2/8")
    return Shard(int(index), int(count))


def parse_markers(texts: list[str]) -> dict[str, str]:
    """NAME[:CHROMOGEN] options as name -> chromogen (`auto` where left out)."""
    markers: dict[str, str] = {}
    for text in texts:
        name, _, chromogen = text.partition(":")
        if name in markers:
            raise UsageError(f"--marker {name} is given twice; name each marker once")
        markers[name] = chromogen or "auto"
    return markers
