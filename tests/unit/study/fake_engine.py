"""Slides that are small texts: `blocks=3` is a slide of three blocks, other words make a stage misbehave."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ishcount.core import files, tables
from ishcount.core.errors import OutputError, SlideError
from ishcount.quantify.job import SlideJob
from ishcount.result import failed_rows
from ishcount.study.jobs import RunOptions
from ishcount.study.run import RunResult, run_study
from ishcount.study.sheet import read_sheet
from ishcount.study.stages import Engine, SheetRows


def words(job: SlideJob) -> dict[str, str]:
    pairs = (word.partition("=") for word in Path(job.slide).read_text().split())
    return {name: value for name, _, value in pairs}


def note(job: SlideJob, what: str) -> None:
    """One line per piece of work really done, for tests that count them."""
    with open(job.folder.parents[1] / "work.log", "a") as log:
        log.write(f"{job.slide_id} {what}\n")


def misbehave(job: SlideJob, stage: str) -> None:
    match words(job).get(stage):
        case "refuse":
            raise SlideError("the slide is bad; scan it again", "E_TILE")
        case "crash":
            raise ZeroDivisionError("1/0")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "slow":
            time.sleep(0.5)
        case "pause":
            time.sleep(0.15)
        case "hold":
            time.sleep(15)
        case "hang":
            time.sleep(600)
        case "stale":
            raise OSError(116, "Stale file handle")
        case "full":
            raise OutputError("cannot write: no space left; free some")
        case "interrupt":
            raise KeyboardInterrupt
        case _:
            return


def digest(slide: str, cache: dict[str, str]) -> str:
    found = hashlib.sha256(Path(slide).read_bytes()).hexdigest()
    cache[str(Path(slide).stat().st_ino)] = found
    return found


def keys_of(job: SlideJob) -> tuple[Sequence[str], float]:
    n_blocks = int(words(job).get("blocks", "2"))
    return [f"b{n}" for n in range(n_blocks)], 4.0 * n_blocks


def prepare(job: SlideJob) -> tuple[Sequence[str], float]:
    note(job, "prepare")
    misbehave(job, "prepare")
    files.write_text(job.work / "plan.txt", "")
    return keys_of(job)


def prepared(job: SlideJob) -> tuple[Sequence[str], float]:
    (job.work / "plan.txt").read_text()
    return keys_of(job)


def block_path(job: SlideJob, key: str) -> Path:
    return job.work / f"{key}.npz"


def divide(job: SlideJob) -> None:
    misbehave(job, "divide")
    files.write_text(job.work / "divided.txt", "")


def count_block(job: SlideJob, key: str) -> None:
    misbehave(job, "count")
    misbehave(job, key)
    note(job, key)
    files.write_arrays(block_path(job, key), {"n": np.array([int(key[1:])])})


def finish(job: SlideJob, n_threads: int) -> Mapping[str, Any]:
    misbehave(job, "finish")
    assert (job.work / "divided.txt").is_file() or not keys_of(job)[0]
    total = sum(int(files.read_arrays(block_path(job, key))["n"][0]) for key in keys_of(job)[0])
    for name in ("cells.parquet", "dots.parquet"):
        files.write_bytes(job.folder / name, f"{total}".encode())
    summary = {"slide_id": job.slide_id, "status": "ok", "n_positive": total}
    files.write_json(job.folder / "summary.json", summary)
    return summary


def rows(job: SlideJob, sheet_rows: SheetRows) -> pd.DataFrame:
    said = {"status": "ok", "error_code": "", "reason": "", "params_digest": "p"}
    table = failed_rows(job.slide_id, sheet_rows, {}, **said)
    table["n_positive"] = int((job.folder / "cells.parquet").read_text())
    return table.astype({"n_positive": tables.DENSITIES["n_positive"]})


FAKE = Engine(digest, prepare, prepared, block_path, divide, count_block, finish, rows)

SERIAL = RunOptions(n_workers=0)


def study(folder: Path, slides: dict[str, str], *, columns: str = "", values: str = "") -> Path:
    lines = [f"slide,marker{columns}"]
    for name, text in slides.items():
        (folder / f"{name}.svs").write_text(text)
        lines.append(f"{name}.svs,IFNG{values}")
    path = folder / "sheet.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(sheet: Path, out: Path, options: RunOptions = SERIAL, **more: object) -> RunResult:
    return run_study(read_sheet(sheet), out, options=options, engine=FAKE, **more)  # type: ignore[arg-type]


def work_done(out: Path) -> list[str]:
    log = out / "work.log"
    done = log.read_text().splitlines() if log.is_file() else []
    log.unlink(missing_ok=True)
    return done


def statuses(result: RunResult) -> dict[str, tuple[str, str]]:
    return {outcome.slide.slide_id: (outcome.status, outcome.error_code) for outcome in result.outcomes}


def differing(one: Path, two: Path) -> list[str]:
    """Names of files that are not the same in both folders, but for what may differ."""

    def contents(out: Path) -> dict[str, bytes]:
        paths = [path for path in out.rglob("*") if path.is_file() and ".ishcount" not in path.parts]
        skipped = ("run.json", "work.log")
        return {str(path.relative_to(out)): path.read_bytes() for path in paths if path.name not in skipped}

    a, b = contents(one), contents(two)
    assert a
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))
