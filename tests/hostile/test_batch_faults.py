"""A run that is killed, starved of disk or crowded: nothing finished is lost, nothing is torn."""

from __future__ import annotations

import errno
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ishcount.core import files
from ishcount.core.errors import OutputError
from tests.unit.study.fake_engine import SERIAL, differing, run, study

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import sys
from pathlib import Path
from ishcount.cli.app import _listen_for_the_end
from ishcount.core.errors import IshcountError, Stopped
from ishcount.study.jobs import RunOptions
from tests.unit.study.fake_engine import run
if __name__ == "__main__":
    _listen_for_the_end()
    try:
        run(Path(sys.argv[1]), Path(sys.argv[2]), RunOptions(n_workers=int(sys.argv[3])))
    except (IshcountError, Stopped) as error:
        sys.exit(error.exit_code)
"""


def start(script: Path, sheet: Path, out: Path, n_workers: int = 2) -> subprocess.Popen[bytes]:
    script.write_text(RUN)
    command = [sys.executable, str(script), str(sheet), str(out), str(n_workers)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    listen = None if sys.platform == "win32" else _listen  # whoever runs the tests may have said nohup
    return subprocess.Popen(command, env=environment, cwd=ROOT, preexec_fn=listen)


def _listen() -> None:
    """Signals as a terminal would leave them."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)


def slow_study(folder: Path) -> Path:
    return study(folder, {name: f"blocks={n + 1} {' '.join(f'b{k}=pause' for k in range(n + 1))}"
                          for n, name in enumerate("abcdef")})  # fmt: skip


def leftovers(out: Path) -> list[str]:
    """Temporary files that a run should not leave behind."""
    return [path.name for path in out.rglob("*") if path.name.endswith((".tmp", ".old"))]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 there")
def test_a_run_killed_again_and_again_ends_with_the_bytes_of_a_clean_one(tmp_path: Path) -> None:
    sheet = slow_study(tmp_path)
    run(sheet, tmp_path / "clean")
    chance = random.Random(20261122)
    kills, patience_s = 0, 2.0
    while True:
        process = start(tmp_path / "run.py", sheet, tmp_path / "killed")
        try:
            assert process.wait(patience_s * (0.5 + chance.random())) == 0
            break
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills, patience_s = kills + 1, patience_s * 1.2  # comes to an end on a machine of any speed
    assert kills >= 1
    assert differing(tmp_path / "clean", tmp_path / "killed") == []


def in_a_child(sheet: Path, out: Path, *, killed_at_write: int | None) -> bool:
    """Run in a forked process that is killed just before its n-th file moves into place; True if it ended."""
    child = os.fork()
    if child == 0:
        really_replace, writes = os.replace, itertools.count(1)

        def replace(source: str, target: str) -> None:
            if next(writes) == killed_at_write:
                os.kill(os.getpid(), signal.SIGKILL)
            really_replace(source, target)

        files.os.replace = replace  # type: ignore[attr-defined]
        os._exit(run(sheet, out, SERIAL).exit_code)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork there")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_run_killed_at_any_write_resumes_to_the_bytes_of_a_clean_one(tmp_path: Path) -> None:
    sheet = study(tmp_path, {"a": "blocks=2", "b": "blocks=1"})
    assert in_a_child(sheet, tmp_path / "clean", killed_at_write=None)
    for n in range(1, 100):
        out = tmp_path / f"killed{n}"
        if in_a_child(sheet, out, killed_at_write=n):
            break
        assert in_a_child(sheet, out, killed_at_write=None)
        assert differing(tmp_path / "clean", out) == []
    assert n > 10


def test_a_disk_that_fills_up_at_any_write_tears_nothing_and_the_run_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = study(tmp_path, {"a": "blocks=2", "b": "blocks=1"})
    run(sheet, tmp_path / "clean")
    really_replace = os.replace
    writes_left = 0

    def replace(source: str, target: str) -> None:
        nonlocal writes_left
        writes_left -= 1
        if writes_left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        really_replace(source, target)

    monkeypatch.setattr(files.os, "replace", replace)
    refusals = []
    while len(refusals) < 60:
        writes_left = len(refusals)
        try:
            run(sheet, tmp_path / "full", SERIAL)
        except OutputError as error:
            refusals.append(str(error))
            assert leftovers(tmp_path / "full") == []
        else:
            break
    assert 1 < len(refusals) < 60
    assert all("No space left" in refusal for refusal in refusals)
    assert differing(tmp_path / "clean", tmp_path / "full") == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_in_order_and_what_is_finished_stays(
    number: signal.Signals, tmp_path: Path
) -> None:
    sheet = slow_study(tmp_path)
    process = start(tmp_path / "run.py", sheet, tmp_path / "out")
    finished = tmp_path / "out" / "slides" / "b" / "summary.json"
    until = time.monotonic() + 60
    while not finished.exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(30) == (130 if number == signal.SIGINT else 143)
    assert (tmp_path / "out" / "densities.csv").is_file()
    assert leftovers(tmp_path / "out") == []
    assert "skipped" in (tmp_path / "out" / "densities.csv").read_text()
    run(sheet, tmp_path / "clean")
    run(sheet, tmp_path / "out")
    assert differing(tmp_path / "clean", tmp_path / "out") == []


HOSTILE_IDS = [
    "../../x", "/etc/x", "C:\\x", "a/b", ".", "..", "...", "CON", "nul.svs", "x.", "x ", "=1+1", "-x", "@x",
    "+x", "ä", "👍", "a,b", 'a"b', "a'b", "<script>", "a;b", "$(x)", "`x`", "%s", "{0}", "x" * 300, "~",
    "#", "?*",
]  # fmt: skip


def test_no_id_writes_outside_the_folder_and_every_id_comes_back(tmp_path: Path) -> None:
    import pandas as pd

    from ishcount.core.files import read_csv

    lines = ["slide,slide_id,marker"]
    for n, slide_id in enumerate(HOSTILE_IDS):
        (tmp_path / f"s{n}.svs").write_text("blocks=1")
        quoted = slide_id.replace('"', '""')
        lines.append(f's{n}.svs,"{quoted}",IFNG')
    (tmp_path / "in").mkdir()
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("\n".join(lines) + "\n", encoding="utf-8")
    before = set(tmp_path.rglob("*"))
    result = run(sheet, tmp_path / "in" / "out")
    assert result.exit_code == 0
    assert [
        path for path in set(tmp_path.rglob("*")) - before if not path.is_relative_to(tmp_path / "in" / "out")
    ] == []
    wanted = sorted(slide_id.strip() for slide_id in HOSTILE_IDS)
    assert sorted(read_csv(tmp_path / "in" / "out" / "densities.csv", dtype=str)["slide_id"]) == wanted
    assert sorted(pd.read_parquet(tmp_path / "in" / "out" / "densities.parquet")["slide_id"]) == wanted
    folders = [path.name for path in (tmp_path / "in" / "out" / "slides").iterdir()]
    assert len({name.casefold() for name in folders}) == len(HOSTILE_IDS)


@pytest.mark.slow
def test_of_many_runs_started_at_once_one_counts_and_the_others_are_refused(tmp_path: Path) -> None:
    sheet = study(tmp_path, {"a": "blocks=2 b0=hold"})
    runs = [start(tmp_path / f"run{n}.py", sheet, tmp_path / "out", 0) for n in range(6)]
    assert sorted(process.wait(120) for process in runs) == [0] + [5] * 5
