"""The same tasks on a Dask scheduler that is running already (extra `dask`).

Workers need ishcount installed in the same version and see the slides and the output folder under the same
paths: a task is a few names and parameters, results lie on disk. A lost Dask worker costs its tasks a retry.
"""

from __future__ import annotations

import queue
import time
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from ishcount._version import __version__
from ishcount.core.errors import SlideError, UsageError
from ishcount.study.executors import Done, Task, run_task, settle_in

CONNECT_S = 20
PER_THREAD = 2
"""Tasks handed out per thread of the cluster: one runs, one waits; few are left for one thread at the end."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A task on the cluster, and since when."""

    task: Task
    future: Any
    since: float

    def is_late(self) -> bool:
        """Whether it took longer than allowed, with its wait behind the others of its thread."""
        limit = self.task.timeout_s
        return limit is not None and time.monotonic() - self.since > PER_THREAD * limit


class DaskCluster:
    """An executor on the Dask scheduler at `address` (`HOST:PORT`, or any address Dask takes)."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise UsageError("--scheduler needs Dask; install it with pip install 'ishcount[dask]'") from None
        where = address if "://" in address else f"tcp://{address}"
        try:
            self._client = Client(where, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no Dask scheduler answers at {address} ({error}); check host and port"
            ) from error
        self._out: dict[Hashable, _Sent] = {}
        self._answers: queue.SimpleQueue[Hashable] = queue.SimpleQueue()
        self._check_workers(address)

    @property
    def n_cores(self) -> int:
        """Threads that the cluster was given on its smallest machine: for a task that is alone there."""
        given: Counter[str] = Counter()
        for address, threads in self._client.nthreads().items():
            given[machine_of(address)] += threads
        return max(1, min(given.values(), default=1))

    @property
    def capacity(self) -> int:
        """A few tasks for each thread there is now; workers may come and go."""
        threads: int = sum(self._client.nthreads().values())
        return max(2, PER_THREAD * threads)

    def submit(self, task: Task) -> None:
        """Send the task; Dask gives it to another worker where one dies."""
        future = self._client.submit(_run_alone, task, pure=False)
        self._out[task.key] = _Sent(task, future, time.monotonic())
        future.add_done_callback(lambda _done: self._answers.put(task.key))

    def next_done(self) -> Done:
        """Wait for whichever task ends first, or runs out of time."""
        while True:
            try:
                key = self._answers.get(timeout=1.0)
            except queue.Empty:
                late = [key for key, sent in self._out.items() if sent.is_late()]
                if late:
                    return self._give_up(self._out.pop(late[0]))
                continue
            if key in self._out:
                return _answer(self._out.pop(key))

    def close(self) -> None:
        """Withdraw what is not done and leave the cluster as it was."""
        self._client.cancel([sent.future for sent in self._out.values()], force=True)
        self._client.close(timeout=5)

    def _give_up(self, sent: _Sent) -> Done:
        self._client.cancel([sent.future], force=True)
        return Done(
            sent.task,
            seconds=time.monotonic() - sent.since,
            error=SlideError(
                f"a step took longer than {sent.task.timeout_s:g} s on the cluster and was given up; "
                "check the disk or the network share it lies on",
                "E_TIMEOUT",
            ),
        )

    def _check_workers(self, address: str) -> None:
        """UsageError where no worker is there or one has another ishcount: it would count differently."""
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError:
            start = f"start `dask worker {address}`"
            raise UsageError(f"the Dask scheduler at {address} has no worker; {start}") from None
        for worker, found in self._client.run(_installed).items():
            if found != __version__:
                raise UsageError(
                    f"Dask worker {worker} has ishcount {found}, this is {__version__}; install that there"
                )


def machine_of(address: str) -> str:
    """`10.0.0.7` of a Dask worker's address `tcp://10.0.0.7:40123`."""
    return address.partition("://")[2].rpartition(":")[0]


def _answer(sent: _Sent) -> Done:
    seconds = time.monotonic() - sent.since
    if sent.future.status == "finished":
        done: Done = sent.future.result()
        return done
    error = sent.future.exception() if sent.future.status == "error" else None
    if error is None or type(error).__name__ == "KilledWorker":
        error = SlideError("the Dask workers that counted it died; give each more memory", "E_WORKER")
    return Done(sent.task, error=error, seconds=seconds)


def _run_alone(task: Task) -> Done:
    settle_in()
    return run_task(task)


def _installed() -> str:
    """The version of ishcount on a worker."""
    return __version__
