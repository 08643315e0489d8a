import math
import os

import pytest

from pigan.data.parallel import ordered_map
from pigan.errors import PiganError


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_jobs(workers: int) -> None:
    jobs = [float(number) for number in range(40)]
    assert list(ordered_map(math.sqrt, jobs, workers, batch=3)) == [math.sqrt(number) for number in jobs]


def test_error_in_a_worker_reaches_the_caller() -> None:
    with pytest.raises(ValueError, match=r"math domain|nonnegative"):
        list(ordered_map(math.sqrt, [1.0, -1.0, 4.0, 9.0], 2, batch=1))


def test_worker_that_dies_is_told_in_one_line() -> None:
    with pytest.raises(PiganError, match="a worker process died") as caught:
        list(ordered_map(os._exit, [1] * 8, 2, batch=1))
    assert "\n" not in str(caught.value)
