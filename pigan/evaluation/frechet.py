"""Fréchet distance (FID) of features: its value, its interval, and its value at infinitely many images."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.linalg import lapack

from pigan.evaluation.intervals import Interval, half_samples, normal, spread_of_halves

# smallest subset of an extrapolation, share of the images; with fewer, FID bends away from a line in 1 / count
SMALLEST_SUBSET = 0.5


class Statistics(NamedTuple):
    """A Gaussian fitted to features."""

    mean: Float64[np.ndarray, "d"]
    covariance: Float64[np.ndarray, "d d"]


class Projected(NamedTuple):
    """Generated features made ready to be compared, in any choice of them, with one real Gaussian.

    With the real covariance T = L L^T, the covariance S of chosen images gives tr sqrt(S T) = tr sqrt(L^T S L), and
    L^T S L is the covariance of the same rows of `rows`. Its eigenvalues but for zeros are those of the doubly centred
    Gram matrix of these rows, which is the smaller one where there are fewer images than columns.
    """

    centred: Float64[np.ndarray, "n d"]
    """Features relative to their own mean."""
    squares: Float64[np.ndarray, "n"]
    """Squared lengths of `centred`."""
    offset: Float64[np.ndarray, "d"]
    """Their mean relative to the real one."""
    rows: Float64[np.ndarray, "n rank"]
    """`centred` times L."""
    gram: Float64[np.ndarray, "n n"] | None
    """`rows` times their transpose, where half of the images are no more than the columns."""
    real_trace: float


def statistics(features: Float[np.ndarray, "n d"]) -> Statistics:
    """Mean and unbiased covariance of two features or more, in double precision.

    >>> statistics(np.array([[0.0, 1.0], [2.0, 1.0]], np.float32))
    Statistics(mean=array([1., 1.]), covariance=array([[2., 0.],
           [0., 0.]]))
    """
    exact = features.astype(np.float64)
    mean = exact.mean(0)
    exact -= mean
    return Statistics(mean, exact.T @ exact / (len(exact) - 1))


def frechet_distance(generated: Statistics, real: Statistics) -> float:
    """FID (arXiv 1706.08500): squared 2-Wasserstein distance of the two Gaussians; biased upwards for few images.

    |m1 - m2|^2 + tr C1 + tr C2 - 2 tr sqrt(C1 C2), where the last trace is the sum of the singular values of L1^T L2
    with C = L L^T. Covariances may be of any rank.

    Gaussians of one shape are as far apart as their means:

    >>> here = Statistics(np.zeros(2), np.eye(2))
    >>> round(frechet_distance(here._replace(mean=np.array([3.0, 4.0])), here), 6)
    25.0
    """
    difference = generated.mean - real.mean
    mixed = factor(generated.covariance).T @ factor(real.covariance)
    traces = np.trace(generated.covariance) + np.trace(real.covariance)
    smaller = mixed @ mixed.T if mixed.shape[0] <= mixed.shape[1] else mixed.T @ mixed
    return max(0.0, float(difference @ difference + traces - 2 * _root_trace(smaller)))


def project(generated: Float[np.ndarray, "n d"], real: Statistics) -> Projected:
    """Generated features made ready for `distance_of_choice` against `real`."""
    centred = generated.astype(np.float64)
    mean = centred.mean(0)
    centred -= mean
    root = factor(real.covariance)
    rows = centred @ root
    gram = rows @ rows.T if len(rows) // 2 <= root.shape[1] else None
    squares = np.square(centred).sum(1)
    return Projected(centred, squares, mean - real.mean, rows, gram, float(np.trace(real.covariance)))


def distance_of_choice(projected: Projected, chosen: Int64[np.ndarray, "k"]) -> float:
    """FID of the chosen generated images (two or more, none twice) against the real ones."""
    count = len(chosen)
    among = np.zeros(len(projected.rows))
    among[chosen] = 1 / count
    # of the choice, relative to the mean of all
    mean = among @ projected.centred
    trace = (among @ projected.squares - mean @ mean) * count / (count - 1)
    difference = projected.offset + mean
    mixed = _scatter(projected, chosen) / (count - 1)
    return float(difference @ difference + trace + projected.real_trace - 2 * _root_trace(mixed))


def distance_interval(projected: Projected, value: float, replicates: int, rng: np.random.Generator) -> Interval:
    """95 % interval of the FID `value`, by resampling four generated images or more; the real ones are held fixed.

    It covers the FID that as many images of the same generator have on average: how far other random images would
    move `value`, not by how much the FID of few images exceeds that of many. The resamples are random halves without
    replacement and only their spread is used, around `value`. Resamples with replacement, as of a plain bootstrap,
    hold images twice: their FIDs are so much too high that their percentiles do not hold `value`, and with fewer images
    than dimensions they also spread too far.
    """
    halves = half_samples(len(projected.rows), replicates, rng)
    distances = np.array([distance_of_choice(projected, chosen) for chosen in halves])
    return normal(value, spread_of_halves(distances, len(projected.rows)))


def distance_at_infinity(projected: Projected, points: int, rng: np.random.Generator) -> float:
    """FID at infinitely many generated images (arXiv 1911.07023): where a line in 1 / count meets zero.

    The line is fitted to the FIDs of `points` random subsets of evenly growing size, from half of the images (of which
    there are three or more) to all. It takes off the bias of few generated images; that of few real ones stays. It may
    be negative where the truth is near zero, and comes out a little low with fewer images than dimensions.
    """
    count = len(projected.rows)
    sizes = np.unique(np.linspace(max(2, SMALLEST_SUBSET * count), count, points).round().astype(np.int64))
    distances = [distance_of_choice(projected, rng.permutation(count)[:size]) for size in sizes]
    _, intercept = np.polyfit(1 / sizes, distances, 1)
    return float(intercept)


def factor(covariance: Float64[np.ndarray, "d d"]) -> Float64[np.ndarray, "d rank"]:
    """L with L L^T = the positive semi-definite `covariance`, with as many columns as its rank, but at least one."""
    # the pivoted Cholesky factorisation stops at the rank
    packed, pivots, rank, _ = lapack.dpstrf(covariance, lower=1)
    columns = np.tril(packed)[:, :rank] if rank else np.zeros((len(covariance), 1))
    root = np.empty_like(columns, order="C")
    root[pivots - 1] = columns
    return root


def _scatter(projected: Projected, chosen: Int64[np.ndarray, "k"]) -> Float64[np.ndarray, "side side"]:
    """The smaller of two matrices whose eigenvalues but for zeros are those of L^T S L, times the count - 1."""
    if len(chosen) > projected.rows.shape[1]:
        rows = projected.rows[chosen]
        rows -= rows.mean(0)
        return rows.T @ rows
    if projected.gram is None:
        gram = projected.rows[chosen] @ projected.rows[chosen].T
    else:
        gram = projected.gram[np.ix_(chosen, chosen)]
    means = gram.mean(0)
    return gram - means - means[:, None] + means.mean()


def _root_trace(matrix: Float64[np.ndarray, "side side"]) -> float:
    """Trace of the square root of a positive semi-definite matrix."""
    return float(np.sqrt(np.linalg.eigvalsh(matrix).clip(0)).sum())
