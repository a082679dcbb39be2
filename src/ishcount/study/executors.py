"""One seam between the work and who does it: in this process, in worker processes, on a Dask cluster.

A task is an importable function and picklable arguments; it leaves its result on disk or returns something
small. `Workers` keeps one task per process, so that a process that dies (killed, out of memory, a crash in a
decoder) or hangs costs that task and no other: it is tried again, at most `RETRIES` times.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from ishcount.core.errors import IshcountError, SlideError
from ishcount.core.memory import keep_freed

RETRIES = 2
"""How often a task whose worker died is tried again; Dask's own default of 3 deaths is the same count."""

LEAVE_S = 5.0
"""How long an idle worker may take to leave before it is killed."""

START_S = 300.0
"""What a worker may take to load its libraries on a busy machine, beside the time of its task."""

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Task:
    """A call to make somewhere: `function(*arguments)`, named by `key`."""

    key: Hashable
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a task: its value, or the error it raised; `seconds` is the time it ran."""

    task: Task
    value: Any = None
    error: BaseException | None = None
    seconds: float = 0.0


class Executor(Protocol):
    """Whoever does the work."""

    @property
    def capacity(self) -> int:
        """How many tasks may be submitted before one is taken back; more would only wait elsewhere."""

    @property
    def n_cores(self) -> int:
        """How many cores of one machine a task may use when no other task is left for them."""

    def submit(self, task: Task) -> None:
        """Take a task."""

    def next_done(self) -> Done:
        """Wait for whichever submitted task ends first."""

    def close(self) -> None:
        """Stop, at once; tasks that still run are lost."""


def run_task(task: Task) -> Done:
    """Make the call here; an error becomes part of the answer."""
    start = time.perf_counter()
    try:
        value, error = task.function(*task.arguments), None
    except Exception as raised:  # the answer carries it to whoever asked
        if not isinstance(raised, IshcountError):
            raised.add_note(traceback.format_exc())  # a traceback does not travel between processes, notes do
        value, error = None, raised
    return Done(task, value, error, time.perf_counter() - start)


class Serial:
    """Everything in this process, one task after the other, in the order of submission."""

    capacity = n_cores = 1

    def __init__(self) -> None:
        self._waiting: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        """Queue the task; it runs when its answer is asked for."""
        self._waiting.append(task)

    def next_done(self) -> Done:
        """Run the task that has waited longest."""
        return run_task(self._waiting.popleft())

    def close(self) -> None:
        """Nothing to stop."""


@dataclass(slots=True)
class _Worker:
    process: Any
    pipe: Connection
    task: Task | None = None
    started: float = 0.0
    has_begun: bool = False

    def deadline(self) -> float | None:
        if self.task is None or self.task.timeout_s is None:
            return None
        return self.started + self.task.timeout_s + (0.0 if self.has_begun else START_S)


class Workers:
    """`n_workers` processes, started when first needed and replaced when they die."""

    def __init__(self, n_workers: int, *, preload: Sequence[str] = ()) -> None:
        for name in ONE_THREAD:  # read when numpy is loaded: the processes are the parallelism
            os.environ.setdefault(name, "1")
        self._context: Any = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        if sys.platform == "linux":  # loaded once, then shared by every worker
            self._context.set_forkserver_preload(list(preload))
        self._n_workers = n_workers
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, _Worker] = {}
        self._waiting: deque[Task] = deque()
        self._deaths: dict[Hashable, int] = {}

    @property
    def n_cores(self) -> int:
        """As many as there are workers."""
        return self._n_workers

    @property
    def capacity(self) -> int:
        """One task in each worker and one ready for whichever is free first."""
        return self._n_workers + 1

    def submit(self, task: Task) -> None:
        """Hand the task to an idle worker, or keep it until one is."""
        self._waiting.append(task)
        self._hand_out()

    def next_done(self) -> Done:
        """Wait for an answer, a death or a deadline."""
        while True:
            self._hand_out()
            deadlines = [at for worker in self._busy.values() if (at := worker.deadline()) is not None]
            patience = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
            ready = wait(list(self._busy), patience)
            for pipe in ready:
                done = self._answer(self._busy.pop(pipe))  # type: ignore[call-overload]
                if done is not None:
                    return done
            late = None if ready else self._first_late()
            if late is not None:
                return late

    def close(self) -> None:
        """End every worker: an idle one leaves by itself when its pipe is closed, a busy one is killed."""
        for worker in self._busy.values():
            worker.process.kill()
        for worker in (*self._idle, *self._busy.values()):
            worker.pipe.close()
        for worker in (*self._idle, *self._busy.values()):
            worker.process.join(LEAVE_S)
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
            worker.process.close()
        self._idle, self._busy = [], {}
        self._waiting.clear()

    def _hand_out(self) -> None:
        while self._waiting and (self._idle or len(self._busy) < self._n_workers):
            worker = self._idle.pop() if self._idle else self._start()
            worker.task, worker.started = self._waiting.popleft(), time.monotonic()
            worker.has_begun = False
            self._busy[worker.pipe] = worker
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # died idle: noticed later
                worker.pipe.send(worker.task)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _answer(self, worker: _Worker) -> Done | None:
        task = worker.task
        assert task is not None
        try:
            done: Done | None = worker.pipe.recv()
        except (EOFError, OSError):
            return self._mourn(worker, task)
        if done is None:  # it has loaded what it needs and begins now
            worker.started, worker.has_begun = time.monotonic(), True
            self._busy[worker.pipe] = worker
            return None
        worker.task = None
        self._idle.append(worker)
        return done

    def _mourn(self, worker: _Worker, task: Task) -> Done | None:
        """Try the task of a dead worker again, or give it up."""
        worker.process.join()
        how = worker.process.exitcode
        worker.process.close()
        worker.pipe.close()
        deaths = self._deaths[task.key] = self._deaths.get(task.key, 0) + 1
        if deaths <= RETRIES:
            self._waiting.appendleft(task)
            return None
        cause = signal.Signals(-how).name if how is not None and how < 0 else f"exit code {how}"
        return Done(task, error=SlideError(
            f"the process that counted it died {deaths} times ({cause}); give each worker more memory "
            "or use fewer workers", "E_WORKER"))  # fmt: skip

    def _first_late(self) -> Done | None:
        now = time.monotonic()
        for pipe, worker in self._busy.items():
            at, task = worker.deadline(), worker.task
            if at is not None and at <= now and task is not None:
                del self._busy[pipe]
                worker.process.kill()
                worker.process.join()
                worker.process.close()
                pipe.close()
                return Done(task, seconds=now - worker.started, error=SlideError(
                    f"a step took longer than {task.timeout_s:g} s and was stopped; "
                    "check the disk or the network share it lies on", "E_TIMEOUT"))  # fmt: skip
        return None


def _serve(pipe: Connection) -> None:
    """A worker's life: answer tasks until the other end is gone. Ctrl-C is for the main process to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    settle_in()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            task = pipe.recv()
            pipe.send(None)
            done = run_task(task)
            try:
                pipe.send(done)
            except (TypeError, AttributeError, ValueError) as error:  # an answer that cannot travel
                pipe.send(Done(done.task, error=RuntimeError(f"{done.error or done.value!r}: {error}")))


def settle_in() -> None:
    """Make this process a worker: OpenCV starts no threads of its own, memory goes from block to block."""
    import cv2

    cv2.setNumThreads(1)
    keep_freed()


def make_executor(n_workers: int, *, preload: Sequence[str] = ()) -> Executor:
    """Worker processes, or this very process when one is enough."""
    return Serial() if n_workers <= 1 else Workers(n_workers, preload=preload)
