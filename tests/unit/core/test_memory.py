from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ishcount.core.memory import give_back


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no malloc_trim")
def test_memory_below_what_is_still_used_is_given_back() -> None:
    many = [np.ones(1000) for _ in range(20_000)]  # 160 MB in pieces too small for a mapping of their own
    last = [np.ones(1000) for _ in range(10)]
    del many
    held = resident_mb()
    give_back()
    assert resident_mb() < held - 100
    assert last[0].sum() == 1000
