"""How like real images generated ones are, by one extractor's features: every metric with its interval."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32
from torch_fidelity import KEY_METRIC_ISC_MEAN, KEY_METRIC_PRECISION, KEY_METRIC_RECALL
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from pigan.errors import PiganError
from pigan.evaluation.frechet import (
    distance_at_infinity,
    distance_interval,
    frechet_distance,
    project,
    statistics,
)
from pigan.evaluation.intervals import Interval, half_samples, normal, spread_of_halves, wilson
from pigan.evaluation.kid import KernelDistance, kernel_distance, kernel_interval
from pigan.evaluation.measured import Measured
from pigan.evaluation.memorisation import Neighbours, memorisation, nearest
from pigan.evaluation.stats import RealStats
from pigan.runtime import seed_of
from pigan.sections import Evaluate

# beyond this many images the whole distance matrices would not fit in memory
PRC_BATCH = 10000
# fewest images whose halves have a covariance
FEWEST_FOR_HALVES = 4
# fewest images that still have an unbiased squared MMD when one is left out
FEWEST_FOR_JACKKNIFE = 3


class PrecisionRecall(NamedTuple):
    """Shares (0..1) of generated images on the real manifold, and of real images on the generated one."""

    precision: float
    recall: float


class Fidelity(NamedTuple):
    """All metrics of one extractor, whose name ends theirs, and what they came from."""

    measured: Measured
    kid_subset_size: int
    nearest: Neighbours
    """The one training image nearest to each generated image: a row of the real `features`."""


def fidelity(
    extractor: str,
    generated: Float32[np.ndarray, "n d"],
    real: RealStats,
    config: Evaluate,
    logits: Float32[np.ndarray, "n classes"] | None = None,
    depth: Float32[np.ndarray, "k d"] | None = None,
) -> Fidelity:
    """Every image metric of one extractor: FID, KID, precision, recall, Inception score, memorisation.

    The Inception score needs `logits`, the distances of depth maps need `depth` (features of generated maps) and real
    maps; without them these are left out. `fid_real` is the FID of further real images, at the count of the generated
    ones where there are so many: what a perfect generator gets. Memorisation is that of the images in `real.features`.

    Raises:
        PiganError: evaluate.neighbours is not below the number of images of a side.
    """
    kernel = kernel_distance(generated, real.features, config.kid_subsets, config.kid_subset_size, config.seed)
    neighbours = nearest(generated, real.features, 1)
    found = (
        _frechet(extractor, generated, real, config)
        + _floor(extractor, len(generated), real, _rng(config, extractor, "floor"))
        + _kernel(f"kid_{extractor}", f"kid_std_{extractor}", kernel, generated, real.features, config)
        + _overlap(extractor, generated, real.features, config)
        + _copies(extractor, neighbours, real)
    )
    if logits is not None:
        found += _classes(extractor, logits, config)
    if depth is not None and len(real.depth_features):
        found += _depth_maps(extractor, depth, real.depth_features, config)
    return Fidelity(found, kernel.subset_size, neighbours)


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


def inception_score(logits: Float32[np.ndarray, "n classes"], splits: int, seed: int) -> float:
    """Inception score (arXiv 1606.03498): exp of how much an image's classes tell beyond those of all; 1 or more.

    The mean over `splits` random parts of the images (no more parts than images). It asks nothing of real images, and
    its classes are ImageNet's: of faces, cats or cars alone it says little, and its values under another classifier
    than Inception-v3 have another scale.
    """
    found = isc_features_to_metric(torch.from_numpy(logits), min(splits, len(logits)), shuffle=True, rng_seed=seed)
    return float(found[KEY_METRIC_ISC_MEAN])


def inception_score_interval(
    logits: Float32[np.ndarray, "n classes"], value: float, splits: int, replicates: int, rng: np.random.Generator
) -> Interval:
    """95 % interval of the score `value`: as wide as the scores of random halves of the images (four or more) say.

    As for FID, only their spread is used: a score of fewer images is lower, so theirs need not hold `value`.
    """
    tensor, count = torch.from_numpy(logits), len(logits)
    parts = min(splits, count // 2)
    scores = [
        isc_features_to_metric(tensor[torch.from_numpy(chosen)], parts, shuffle=False)[KEY_METRIC_ISC_MEAN]
        for chosen in half_samples(count, replicates, rng)
    ]
    return normal(value, spread_of_halves(np.array(scores), count))


def _frechet(extractor: str, generated: Float32[np.ndarray, "n d"], real: RealStats, config: Evaluate) -> Measured:
    name, infinity = f"fid_{extractor}", f"fid_infinity_{extractor}"
    value, n, m = frechet_distance(statistics(generated), real.fitted), len(generated), len(real.features)
    dimension = generated.shape[1]
    notes = []
    if min(n, m) < dimension:
        counts = f"{n} against {m} images in {dimension} dimensions"
        notes.append(f"{name} of {counts} is biased upwards; compare it only at equal counts")
    if n < FEWEST_FOR_HALVES:
        return Measured({name: value, infinity: None}, {}, [*notes, f"{infinity} is null: {n} images are too few"])
    projected = project(generated, real.fitted)
    interval = distance_interval(projected, value, config.half_samples, _rng(config, extractor, "fid"))
    limit = distance_at_infinity(projected, config.infinity_points, _rng(config, extractor, "infinity"))
    return Measured({name: value, infinity: limit}, {name: interval}, notes)


def _floor(extractor: str, count: int, real: RealStats, rng: np.random.Generator) -> Measured:
    """FID of further real images, at most `count`, against the real ones."""
    name, there_are = f"fid_real_{extractor}", len(real.other_features)
    if there_are < 2:
        return Measured({name: None}, {}, [f"{name} is null: {there_are} further training images are too few"])
    chosen = np.sort(rng.permutation(there_are)[:count])
    notes = [f"{name} is that of {there_are} images, not {count}: there are no more"] if there_are < count else []
    return Measured({name: frechet_distance(statistics(real.other_features[chosen]), real.fitted)}, {}, notes)


def _kernel(
    name: str,
    spread: str | None,
    found: KernelDistance,
    generated: Float32[np.ndarray, "n d"],
    real: Float32[np.ndarray, "m d"],
    config: Evaluate,
) -> Measured:
    """KID under `name`, and its standard deviation over subsets under `spread`."""
    values: dict[str, float | None] = {name: found.mean, **({spread: found.std} if spread else {})}
    enough = min(len(generated), len(real)) >= FEWEST_FOR_JACKKNIFE
    notes = []
    if found.subset_size < config.kid_subset_size:
        wanted = config.kid_subset_size
        notes.append(f"{name}: subsets hold {found.subset_size} images, not {wanted}: there are no more")
    return Measured(values, {name: kernel_interval(generated, real, found)} if enough else {}, notes)


def _overlap(
    extractor: str, generated: Float32[np.ndarray, "n d"], real: Float32[np.ndarray, "m d"], config: Evaluate
) -> Measured:
    """Precision and recall; their intervals hold the manifolds fixed and are of the shares alone."""
    found = precision_recall(generated, real, config.neighbours)
    precision, recall = f"precision_{extractor}", f"recall_{extractor}"
    intervals = {precision: wilson(found.precision, len(generated)), recall: wilson(found.recall, len(real))}
    return Measured({precision: found.precision, recall: found.recall}, intervals, [])


def _copies(extractor: str, neighbours: Neighbours, real: RealStats) -> Measured:
    name = f"memorisation_{extractor}"
    found = memorisation(neighbours.distances[:, 0], nearest(real.held_out_features, real.features, 1).distances[:, 0])
    if found is None:
        return Measured({name: None}, {}, [f"{name} is null: no images are held out"])
    return Measured({name: found.probability}, {name: found.interval} if found.interval else {}, [])


def _classes(extractor: str, logits: Float32[np.ndarray, "n classes"], config: Evaluate) -> Measured:
    name, splits, count = f"inception_score_{extractor}", config.inception_splits, len(logits)
    value = inception_score(logits, splits, config.seed)
    notes = [f"{name} is that of {count} parts, not {splits}: there are no more images"] if count < splits else []
    if count < FEWEST_FOR_HALVES:
        return Measured({name: value}, {}, notes)
    rng = _rng(config, extractor, "inception score")
    return Measured(
        {name: value}, {name: inception_score_interval(logits, value, splits, config.half_samples, rng)}, notes
    )


def _depth_maps(
    extractor: str, generated: Float32[np.ndarray, "n d"], real: Float32[np.ndarray, "m d"], config: Evaluate
) -> Measured:
    """FID and KID of depth maps that are rendered as images."""
    frechet, kernel = f"fid_depth_{extractor}", f"kid_depth_{extractor}"
    if min(len(generated), len(real)) < 2:
        few = f"{len(generated)} generated and {len(real)} real depth maps are too few"
        return Measured({frechet: None, kernel: None}, {}, [f"{name} is null: {few}" for name in (frechet, kernel)])
    found = kernel_distance(generated, real, config.kid_subsets, config.kid_subset_size, config.seed)
    fitted = statistics(real)
    value = frechet_distance(statistics(generated), fitted)
    intervals = {}
    if len(generated) >= FEWEST_FOR_HALVES:
        rng = _rng(config, extractor, "fid depth")
        intervals[frechet] = distance_interval(project(generated, fitted), value, config.half_samples, rng)
    distances = _kernel(kernel, None, found, generated, real, config)
    return Measured({frechet: value}, intervals, []) + distances


def _rng(config: Evaluate, *use: str) -> np.random.Generator:
    """Random numbers for one use of the evaluation's seed."""
    return np.random.default_rng(seed_of("fidelity", *use, config.seed))
