"""What earlier runs left that need not be done again.

`.ishcount/slides/<folder>/ask.json` says what the partial files beside it are parts of; `done.json` which
question the finished result answers. Each is removed before anything it vouches for is changed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ishcount._version import __version__
from ishcount.core import files
from ishcount.core.errors import OutputError
from ishcount.result import result_digest

if TYPE_CHECKING:
    from ishcount.quantify.job import SlideJob

_HALF_WRITTEN = re.compile(r"\..*\.[0-9a-f]{8}\.(tmp|old)")  # as core.files names what it is writing
REVIEW = "review"
"""The part of a slide's folder that nothing ever removes: a reader's decisions."""


def ask(job: SlideJob) -> dict[str, Any]:
    """Everything that decides a slide's result; a result with an equal ask is not made again."""
    return {
        "version": __version__,
        "params": job.params.digest(),
        "slide": job.slide_digest,
        "markers": [list(marker) for marker in job.markers],
        "mpp": [job.sheet_mpp, job.option_mpp],
        "annotations": _file_digest(job.annotations),
        "region_um": None if job.region_um is None else list(job.region_um),
        "sections": None if job.sections is None else list(job.sections),
    }


def is_finished(job: SlideJob, slide_digest: str | None) -> bool:
    """Whether a whole result of exactly this job is on disk.

    slide_digest None: the slide cannot be read now, so its result stands if all else is equal.
    """
    done = _read(job.work / "done.json")
    if not done or not (job.folder / "summary.json").is_file():
        return False
    known = done.get("ask", {})
    wanted = ask(replace(job, slide_digest=known.get("slide", "") if slide_digest is None else slide_digest))
    enough = job.outputs == "tables" or done.get("outputs") == "all"
    return enough and known == wanted and done.get("result") == _result(job.folder)


def make_ready(job: SlideJob, *, fresh: bool) -> None:
    """Take away a result that is about to be replaced, and partial files of another job (or all: `fresh`)."""
    wanted = hashlib.sha256(json.dumps(ask(job), sort_keys=True).encode()).hexdigest()
    _remove(job.work / "done.json")
    _remove(job.folder / "summary.json")  # first: without it the rest is no result
    for path in _inside(job.folder):
        if path.name != REVIEW:
            _remove(path)
    if fresh or _read(job.work / "ask.json").get("ask") != wanted:
        _remove(job.work)
        files.write_json(job.work / "ask.json", {"ask": wanted})


def mark_finished(job: SlideJob) -> None:
    """Vouch for the result now on disk and let go of the partial files it was made of."""
    content = {"ask": ask(job), "outputs": job.outputs, "result": _result(job.folder)}
    files.write_json(job.work / "done.json", content)
    for path in _inside(job.work):
        if path.name != "done.json":
            _remove(path)


def sweep(folder: Path) -> None:
    """Remove what a writer that was killed left half-written in `folder` (not below it)."""
    for path in _inside(folder):
        if _HALF_WRITTEN.fullmatch(path.name):
            _remove(path)


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _result(folder: Path) -> str:
    try:
        return result_digest(folder)
    except OSError:
        return "missing"


def _file_digest(path: str | None) -> str:
    """SHA-256 of the file's content; a file that cannot be read is left to the stage that needs it."""
    if path is None:
        return ""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return "unreadable"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        reason = f"{error.strerror}; check the folder's rights"
        raise OutputError(f"cannot replace {str(path)!r}: {reason}") from error
