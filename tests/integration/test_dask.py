"""A real Dask scheduler and two real workers on this machine: the same bytes, a lost worker survived."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from ishcount.core.errors import UsageError
from ishcount.study.jobs import RunOptions
from tests.unit.study.fake_engine import differing, run, statuses, study

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Dask warns of itself at shutdown
    pytest.mark.skipif(find_spec("distributed") is None, reason="the dask extra is not installed"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """A scheduler and its workers, started with Dask's own commands."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._folder = folder
        self._environment = os.environ | {"PYTHONPATH": str(ROOT)}
        host, port = self.address.split(":")
        self._processes = [self._start("scheduler", "--host", host, "--port", port, "--no-dashboard")]
        self.workers = [self.add_worker() for _ in range(2)]

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(
            command, cwd=self._folder, env=self._environment, stdout=nowhere, stderr=nowhere
        )

    def add_worker(self) -> subprocess.Popen[bytes]:
        words = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--death-timeout", "60")
        worker = self._start("worker", f"tcp://{self.address}", *words)
        self._processes.append(worker)
        return worker

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    started = Cluster(tmp_path)
    yield started
    started.stop()


def test_a_dask_cluster_writes_the_same_bytes_as_one_process(cluster: Cluster, tmp_path: Path) -> None:
    sheet = study(tmp_path, {name: f"blocks={n}" for n, name in enumerate("abcdef")} | {"bad": "b1=refuse"})
    run(sheet, tmp_path / "here")
    result = run(sheet, tmp_path / "there", RunOptions(scheduler=cluster.address))
    assert statuses(result)["bad"] == ("failed", "E_TILE")
    assert differing(tmp_path / "here", tmp_path / "there") == []


def test_a_lost_worker_costs_its_tasks_a_retry_and_not_the_run(cluster: Cluster, tmp_path: Path) -> None:
    sheet = study(tmp_path, dict.fromkeys("abcd", "blocks=4 b1=slow"))
    waiting = subprocess.Popen(
        [sys.executable, "-c", KILL_LATER, str(cluster.workers[0].pid), str(tmp_path / "out" / "work.log")]
    )
    result = run(sheet, tmp_path / "out", RunOptions(scheduler=cluster.address))
    waiting.wait(60)
    assert cluster.workers[0].wait(10) != 0
    assert set(statuses(result).values()) == {("ok", "")}


KILL_LATER = """
import os, signal, sys, time
from pathlib import Path
while not Path(sys.argv[2]).is_file():
    time.sleep(0.05)
time.sleep(0.5)
os.kill(int(sys.argv[1]), signal.SIGKILL)
"""


def test_no_scheduler_there_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ishcount.study.cluster.CONNECT_S", 1)
    start = time.monotonic()
    with pytest.raises(UsageError, match="no Dask scheduler answers"):
        run(study(tmp_path, {"a": ""}), tmp_path / "out", RunOptions(scheduler=f"127.0.0.1:{free_port()}"))
    assert time.monotonic() - start < 30


def test_a_task_that_is_alone_may_use_the_threads_of_all_workers_of_a_machine(cluster: Cluster) -> None:
    from ishcount.study.cluster import DaskCluster

    executor = DaskCluster(cluster.address)
    try:
        deadline = time.monotonic() + 60
        while executor.n_cores < 2 and time.monotonic() < deadline:  # the second worker may come later
            time.sleep(0.2)
        assert executor.n_cores == 2
        assert executor.capacity == 4
    finally:
        executor.close()
