import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from pigan.evaluation.intervals import half_samples, mean_of, normal, spread_of_halves, wilson


@pytest.mark.parametrize(("seen", "count"), [(0, 5), (3, 5), (5, 5), (17, 100), (512, 512)])
def test_wilson_agrees_with_scipy(seen, count):
    expected = binomtest(seen, count).proportion_ci(0.95, method="wilson")
    assert wilson(seen / count, count) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_normal_interval_holds_95_percent():
    low, high = normal(3.0, 2.0)
    assert norm.cdf(high, 3, 2) - norm.cdf(low, 3, 2) == pytest.approx(0.95, abs=1e-6)


@pytest.mark.parametrize("count", [4, 5, 31])
def test_halves_spread_as_the_mean_does(count):
    rng = np.random.default_rng(0)
    things = rng.normal(size=count)
    halves = list(half_samples(count, 4000, rng))
    assert all(len(half) == count // 2 == len(set(half)) for half in halves)
    spread = spread_of_halves(np.array([things[half].mean() for half in halves]), count)
    assert spread == pytest.approx(things.std(ddof=1) / math.sqrt(count), rel=0.05)


def test_two_halves_are_enough_for_a_spread():
    assert spread_of_halves(np.array([1.0, 3.0]), 4) == pytest.approx(math.sqrt(2))
    # a half of three is one, whose mean is off by more
    assert spread_of_halves(np.array([1.0, 3.0]), 3) == pytest.approx(math.sqrt(2) * math.sqrt(1 / 2))


def test_the_interval_of_a_mean_is_students() -> None:
    found = mean_of(np.array([1.0, 2.0, 3.0, np.nan]))
    assert found is not None and found.interval is not None
    assert found.value == 2
    # t of 2 degrees of freedom at 97.5 %, times 1 / sqrt(3)
    assert found.interval == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), rel=1e-6)


def test_one_value_has_no_interval_and_none_has_no_mean() -> None:
    assert mean_of(np.array([4.0])) == (4, None)
    assert mean_of(np.array([np.nan])) is None
    assert mean_of(np.empty(0)) is None


def test_intervals_hold_the_mean_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    found = [mean_of(random.exponential(1, 24)) for _ in range(1000)]
    assert 0.9 < np.mean([low < 1 < high for _, (low, high) in found]) < 0.97
