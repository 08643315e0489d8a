"""Whether generated images are copies: nearest training images, against those of images that were held out."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.stats import rankdata

from pigan.evaluation.intervals import Interval, normal

# rows of a distance matrix that are in memory at once
CHUNK = 1024


class Neighbours(NamedTuple):
    """The nearest features of another set, nearest first, and their Euclidean distances."""

    indices: Int64[np.ndarray, "n count"]
    distances: Float64[np.ndarray, "n count"]


class Memorisation(NamedTuple):
    """Probability that a generated image is nearer to the training images than a held-out one, and its interval."""

    probability: float
    interval: Interval | None


def nearest(features: Float32[np.ndarray, "n d"], others: Float32[np.ndarray, "m d"], count: int) -> Neighbours:
    """The `count` (or all, if there are fewer) nearest of `others` to each feature."""
    count = min(count, len(others))
    candidates = others.astype(np.float64)
    squares = np.square(candidates).sum(1)
    found = [_nearest(block.astype(np.float64), candidates, squares, count) for block in _blocks(features)]
    return Neighbours(
        np.concatenate([part.indices for part in found]), np.concatenate([part.distances for part in found])
    )


def closest(neighbours: Neighbours, count: int) -> Int64[np.ndarray, "k"]:
    """Rows of the `count` features (or all) whose nearest neighbour is nearest, in that order: likeliest copies."""
    return np.argsort(neighbours.distances[:, 0], kind="stable")[:count]


def memorisation(generated: Float64[np.ndarray, "n"], held_out: Float64[np.ndarray, "m"]) -> Memorisation | None:
    """How far images are copies, from the distances of generated and held-out ones to their nearest training image.

    The probability that the generated one of a random pair is nearer, a tie counting half (Mann-Whitney): 0.5 when
    generated images are as new as images nobody trained on, towards 1 when they are copies, towards 0 when they are
    far from the data. None without held-out images. The interval is DeLong's, over the images of both sides, with the
    training images held fixed; it needs two a side.
    """
    n, m = len(generated), len(held_out)
    if not m:
        return None
    ranks = rankdata(np.concatenate([generated, held_out]))
    # share of the other side that is farther (generated) or nearer (held out), a tie counting half
    farther = 1 - (ranks[:n] - rankdata(generated)) / m
    nearer = (ranks[n:] - rankdata(held_out)) / n
    probability = float(farther.mean())
    if min(n, m) < 2:
        return Memorisation(probability, None)
    low, high = normal(probability, float(np.sqrt(farther.var(ddof=1) / n + nearer.var(ddof=1) / m)))
    return Memorisation(probability, (max(0.0, low), min(1.0, high)))


def _blocks(features: Float32[np.ndarray, "n d"]) -> list[Float32[np.ndarray, "_ d"]]:
    # one block at least, so that no features have no neighbours
    return [features[start : start + CHUNK] for start in range(0, max(1, len(features)), CHUNK)]


def _nearest(
    block: Float64[np.ndarray, "n d"],
    candidates: Float64[np.ndarray, "m d"],
    squares: Float64[np.ndarray, "m"],
    count: int,
) -> Neighbours:
    # the features' own squares do not change the order
    order = squares - 2 * block @ candidates.T
    indices = np.argpartition(order, count - 1, axis=1)[:, :count]
    # taken anew from differences, so that a copy is at distance 0 exactly
    columns = [np.linalg.norm(block - candidates[indices[:, column]], axis=1) for column in range(count)]
    distances = np.stack(columns, axis=1)
    sorting = np.lexsort((indices, distances), axis=1)
    return Neighbours(np.take_along_axis(indices, sorting, 1), np.take_along_axis(distances, sorting, 1))
