"""FID, KID, precision and recall of features, computed by torch-fidelity (input 1 generated, input 2 real)."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch_fidelity import (
    KEY_METRIC_FID,
    KEY_METRIC_KID_MEAN,
    KEY_METRIC_KID_STD,
    KEY_METRIC_PRECISION,
    KEY_METRIC_RECALL,
)
from torch_fidelity.metric_fid import (
    fid_features_to_statistics,
    fid_statistics_to_metric,
)
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from pigan.errors import PiganError

# beyond this many images the whole distance matrices would not fit in memory
PRC_BATCH = 10000


class Statistics(NamedTuple):
    """A Gaussian fitted to features."""

    mean: Float64[np.ndarray, "d"]
    covariance: Float64[np.ndarray, "d d"]


class KernelDistance(NamedTuple):
    """KID: mean and standard deviation over subsets, and the subset size that was used."""

    mean: float
    std: float
    subset_size: int


class PrecisionRecall(NamedTuple):
    """Shares (0..1) of generated images on the real manifold, and of real images on the generated one."""

    precision: float
    recall: float


def statistics(features: Float32[np.ndarray, "n d"]) -> Statistics:
    """Mean and unbiased covariance of features, in double precision."""
    fitted = fid_features_to_statistics(torch.from_numpy(features).double())
    return Statistics(fitted["mu"], fitted["sigma"])


def frechet_distance(generated: Statistics, real: Statistics) -> float:
    """FID (arXiv 1706.08500): squared 2-Wasserstein distance of the two Gaussians; biased upwards for few images."""
    first = {"mu": generated.mean, "sigma": generated.covariance}
    second = {"mu": real.mean, "sigma": real.covariance}
    return float(fid_statistics_to_metric(first, second, verbose=False)[KEY_METRIC_FID])


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
    return KernelDistance(found[KEY_METRIC_KID_MEAN], found[KEY_METRIC_KID_STD], used)


def precision_recall(
    generated: Float32[np.ndarray, "n d"], real: Float32[np.ndarray, "m d"], neighbours: int
) -> PrecisionRecall:
    """Precision and recall (arXiv 1904.06991): a manifold is the union of balls that reach the k-th neighbour.

    Raises:
        PiganError: fewer than `neighbours` + 1 images on a side.
    """
    fewest = min(len(generated), len(real))
    if fewest <= neighbours:
        raise PiganError(f"evaluate.neighbours: {neighbours} needs more than {fewest} images; lower it or add images")
    found = prc_features_to_metric(
        torch.from_numpy(generated),
        torch.from_numpy(real),
        prc_neighborhood=neighbours,
        prc_batch_size=PRC_BATCH,
        save_cpu_ram=max(len(generated), len(real)) > PRC_BATCH,
        verbose=False,
    )
    return PrecisionRecall(found[KEY_METRIC_PRECISION], found[KEY_METRIC_RECALL])
