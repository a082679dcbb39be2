"""Memory that was freed but is still held, given back: a worker outlives hundreds of slides."""

from __future__ import annotations

import ctypes
import sys


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
