"""What every test may ask for: a seeded generator, the real images, the project's own texts."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

# The machine that runs the tests may be busy; a slow example is no failure.
settings.register_profile(
    "ishcount", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.load_profile("ishcount")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that open a window are skipped, with the reason, where there is nothing to open it on."""
    if importlib.util.find_spec("napari") is None:
        reason = "the napari extra is not installed"
    elif sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        reason = "no display (run under xvfb-run)"
    else:
        return
    for item in items:
        if item.get_closest_marker("gui"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20261122)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images; the test is skipped where there is none."""
    folder = os.environ.get("ISHCOUNT_REAL_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ISHCOUNT_REAL_DATA names no folder of real images")
    return Path(folder)


@pytest.fixture(scope="session")
def readme() -> str:
    """The text of README.md."""
    return (ROOT / "README.md").read_text(encoding="utf-8")
