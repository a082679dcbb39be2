"""One run at a time in a folder, whatever ended the last one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from ishcount.core.errors import LockedError, OutputError
from ishcount.study import lock
from ishcount.study.lock import Shard, locked

HOLD = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from ishcount.core.errors import LockedError
    from ishcount.study.lock import Shard, locked
    shard = Shard(*map(int, sys.argv[3:5])) if len(sys.argv) > 3 else None
    try:
        with locked(Path(sys.argv[1]), shard):
            print("held", flush=True)
            time.sleep(float(sys.argv[2]))
    except LockedError as error:
        print(error, flush=True)
        sys.exit(5)
    """
)


def holder(state: Path, seconds: float, *shard: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(state), str(seconds), *map(str, shard)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_until_held(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"


def test_a_second_run_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    with holder(tmp_path / "out" / ".ishcount", 60) as first:
        wait_until_held(first)
        with (
            pytest.raises(LockedError, match=f"process {first.pid} on .*another -o folder"),
            locked(tmp_path / "out" / ".ishcount"),
        ):
            pass
        first.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 there")
def test_a_killed_run_leaves_no_lock_behind(tmp_path: Path) -> None:
    with holder(tmp_path, 60) as first:
        wait_until_held(first)
        os.kill(first.pid, signal.SIGKILL)
    with locked(tmp_path):
        pass


def test_of_many_simultaneous_starts_exactly_one_wins(tmp_path: Path) -> None:
    runs = [holder(tmp_path, 5) for _ in range(8)]
    assert sorted(run.wait(60) for run in runs) == [0] + [5] * 7
    for run in runs:
        run.communicate()


def test_shards_of_one_division_run_side_by_side_and_hold_off_a_whole_run(tmp_path: Path) -> None:
    with locked(tmp_path, Shard(1, 2)), locked(tmp_path, Shard(2, 2)):
        for other in (None, Shard(1, 2), Shard(1, 3)):
            with pytest.raises(LockedError), locked(tmp_path, other):
                pass
    with locked(tmp_path):
        pass


def test_a_whole_run_holds_off_shards(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(LockedError), locked(tmp_path, Shard(1, 2)):
        pass


def test_without_system_locks_a_touched_file_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_os_lock", lambda handle: None)
    with locked(tmp_path), pytest.raises(LockedError), locked(tmp_path):
        pass
    with locked(tmp_path):
        held = tmp_path / "run.held"
        old = time.time() - 2 * lock.STALE_S
        os.utime(held, (old, old))  # as a holder leaves it that died two limits ago
        with locked(tmp_path):
            pass


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError), locked(tmp_path / "out"):
        pass


def test_a_file_where_the_folder_should_be_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="another -o folder"), locked(tmp_path / "out" / ".ishcount"):
        pass
