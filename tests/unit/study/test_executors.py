"""Who does the work: the same answers everywhere, and a lost worker costs one task a retry."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ishcount.core.errors import SlideError
from ishcount.study.executors import Done, Executor, Serial, Task, Workers
from tests.unit.study import study_tasks as tasks


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers(2)
    yield pool
    pool.close()


def run(executor: Executor, *given: Task) -> dict[object, Done]:
    for task in given:
        executor.submit(task)
    return {done.task.key: done for done in (executor.next_done() for _ in given)}


def test_serial_and_workers_give_the_same_answers(workers: Workers) -> None:
    given = [Task(n, tasks.double, (n,)) for n in range(20)]
    expected = {n: 2 * n for n in range(20)}
    for executor in (Serial(), workers):
        assert {key: done.value for key, done in run(executor, *given).items()} == expected


def test_an_error_comes_back_with_its_code(workers: Workers) -> None:
    for executor in (Serial(), workers):
        error = run(executor, Task("a", tasks.refuse, ("E_TILE",)))["a"].error
        assert isinstance(error, SlideError)
        assert (error.code, str(error)) == ("E_TILE", "the slide is bad; scan it again")


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
@pytest.mark.parametrize("death", [tasks.die_by_signal, tasks.exit_at_once, tasks.read_address_zero])
def test_a_task_that_kills_its_worker_loses_no_other_task(workers: Workers, death: object) -> None:
    given = [Task(n, tasks.double, (n,)) for n in range(10)]
    done = run(workers, *given[:5], Task("deadly", death), *given[5:])  # type: ignore[arg-type]
    error = done.pop("deadly").error
    assert isinstance(error, SlideError)
    assert error.code == "E_WORKER"
    assert "died 3 times" in str(error)
    assert {key: answer.value for key, answer in done.items()} == {n: 2 * n for n in range(10)}


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_a_task_whose_worker_was_killed_once_is_done_again(workers: Workers, tmp_path: Path) -> None:
    assert run(workers, Task("a", tasks.die_once, (tmp_path / "mark",)))["a"].value == "alive"


def test_a_task_that_hangs_is_stopped_and_the_others_go_on(workers: Workers) -> None:
    start = time.monotonic()
    given = [Task(n, tasks.double, (n,)) for n in range(4)]
    done = run(workers, Task("hangs", tasks.sleep, (600.0,), timeout_s=1.0), *given)
    error = done["hangs"].error
    assert isinstance(error, SlideError)
    assert error.code == "E_TIMEOUT"
    assert [done[n].value for n in range(4)] == [0, 2, 4, 6]
    assert time.monotonic() - start < 60


def test_an_answer_that_cannot_travel_is_an_error_and_not_a_hang(workers: Workers) -> None:
    assert isinstance(run(workers, Task("a", tasks.unpicklable))["a"].error, RuntimeError)


def test_closing_ends_every_worker(workers: Workers) -> None:
    run(workers, *[Task(n, tasks.double, (n,)) for n in range(4)])
    workers.submit(Task("long", tasks.sleep, (600.0,)))
    processes = [worker.process for worker in [*workers._idle, *workers._busy.values()]]
    pids = [process.pid for process in processes]
    assert pids
    workers.close()
    with pytest.raises(ValueError, match="closed"):
        processes[0].is_alive()
