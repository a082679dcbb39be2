from __future__ import annotations

import os
import subprocess
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


REPEATED = """
import resource, sys
import numpy as np
from ishcount.core.memory import keep_freed
if sys.argv[1] == "kept":
    keep_freed()
np.ones(2_000_000, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    np.ones(2_000_000, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no mallopt")
def test_memory_of_one_block_serves_the_next_even_where_dask_s_nanny_tuned_the_allocator() -> None:
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    as_found, kept = (
        int(subprocess.check_output([sys.executable, "-c", REPEATED, how], env=environment))
        for how in ("as found", "kept")
    )
    assert as_found > 50 * 400  # each array of 2 MB is some 490 new pages
    assert kept < 1000
