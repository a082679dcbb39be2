from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from ishcount.quantify.measure import in_turn, made_ahead


@pytest.mark.parametrize("n_threads", [1, 3])
def test_answers_come_in_the_order_of_the_blocks_and_few_are_held(n_threads: int) -> None:
    lock, alive, most = threading.Lock(), [0], [0]

    def page(block: int) -> int:
        with lock:
            alive[0] += 1
            most[0] = max(most[0], alive[0])
        time.sleep(0.002 * (block % 3))
        return block

    answers = []
    with ThreadPoolExecutor(n_threads) as threads:
        for answer in in_turn(page, range(20), threads, n_threads):  # type: ignore[arg-type]
            answers.append(answer)
            with lock:
                alive[0] -= 1
    assert answers == list(range(20))
    assert most[0] <= n_threads + 1


def test_rows_are_made_one_ahead_and_their_errors_arrive() -> None:
    made = []

    def rows() -> Iterator[str]:
        for name in "abc":
            made.append(name)
            yield name
        raise ValueError("damaged")

    with ThreadPoolExecutor(1) as threads:
        coming = made_ahead(rows(), threads)
        assert next(coming) == "a"
        threads.submit(int).result()  # whatever was handed out before is done now
        assert made == ["a", "b"]
        assert [next(coming), next(coming)] == ["b", "c"]
        with pytest.raises(ValueError, match="damaged"):
            next(coming)
