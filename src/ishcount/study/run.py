"""A sheet of slides to one table of densities: a row per slide, marker and compartment, whatever happens."""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ishcount._version import __version__
from ishcount.core import files
from ishcount.core.errors import Stopped, UsageError
from ishcount.params import Params, params_toml, protocol_digest, read_params
from ishcount.quantify.network import with_network
from ishcount.result import failed_rows, write_densities
from ishcount.slide.digest import read_digest_cache, write_digest_cache
from ishcount.slide.source import shown
from ishcount.study import keep, stages
from ishcount.study.controls import control_gate, with_control_flags
from ishcount.study.executors import Executor, make_executor
from ishcount.study.jobs import RunOptions, StudySlide, slides_of
from ishcount.study.lock import locked
from ishcount.study.schedule import Outcome, Schedule, Watcher
from ishcount.study.sheet import Sheet

if TYPE_CHECKING:
    import pandas as pd

STATE = ".ishcount"
INTERRUPTED = "the run was stopped before this slide was done; run the same command again"
VERSIONED = (
    "numpy", "scipy", "scikit-image", "opencv-python-headless", "numba", "tifffile", "imagecodecs",
    "openslide-python", "openslide-bin", "pandas", "pyarrow", "shapely", "zarr", "statsmodels", "matplotlib",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run's outcomes in the order of the sheet, and the densities that were written (None: a shard)."""

    out: Path
    outcomes: tuple[Outcome, ...]
    densities: pd.DataFrame | None

    @property
    def exit_code(self) -> int:
        """0 every slide ok or partial, 3 some failed, 4 none succeeded."""
        failed = sum(outcome.packed is None for outcome in self.outcomes)
        return 0 if failed == 0 else 4 if failed == len(self.outcomes) else 3


class Quiet:
    """A watcher that says nothing."""

    def planned(self, slide_id: str, n_blocks: int, megapixels: float) -> None:
        """Say nothing."""

    def counted(self, slide_id: str, n_blocks: int, megapixels: float) -> None:
        """Say nothing."""

    def ended(self, outcome: Outcome) -> None:
        """Say nothing."""


def run_study(
    sheet: Sheet,
    out: Path | str,
    *,
    params: Params | None = None,
    options: RunOptions | None = None,
    watcher: Watcher | None = None,
    engine: stages.Engine | None = None,
    keep_others: bool = False,
) -> RunResult:
    """Count every slide of `sheet` into the folder `out`, and write densities, params.toml and run.json.

    keep_others: rows of slides counted there before and not in this sheet stay in the table, and nobody asks
    for controls; else targets without a passing control are flagged. Raises UsageError (other parameters were
    used in `out`), LockedError, OutputError, or Stopped when ended from outside; whatever happens to one
    slide is a row of the table and no exception.
    """
    out, options = Path(out).absolute(), options or RunOptions()
    params = with_network(params or Params())
    slides = slides_of(sheet, out, params, options)
    if not slides:
        raise UsageError(f"this shard holds none of the {len(sheet.slides())} slides; use fewer shards")
    with locked(out / STATE, options.shard):
        _settle_params(out, params, overwrite=options.overwrite)
        run = _Run(out, params, options, slides, time.time())
        try:
            run.count(engine or stages.counting(), watcher or Quiet())
        except KeyboardInterrupt:
            run.write(keep_others)
            raise Stopped(130) from None
        except Stopped:
            run.write(keep_others)
            raise
        return run.write(keep_others)


def _settle_params(out: Path, params: Params, *, overwrite: bool) -> None:
    """Write params.toml; UsageError where the folder holds counts made with others and that is not wanted."""
    path = out / "params.toml"
    text = params_toml(params)
    if path.is_file():
        used = read_params(path)
        if used.digest() != params.digest() and not overwrite:
            raise UsageError(
                f"{str(out)!r} was counted with other parameters ({_differences(used, params)}); "
                "choose another -o folder, give the same ones with --params, or allow it with --overwrite"
            )
        if path.read_text("utf-8") == text:
            return
    files.write_text(path, text)


def _differences(used: Params, wanted: Params) -> str:
    """The first few parameters that differ, as `name was A, now B`."""
    old, new = flat_params(used.model_dump(mode="json")), flat_params(wanted.model_dump(mode="json"))
    found = [f"{name} was {old.get(name)}, now {new.get(name)}" for name in new if old.get(name) != new[name]]
    return "; ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def flat_params(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters under dotted names, as `density.min_dots`."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= (
            flat_params(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
        )
    return flat


class _Run:
    """What is known of a run while it lasts."""

    def __init__(
        self, out: Path, params: Params, options: RunOptions, slides: Sequence[StudySlide], started: float
    ) -> None:
        self.out, self.params, self.options, self.slides, self.started = out, params, options, slides, started
        self.ended: dict[str, Outcome] = {}

    def count(self, engine: stages.Engine, watcher: Watcher) -> None:
        """Every slide through its stages."""
        cache_path = self.out / STATE / "digests.json"
        cache = read_digest_cache(cache_path)
        n_known = len(cache)
        with self._swept(), contextlib.closing(self._executor()) as executor:
            schedule = Schedule(
                self.slides, engine, executor, watcher=watcher, cache=cache,
                resume=self.options.resume, timeout_s=self.options.timeout_s,
            )  # fmt: skip
            for outcome in schedule.run():
                self.ended[outcome.slide.slide_id] = outcome
        if len(cache) > n_known:
            write_digest_cache(cache_path, cache)

    @contextlib.contextmanager
    def _swept(self) -> Iterator[None]:
        """Nothing half-written by killed workers lies about, neither before nor after."""
        folders = [folder for slide in self.slides for folder in (slide.job.folder, slide.job.work)]
        if self.options.shard is None:
            folders += [self.out, self.out / STATE]
        try:
            for folder in folders:
                keep.sweep(folder)
            yield
        finally:
            for folder in folders:
                keep.sweep(folder)

    def _executor(self) -> Executor:
        if self.options.scheduler is not None:
            from ishcount.study.cluster import DaskCluster

            return DaskCluster(self.options.scheduler)
        return make_executor(self.options.n_workers, preload=stages.PRELOAD)

    def write(self, keep_others: bool) -> RunResult:
        """densities, and run.json last."""
        outcomes = tuple(
            self.ended.get(slide.slide_id) or Outcome(slide, "skipped", "", INTERRUPTED)
            for slide in self.slides
        )
        table = None
        if self.options.shard is None:
            table = self._table(outcomes, keep_others)
            write_densities(self.out, table)
        files.write_json(self._run_file(), self._about(outcomes))
        return RunResult(self.out, outcomes, table)

    def _run_file(self) -> Path:
        shard = self.options.shard
        return self.out / "run.json" if shard is None else self.out / STATE / f"{shard.name}.json"

    def _table(self, outcomes: Sequence[Outcome], keep_others: bool) -> pd.DataFrame:
        import pandas as pd

        tables = [_rows(outcome, self.params) for outcome in outcomes]
        earlier = self.out / "densities.parquet"
        if keep_others and earlier.is_file():
            others = pd.read_parquet(earlier)
            mine = {slide.slide_id for slide in self.slides}
            tables.append(others[~others["slide_id"].isin(mine)])
        table = pd.concat([table for table in tables if len(table)], ignore_index=True)
        if keep_others:
            return table
        return with_control_flags(table, control_gate(table, min_dots=self.params.density.min_dots))

    def _about(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """What differs between equal runs: when, where, how long, and the paths on this machine."""
        return {
            "ishcount_version": __version__,
            "command": None if self.options.names_hidden else list(self.options.command),
            "started_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 3),
            "engine": self.options.scheduler or f"{self.options.n_workers} worker processes",
            "machine": {
                "system": platform.platform(),
                "processor": platform.machine(),
                "python": platform.python_version(),
            },
            "versions": {name: found for name in VERSIONED if (found := _version(name))},
            "params_digest": self.params.digest(),
            "protocol_digest": protocol_digest(self.params.protocol),
            "params": self.params.model_dump(mode="json"),
            "slides": [_about_slide(outcome, self.options.names_hidden) for outcome in outcomes],
        }  # fmt: skip


def _rows(outcome: Outcome, params: Params) -> pd.DataFrame:
    table = outcome.table
    if table is not None:
        return table
    job = outcome.slide.job
    return failed_rows(
        job.slide_id, outcome.slide.sheet_rows, dict(job.markers), status=outcome.status,
        error_code=outcome.error_code, reason=outcome.reason, params_digest=params.digest(),
        protocol_digest=protocol_digest(params.protocol),
    )  # fmt: skip


def _about_slide(outcome: Outcome, names_hidden: bool) -> dict[str, Any]:
    return {
        "slide_id": outcome.slide.slide_id,
        "path": None if names_hidden else shown(outcome.slide.job.slide),
        "modified_utc": None if names_hidden else _modified_utc(outcome.slide.job.slide),
        "folder": outcome.slide.job.folder.name,
        "status": outcome.status,
        "error_code": outcome.error_code,
        "reason": outcome.reason,
        "kept_from_earlier_run": outcome.is_kept,
        "megapixels_counted": round(outcome.megapixels, 3),
        "seconds": {stage: round(seconds, 3) for stage, seconds in outcome.seconds.items()},
    }


def _modified_utc(slide: str) -> str | None:
    """When a slide's file was last written, for the date of the report; None where there is none to ask."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(Path(slide).stat().st_mtime))
    except (OSError, ValueError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
