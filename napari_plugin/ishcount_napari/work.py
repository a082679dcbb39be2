"""Work in a thread: one piece at a time, which can be stopped, and is not heard of after that."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from napari.qt.threading import create_worker


@dataclass(frozen=True)
class _Failed:
    error: Exception


class Work:
    """The piece of work in hand. A widget that closes calls `stop`: nothing of it is touched afterwards."""

    def __init__(self) -> None:
        """Nothing in hand."""
        self._worker: Any = None

    @property
    def is_running(self) -> bool:
        """Whether something is in hand."""
        return self._worker is not None

    def start(
        self,
        function: Callable[..., Any],
        *args: Any,
        done: Callable[[Any], object],
        failed: Callable[[Exception], object],
        progress: Callable[[Any], object] | None = None,
    ) -> None:
        """Call a function, or run a generator through, in a thread; what was in hand is stopped first.

        done, failed, progress: told the result, the error, or what the generator yields, in the main thread.
        """
        self.stop()
        worker = create_worker(_guarded(function), *args)
        self._worker = worker

        def heard(act: Callable[[Any], object], *, last: bool = True) -> Callable[[Any], None]:
            def hear(found: Any) -> None:
                if self._worker is worker:
                    self._worker = None if last else worker
                    act(found)

            return hear

        def over(found: Any) -> None:
            if isinstance(found, _Failed):
                failed(found.error)
            else:
                done(found)

        worker.returned.connect(heard(over))
        if progress is not None:
            worker.yielded.connect(heard(progress, last=False))
        worker.start()

    def stop(self) -> None:
        """Stop at the next step, and forget."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.quit()


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with what it raises given back: napari 0.9.2 itself stumbles over a worker that raises."""
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def through(*args: Any) -> Any:
            try:
                return (yield from function(*args))
            except Exception as error:
                return _Failed(error)

        return through

    @wraps(function)
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except Exception as error:
            return _Failed(error)

    return call
