"""Bytes of a slide file at a given place, without a shared file position and without a memory map.

A memory map would turn a share that vanishes into a crash of the process (SIGBUS); a positioned read turns it
into an error of one slide. One source may be used by several threads; a process opens its own.
"""

from __future__ import annotations

import io
import os
import stat
import threading
from typing import TYPE_CHECKING, Protocol

from ishcount.core.errors import SlideError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class ByteSource(Protocol):
    """Something with a size that answers positioned reads."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; SlideError E_IO when they cannot be had."""

    def close(self) -> None:
        """Give the handle back; twice is allowed."""


class LocalFile:
    """A regular file on this machine or on a mounted share."""

    def __init__(self, path: str) -> None:
        try:
            # Looked at before opening: opening a named pipe would wait for a writer for ever.
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise SlideError(f"{path!r} is not a regular file; give the path of a slide file", "E_IO")
            self._handle = os.open(
                path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SlideError(
                f"{path!r} cannot be opened: {reason}; check the path and the rights", "E_IO"
            ) from error
        self._path = path
        self._lock = threading.Lock()
        self.size = os.fstat(self._handle).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; SlideError E_IO when they cannot be had."""
        try:
            data = self._read_at(offset, length)
            while 0 < len(data) < length and (more := self._read_at(offset + len(data), length - len(data))):
                data += more
        except (OSError, OverflowError) as error:
            raise SlideError(
                f"{self._path!r} stopped answering ({error}); check the disk or share and run again", "E_IO"
            ) from error
        if len(data) < length:
            raise SlideError(
                f"{self._path!r} became shorter while it was read ({len(data)} of {length} bytes came); "
                "restore the file and run again",
                "E_IO",
            )
        return data

    def _read_at(self, offset: int, length: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._handle, length, offset)
        with self._lock:  # Windows has no positioned read
            os.lseek(self._handle, offset, os.SEEK_SET)
            return os.read(self._handle, length)

    def close(self) -> None:
        """Give the handle back; twice is allowed."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


class SourceFile(io.RawIOBase):
    """A source in the shape of a file, for tifffile. Reads past the end are short, so no count in a damaged
    header can make it allocate more than the file holds.
    """

    name = "slide"

    def __init__(self, source: ByteSource) -> None:
        super().__init__()
        self._source = source
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset` from the start, the position or the end."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._source.size}[whence]
        if start + offset < 0:
            raise OSError(f"a position of {start + offset} bytes lies before the file")
        self._position = start + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, fewer at the end of the file."""
        left = max(0, self._source.size - self._position)
        length = left if size is None or size < 0 else min(size, left)
        data = self._source.read(self._position, length) if length else b""
        self._position += length
        return data

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer`; the number of bytes put there."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)
