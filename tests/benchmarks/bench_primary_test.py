"""Size and power of the primary test by simulation on gamma-Poisson densities, beside three others.

    python tests/benchmarks/bench_primary_test.py [--simulations 10000]

Prints the environment, then a table per scenario. Fails when the size of the primary test under one law
exceeds .06.
"""

from __future__ import annotations

import argparse
import platform
import time

import numpy as np
import scipy

from ishcount._version import __version__
from ishcount.stats.bootstrap import bca_difference
from ishcount.stats.means import welch
from ishcount.stats.permutation import permutation_test
from ishcount.stats.power import TESTS, Scenario, draw_densities, simulate_power
from ishcount.stats.settings import StatisticsParams

SIZES = range(5, 13)
LARGEST_SIZE = 0.06
SCENARIOS = {
    "one law, near zero (0.6, CV 1.5)": Scenario(0.6, 0.6, 1.5, 1.5),
    "one law, paper-like cases (8.72, CV 1.1)": Scenario(8.72, 8.72, 1.1, 1.1),
    "equal means 8.72, CV 1.5 against 0.5": Scenario(8.72, 8.72, 1.5, 0.5),
    "IFNG-like (8.72, CV 1.1 against 0.6)": Scenario(8.72, 0.6, 1.1, 1.5),
    "IL15-like (14.13, CV 1.56 against 0.6)": Scenario(14.13, 0.6, 1.56, 1.5),
}


def print_coverage(simulations: int) -> None:
    """Share of nominal 95 % intervals of the difference that hold the true one, 12 against 12."""
    settings = StatisticsParams(exact_limit=1_000, n_permutations=1_999, n_bootstrap=2_000)
    print(f"\nshare of 95 % intervals that hold the true difference, 12 against 12, {simulations} studies")
    for name in [name for name in SCENARIOS if "-like (" in name]:
        s, generator, held = SCENARIOS[name], np.random.default_rng(settings.seed), np.zeros(3)
        for _ in range(simulations):
            x = draw_densities(generator, s.mean_case, s.cv_case, s.area_mm2, (1, 12))[0].tolist()
            y = draw_densities(generator, s.mean_control, s.cv_control, s.area_mm2, (1, 12))[0].tolist()
            found = (
                permutation_test(x, y, settings=settings),
                welch(x, y),
                bca_difference(x, y, settings=settings),
            )
            limits = [entry["ci"] or [np.nan, np.nan] for entry in found]
            held += [low <= s.mean_case - s.mean_control <= high for low, high in limits]
        permutation, plain, bca = held / simulations
        print(f"{name}: permutation {permutation:.3f}, Welch {plain:.3f}, BCa {bca:.3f}")


def main() -> int:
    """Print the tables; 1 when the primary test rejects too often under one law."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--simulations", type=int, default=10_000, help="simulated studies per number (default 10000)"
    )
    simulations = parser.parse_args().simulations
    print(f"ishcount {__version__}, Python {platform.python_version()}")
    print(f"numpy {np.__version__}, scipy {scipy.__version__}")
    error = np.sqrt(0.05 * 0.95 / simulations)
    print(f"{simulations} studies per number, 10 mm2 per patient; standard error at .05: {error:.4f}")
    start, too_often = time.perf_counter(), []
    for name, scenario in SCENARIOS.items():
        print(f"\nshare of studies with P <= .05: {name}")
        print("n per group  " + "".join(f"{test:>14}" for test in TESTS))
        for n in SIZES:
            shares = [
                simulate_power(scenario, n, n, test=t, n_simulations=simulations)["estimate"] for t in TESTS
            ]
            print(f"{n:11d}  " + "".join(f"{share:14.3f}" for share in shares))
            if name.startswith("one law") and shares[0] > LARGEST_SIZE:
                too_often.append((name, n, shares[0]))
    print_coverage(max(100, simulations // 10))
    print(f"\n{time.perf_counter() - start:.0f} s")
    for name, n, share in too_often:
        print(f"TOO OFTEN: {name}, n = {n}: {share:.3f} > {LARGEST_SIZE}")
    print(
        "size of the primary test under one law: " + ("FAIL" if too_often else f"at most {LARGEST_SIZE}, ok")
    )
    return 1 if too_often else 0


if __name__ == "__main__":
    raise SystemExit(main())
