"""The front door: ten names, quick to import, and nothing that opens a window or draws behind it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import ishcount

HEAVY = (
    "napari",
    "qtpy",
    "PySide6",
    "PyQt6",
    "matplotlib",
    "torch",
    "onnxruntime",
    "dask",
    "distributed",
    "pandas",
)


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def best_of(n: int, code: str) -> float:
    timed = f"import time; s = time.perf_counter(); {code}; print(time.perf_counter() - s)"
    return min(float(fresh(timed)) for _ in range(n))


def test_the_front_door_has_these_names_and_no_other() -> None:
    assert set(ishcount.__all__) == {
        "IshcountError", "Params", "SlideResult", "__version__", "apply_review", "compare_groups",
        "count_slide", "load_result", "open_slide", "run_study", "write_report",
    }  # fmt: skip
    assert dir(ishcount) == sorted(ishcount.__all__)


@pytest.mark.parametrize("name", ishcount.__all__)
def test_every_name_of_the_front_door_is_there_and_explained(name: str) -> None:
    value = getattr(ishcount, name)
    assert value is not None
    assert name == "__version__" or value.__doc__


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'count_everything'"):
        ishcount.count_everything  # noqa: B018


def test_importing_takes_under_half_a_second_and_loads_nothing_heavy() -> None:
    assert best_of(3, "import ishcount") < 0.5
    loaded = json.loads(fresh("import ishcount, sys, json; print(json.dumps(sorted(sys.modules)))"))
    assert [name for name in HEAVY if name in loaded] == []


def test_help_takes_under_four_tenths_of_a_second() -> None:
    code = (
        "import sys; sys.argv = ['ishcount', '--help']; import contextlib, io, ishcount.cli as cli\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): cli.main()\n"
        "print(time.perf_counter() - s)"
    )
    timed = f"import time; s = time.perf_counter()\n{code}"
    assert min(float(fresh(timed)) for _ in range(3)) < 0.4


def test_counting_needs_no_window_no_plots_and_no_model_runtime() -> None:
    loaded = json.loads(fresh("import ishcount.quantify, sys, json; print(json.dumps(sorted(sys.modules)))"))
    assert [name for name in HEAVY[:8] if name in loaded] == []
