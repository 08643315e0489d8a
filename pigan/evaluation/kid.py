"""Kernel distance (KID) of features: by torch-fidelity over subsets, and its interval by a jackknife over images."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch_fidelity import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD
from torch_fidelity.metric_kid import kid_features_to_metric

from pigan.evaluation.intervals import Interval, normal

# rows of a kernel matrix that are in memory at once
CHUNK = 1024


class KernelDistance(NamedTuple):
    """KID: mean and standard deviation over subsets, their number, and the subset size that was used."""

    mean: float
    std: float
    subsets: int
    subset_size: int


class KernelSums(NamedTuple):
    """What each image adds to the sums of the three kernel matrices; an image's kernel with itself is left out."""

    generated: Float64[np.ndarray, "n"]
    real: Float64[np.ndarray, "m"]
    generated_to_real: Float64[np.ndarray, "n"]
    real_to_generated: Float64[np.ndarray, "m"]


def kernel_distance(
    generated: Float32[np.ndarray, "n d"], real: Float32[np.ndarray, "m d"], subsets: int, subset_size: int, seed: int
) -> KernelDistance:
    """KID (arXiv 1801.01401): unbiased squared MMD with the kernel (x.y / d + 1)^3, over random subsets.

    `subset_size` is cut to the number of images there are; the result says what was used.
    """
    used = min(subset_size, len(generated), len(real))
    found = kid_features_to_metric(
        torch.from_numpy(generated),
        torch.from_numpy(real),
        kid_subsets=subsets,
        kid_subset_size=used,
        kid_kernel="poly",
        kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
        rng_seed=seed,
        verbose=False,
    )
    return KernelDistance(found[KEY_METRIC_KID_MEAN], found[KEY_METRIC_KID_STD], subsets, used)


def kernel_interval(
    generated: Float32[np.ndarray, "n d"], real: Float32[np.ndarray, "m d"], found: KernelDistance
) -> Interval:
    """95 % interval of the KID `found`, around its mean over subsets; three images a side or more.

    The deviation from other random images, generated and real, is the jackknife's for the unbiased squared MMD of all
    images; the deviation from other random subsets of the same images is added to it.
    """
    from_subsets = found.std / found.subsets**0.5
    return normal(found.mean, float(np.hypot(jackknife_deviation(kernel_sums(generated, real)), from_subsets)))


def kernel_sums(generated: Float32[np.ndarray, "n d"], real: Float32[np.ndarray, "m d"]) -> KernelSums:
    """Row and column sums of the kernel matrices, made a few rows at a time."""
    (own, _), (others, _) = _sums(generated, generated), _sums(real, real)
    across, back = _sums(generated, real)
    return KernelSums(own - _self_kernel(generated), others - _self_kernel(real), across, back)


def jackknife_deviation(sums: KernelSums) -> float:
    """Standard deviation of the unbiased squared MMD, from its values without one image of a side (three or more)."""
    variance = 0.0
    for own, other, across in (
        (sums.generated, sums.real, sums.generated_to_real),
        (sums.real, sums.generated, sums.real_to_generated),
    ):
        n, m = len(own), len(other)
        # what does not depend on the image that is left out does not matter
        without = (own.sum() - 2 * own) / ((n - 1) * (n - 2)) - 2 * (across.sum() - across) / ((n - 1) * m)
        variance += (n - 1) * float(without.var())
    return float(np.sqrt(variance))


def _sums(
    first: Float32[np.ndarray, "n d"], second: Float32[np.ndarray, "m d"]
) -> tuple[Float64[np.ndarray, "n"], Float64[np.ndarray, "m"]]:
    """Sums of the kernel matrix over its columns, and over its rows."""
    rows, columns = np.empty(len(first)), np.zeros(len(second))
    for start in range(0, len(first), CHUNK):
        base = first[start : start + CHUNK] @ second.T / np.float32(first.shape[1]) + np.float32(1)
        kernel = base * base * base
        rows[start : start + CHUNK] = kernel.sum(1, dtype=np.float64)
        columns += kernel.sum(0, dtype=np.float64)
    return rows, columns


def _self_kernel(features: Float32[np.ndarray, "n d"]) -> Float64[np.ndarray, "n"]:
    squares = np.einsum("nd,nd->n", features, features, dtype=np.float64)
    return np.asarray((squares / features.shape[1] + 1) ** 3)
