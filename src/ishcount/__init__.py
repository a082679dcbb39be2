"""The front door: positive cells per mm2 from chromogenic RNA in situ hybridisation.

Names are loaded when they are first used, so `import ishcount` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ishcount._version import __version__

if TYPE_CHECKING:
    from ishcount.core.errors import IshcountError as IshcountError

_HOME = {
    "IshcountError": "ishcount.core.errors",
}

__all__ = ["IshcountError", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ishcount' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
