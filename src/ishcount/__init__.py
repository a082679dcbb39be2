"""The front door: positive cells per mm2 from chromogenic RNA in situ hybridisation.

Names are loaded when they are first used, so `import ishcount` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ishcount._version import __version__

if TYPE_CHECKING:
    from ishcount.core.errors import IshcountError
    from ishcount.params import Params
    from ishcount.quantify import count_slide
    from ishcount.report.write import write_report
    from ishcount.result import SlideResult, load_result
    from ishcount.review.apply import apply_review
    from ishcount.slide.open import open_slide
    from ishcount.stats.compare import compare_groups
    from ishcount.study.run import run_study

__all__ = [
    "IshcountError",
    "Params",
    "SlideResult",
    "__version__",
    "apply_review",
    "compare_groups",
    "count_slide",
    "load_result",
    "open_slide",
    "run_study",
    "write_report",
]

_HOME = {
    "IshcountError": "core.errors",
    "Params": "params",
    "SlideResult": "result",
    "apply_review": "review.apply",
    "compare_groups": "stats.compare",
    "count_slide": "quantify",
    "load_result": "result",
    "open_slide": "slide.open",
    "run_study": "study.run",
    "write_report": "report.write",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ishcount' has no attribute {name!r}")
    value = getattr(import_module(f"ishcount.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
