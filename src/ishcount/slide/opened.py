"""What the readers have in common: size, closing, and the way to another process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from ishcount.slide.protocol import Level


class OpenedSlide(ABC):
    """A slide with its levels, and how to open it again. See `Slide` for what the members mean."""

    levels: tuple[Level, ...]
    _reopen: tuple[Callable[..., Any], tuple[Any, ...]]

    @property
    def width(self) -> int:
        """Columns of level 0."""
        return self.levels[0].width

    @property
    def height(self) -> int:
        """Rows of level 0."""
        return self.levels[0].height

    @abstractmethod
    def close(self) -> None:
        """Give the file back; twice is allowed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Pickle as the way to open the slide again (an array travels whole)."""
        return self._reopen
