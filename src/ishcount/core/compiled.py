"""`njit` for every compiled kernel: cached on disk, with a temporary place where home cannot be written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def _cache_folder() -> str | None:
    """Where numba may keep compiled code, or None when its own choice (beside the source) works."""
    if os.access(Path(__file__).parent, os.W_OK):
        return None
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    for folder in (
        home / "ishcount" / "numba",
        Path(tempfile.gettempdir()) / f"ishcount-numba-{getattr(os, 'getuid', str)()}",
    ):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return tempfile.mkdtemp(prefix="ishcount-numba-")


def njit(function: Function) -> Function:
    """Compile `function` for the machine at its first call and keep the result on disk."""
    if "NUMBA_CACHE_DIR" not in os.environ and (folder := _cache_folder()):
        os.environ["NUMBA_CACHE_DIR"] = folder
    import numba

    compiled: Any = numba.njit(cache=True, nogil=True)(function)
    return cast(Function, compiled)
