"""One run at a time in an output folder.

The lock is the operating system's (`flock`, or `msvcrt` on Windows) on a file that stays: it ends with its
holder, also after kill -9 or a power cut, so nothing stale is ever left. On a file system that knows no locks
(some network shares) a file made exclusively and touched every `BEAT_S` seconds takes its place; one that has
not been touched for `STALE_S` seconds is dead.

A whole run holds `run.lock`. A shard holds `shard-I-of-N.lock`, and `run.lock` only for the moment in which
it takes its own; a whole run refuses to start while any shard's lock is held.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ishcount.core.errors import LockedError, OutputError

BEAT_S = 10.0
STALE_S = 120.0
SHARD_PATIENCE_S = 10.0
"""How long a shard waits for other shards that are just starting."""
_NO_LOCKS_HERE = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_LOCK_BYTE = 1 << 30  # far behind the text, which Windows would not let others read otherwise


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index` (from 1) of `count` of a study's slides."""

    index: int
    count: int

    @property
    def name(self) -> str:
        """How the shard's lock is called."""
        return f"shard-{self.index}-of-{self.count}"


@contextlib.contextmanager
def locked(state: Path, shard: Shard | None = None) -> Iterator[None]:
    """Hold the folder `state` (OUT/.ishcount) for this run; LockedError names whoever holds it."""
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{error.strerror}; choose another -o folder"
        raise OutputError(f"cannot make {str(state)!r}: {reason}") from error
    with contextlib.ExitStack() as held:
        with contextlib.ExitStack() as door:
            _take_main(state, door, patience_s=SHARD_PATIENCE_S)
            _refuse_other_shards(state, shard)
            if shard is None:
                held.push(door.pop_all())
            elif not held.enter_context(_try_lock(state / f"{shard.name}.lock")):
                raise _in_use(state / f"{shard.name}.lock")
        yield


def _take_main(state: Path, door: contextlib.ExitStack, *, patience_s: float) -> None:
    """Hold `run.lock`; wait only for a shard that is just passing through."""
    path = state / "run.lock"
    until = time.monotonic() + patience_s
    while not door.enter_context(_try_lock(path)):
        passing = "--shard" in _holder(path).get("command", [])
        if not passing or time.monotonic() > until:
            raise _in_use(path)
        time.sleep(0.05)


def _refuse_other_shards(state: Path, shard: Shard | None) -> None:
    """A whole run waits for every shard to end; a shard for those of another division."""
    for path in sorted(state.glob("shard-*-of-*.lock")):
        if shard is not None and path.name.endswith(f"-of-{shard.count}.lock"):
            continue
        with _try_lock(path, note=False) as free:
            if not free:
                raise _in_use(path)


def _in_use(path: Path) -> LockedError:
    holder = _holder(path)
    who = f"process {holder['pid']} on {holder['host']} since {holder['since']}" if holder else "another run"
    return LockedError(
        f"{str(path.parent.parent)!r} is in use by {who}; wait for it to end or choose another -o folder"
    )


def _holder(path: Path) -> dict[str, list[str]]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and {"pid", "host", "since"} <= set(content) else {}


def _note() -> bytes:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    content = {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "command": sys.argv[1:]}
    return json.dumps(content).encode("utf-8", "replace")


@contextlib.contextmanager
def _try_lock(path: Path, *, note: bool = True) -> Iterator[bool]:
    """True while the lock on `path` is ours, False when somebody else has it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        reason = f"{error.strerror}; check the folder's rights"
        raise OutputError(f"cannot write {str(path)!r}: {reason}") from error
    try:
        got = _os_lock(handle)
        if got is None:
            with _beating_file(path.with_suffix(".held")) as ours:
                yield ours
            return
        if got and note:
            os.ftruncate(handle, 0)
            os.write(handle, _note())
        yield got
    finally:
        os.close(handle)


def _os_lock(handle: int) -> bool | None:
    """Whether the system gave us the lock; None where the file system has no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, _LOCK_BYTE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            os.lseek(handle, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS_HERE:
            return None
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        raise
    return True


@contextlib.contextmanager
def _beating_file(path: Path) -> Iterator[bool]:
    """The lock of last resort: an exclusively made file, touched for as long as we live."""
    _bury(path)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        yield False
        return
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_S):
            with contextlib.suppress(OSError):
                os.utime(path)

    heart = threading.Thread(target=beat, daemon=True)
    heart.start()
    try:
        os.write(handle, _note())
        os.close(handle)
        yield True
    finally:
        ended.set()
        heart.join()
        path.unlink(missing_ok=True)


def _bury(path: Path) -> None:
    """Move a dead holder's file away; whoever moved a living one by mistake puts it back."""
    with contextlib.suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime < STALE_S:
            return
        grave = path.with_name(f"{path.name}.{os.getpid()}")
        os.replace(path, grave)
        if time.time() - grave.stat().st_mtime < STALE_S:
            with contextlib.suppress(OSError):
                os.link(grave, path)
        grave.unlink()
