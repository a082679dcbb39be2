"""Bytes of a slide file at a given place, without a shared file position and without a memory map.

A memory map would turn a share that vanishes into a crash of the process (SIGBUS); a positioned read turns it
into an error of one slide. One source may be used by several threads; a process opens its own.
"""

from __future__ import annotations

import io
import os
import re
import stat
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from ishcount.core.errors import SlideError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 256 * 2**10  # fetched at once for small remote reads
SMALL_READ_BYTES = 4096  # a tag or a directory; tiles are larger
MAX_BLOCKS = 16
ATTEMPTS = 4  # a store that is busy answers the second or third time
SILENCE_SECONDS = 30.0  # of a web server, before the attempt counts as failed
RETRY_SECONDS = 0.5  # before the second attempt, doubled each time


class ByteSource(Protocol):
    """Something with a size that answers positioned reads."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; SlideError E_IO when they cannot be had."""

    def expect(self, places: list[tuple[int, int]]) -> None:
        """These (offset, length) are read next: a source with latency fetches them at once."""

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

    def expect(self, places: list[tuple[int, int]]) -> None:
        """Nothing: the operating system reads ahead by itself."""

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


class RemoteFile:
    """A file behind a URL that fsspec knows and that answers ranged reads (`https://`, `s3://`).

    Directories are many small reads, so those go through a few blocks kept in memory; tiles are fetched as
    they are.
    """

    def __init__(self, url: str) -> None:
        fsspec = _fsspec(url)
        self._url = shown(url)
        try:
            self._system, self._path = fsspec.core.url_to_fs(url, **_patience(url))
            size = self._system.info(self._path).get("size")
        except Exception as error:  # each kind of store has its own errors
            raise SlideError(
                f"{self._url!r} cannot be reached ({type(error).__name__}); check the address and the rights",
                "E_IO",
            ) from error
        if size is None:
            raise SlideError(
                f"{self._url!r} does not tell its size; download the slide and open the copy", "E_IO"
            )
        self.size = int(size)
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._ahead: dict[tuple[int, int], bytes] = {}
        self._lock = threading.Lock()

    def read(self, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from `offset`; SlideError E_IO when they cannot be had."""
        with self._lock:
            ready = self._ahead.pop((offset, length), None)
        if ready is not None:
            return ready
        if length > SMALL_READ_BYTES or offset + length > self.size:
            return self._fetch(offset, length)
        first, last = offset // BLOCK_BYTES, (offset + length - 1) // BLOCK_BYTES
        data = b"".join(self._block(number) for number in range(first, last + 1))
        return data[offset - first * BLOCK_BYTES :][:length]

    def expect(self, places: list[tuple[int, int]]) -> None:
        """Fetch all places at the same time; one that fails is fetched again, and reported, when it is
        read.
        """
        starts, ends = [start for start, _ in places], [start + length for start, length in places]
        try:
            found = self._system.cat_ranges([self._path] * len(places), starts, ends, on_error="return")
        except Exception:  # a store without ranges in parallel: each is read in its turn
            return
        with self._lock:
            self._ahead = {
                place: data
                for place, data in zip(places, found, strict=True)
                if isinstance(data, bytes) and len(data) == place[1]
            }

    def _block(self, number: int) -> bytes:
        with self._lock:
            if number not in self._blocks:
                start = number * BLOCK_BYTES
                self._blocks[number] = self._fetch(start, min(BLOCK_BYTES, self.size - start))
                while len(self._blocks) > MAX_BLOCKS:
                    self._blocks.popitem(last=False)
            self._blocks.move_to_end(number)
            return self._blocks[number]

    def _fetch(self, offset: int, length: int) -> bytes:
        for attempt in range(ATTEMPTS):
            try:
                data: bytes = self._system.cat_file(self._path, start=offset, end=offset + length)
                break
            except Exception as error:  # each kind of store has its own errors
                if attempt == ATTEMPTS - 1:
                    raise SlideError(
                        f"{self._url!r} stopped answering ({type(error).__name__}); "
                        "check the network and run again",
                        "E_IO",
                    ) from error
                time.sleep(RETRY_SECONDS * 2**attempt)
        if len(data) != length:
            raise SlideError(
                f"{self._url!r} gave {len(data)} bytes where {length} were asked for (no ranges, or the "
                "file changed); download the slide and open the copy",
                "E_IO",
            )
        return data

    def close(self) -> None:
        """Forget the blocks; connections belong to fsspec."""
        self._blocks.clear()
        self._ahead.clear()


def _fsspec(url: str) -> Any:
    try:
        import fsspec
        import fsspec.core
    except ImportError as error:
        raise SlideError(
            f"{shown(url)!r} is a URL; install what reads them: pip install 'ishcount[remote]'", "E_IO"
        ) from error
    return fsspec


def _patience(url: str) -> dict[str, Any]:
    """Options that end the waiting for a web server that went silent (others bring their own)."""
    if not url.startswith(("http://", "https://")):
        return {}
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE_SECONDS, sock_read=SILENCE_SECONDS)
    return {"client_kwargs": {"timeout": timeout}}


def shown(path: str) -> str:
    """The path or URL as it may be printed: without user, password and query, which may hold keys."""
    if not is_url(path):
        return path
    parts = urlsplit(path)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def is_url(path: str) -> bool:
    """Whether `path` names a remote file, like `https://host/slide.svs`. A Windows drive is no scheme."""
    scheme, mark, _ = path.partition("://")
    return bool(mark) and len(scheme) > 1 and scheme.isalnum()


def address(path: str | os.PathLike[str] | bytes) -> str:
    """The text of a path or URL; `pathlib` folds the two slashes of a URL into one, which is undone here."""
    return re.sub(r"^(https?|s3|gs|gcs|abfs|az):/(?=[^/])", r"\1://", os.fsdecode(path))


def open_source(path: str) -> LocalFile | RemoteFile:
    """The bytes behind a path or URL; SlideError E_IO when there are none."""
    return RemoteFile(path) if is_url(path) else LocalFile(path)


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
