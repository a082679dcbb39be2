from __future__ import annotations

import pytest

from ishcount.study.cluster import machine_of


@pytest.mark.parametrize(
    ("address", "machine"),
    [
        ("tcp://10.0.0.7:40123", "10.0.0.7"),
        ("tls://node-3.cluster:8786", "node-3.cluster"),
        ("tcp://[fe80::1]:4000", "[fe80::1]"),
    ],
)
def test_workers_of_one_machine_are_known_by_their_address(address: str, machine: str) -> None:
    assert machine_of(address) == machine
