"""Intervals of 95 % around measured values, and means that have one."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.special import stdtrit

Interval = tuple[float, float]

CONFIDENCE = 0.95
# standard deviations of a normal distribution that hold 95 %
DEVIATIONS = 1.959964

# what is within 0..1, and what is not below 0: names of metrics, or how those of an extractor begin
SHARES = ("precision", "recall", "memorisation", "visible_share", "hollow_share", "empty_rays", "depth_delta")
NOT_NEGATIVE = (
    *("fid", "inception_score", "reprojection_error", "depth_reprojection_error", "depth_consistency"),
    *("depth_variance", "depth_rmse", "depth_abs_rel", "depth_zscore_mse", "depth_estimated_zscore_mse"),
    *("normal_error", "pose_error"),
)


class Estimate(NamedTuple):
    """A mean over independent things (views, objects), and its interval of 95 %; None: there is but one thing."""

    value: float
    interval: Interval | None


def normal(value: float, deviation: float) -> Interval:
    """The interval of a value whose error is normal with this standard deviation."""
    return value - DEVIATIONS * deviation, value + DEVIATIONS * deviation


def wilson(share: float, count: int) -> Interval:
    """Wilson's interval of a share (0..1) that was seen in `count` independent trials; never leaves 0..1.

    >>> [tuple(round(end, 3) for end in wilson(0.9, count)) for count in (10, 1000)]
    [(0.596, 0.982), (0.88, 0.917)]
    """
    squared = DEVIATIONS**2 / count
    middle = (share + squared / 2) / (1 + squared)
    half = DEVIATIONS / (1 + squared) * math.sqrt(share * (1 - share) / count + squared / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def half_samples(count: int, replicates: int, rng: np.random.Generator) -> Iterator[Int64[np.ndarray, "half"]]:
    """Random halves of `count` things, without replacement: resamples in which nothing is there twice."""
    return (rng.permutation(count)[: count // 2] for _ in range(replicates))


def spread_of_halves(replicates: Float64[np.ndarray, "n"], count: int) -> float:
    """Standard deviation of a value of `count` things, from its values for two or more of their `half_samples`.

    The mean of a random half deviates from the mean of all exactly as much as the latter from the truth.
    """
    half = count // 2
    return float(replicates.std(ddof=1)) * math.sqrt(half / (count - half))


def mean_of(values: Float[np.ndarray, "n"]) -> Estimate | None:
    """Mean of the finite `values` with Student's t-interval of 95 %; None when there are none.

    The interval says how far the mean would move with other views or objects of the same kind. It takes means of a
    few dozen values as normal, which costs skewed errors little, and it needs no random numbers.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    if not len(finite):
        return None
    value = float(finite.mean())
    if len(finite) == 1:
        return Estimate(value, None)
    half = float(stdtrit(len(finite) - 1, (1 + CONFIDENCE) / 2) * finite.std(ddof=1) / math.sqrt(len(finite)))
    return Estimate(value, (value - half, value + half))


def bounds_of(key: str) -> tuple[float, float]:
    """The least and the largest value that a metric can have."""

    def is_one_of(names: tuple[str, ...]) -> bool:
        return any(f"{key}_".startswith(f"{name}_") for name in names)

    return (0.0 if is_one_of(SHARES + NOT_NEGATIVE) else -math.inf), (1.0 if is_one_of(SHARES) else math.inf)


def bounded(interval: Interval, key: str) -> Interval:
    """The interval as far as the metric called `key` reaches.

    >>> bounded((-0.2, 0.5), "depth_zscore_mse"), bounded((-0.2, 0.5), "kid_clip")
    ((0.0, 0.5), (-0.2, 0.5))
    """
    low, high = bounds_of(key)
    return max(low, interval[0]), min(high, interval[1])
