"""Memory that was freed: kept for the next block, given back after the slide."""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

# Of glibc's mallopt: where a mapping of its own begins (32 MB is the most it takes), what is kept at the top
# of the heap, what is asked for beyond a need.
_KEPT = ((-3, 32 << 20), (-1, 256 << 20), (-2, 64 << 20))


def keep_freed() -> None:
    """Let this process use the memory of one block for the next instead of asking the system for new pages.

    Asking anew is a tenth to a fifth of counting, and two fifths in Dask's workers: they are started with
    MALLOC_TRIM_THRESHOLD_, which gives every array of more than 128 kB a mapping of its own. Other systems
    than Linux with glibc stay as they are.
    """
    if sys.platform == "linux":
        tune = getattr(ctypes.CDLL(None), "mallopt", None)
        if tune is not None:
            for what, n_bytes in _KEPT:
                tune(what, n_bytes)


def give_back() -> None:
    """Let go of what the allocators of this process keep: 240 of 640 MB after a slide of 419 megapixels.

    Other systems than Linux (with glibc) do so by themselves, or not at all.
    """
    arrow = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def let_go(array: Any) -> None:
    """Take an array on disk (`core.files.map_array`) out of memory; it comes back where it is read again."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    if array is not None and hasattr(mmap, "MADV_DONTNEED"):
        array.madvise(mmap.MADV_DONTNEED)
