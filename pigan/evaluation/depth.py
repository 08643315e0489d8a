"""Errors of inverted objects against the images and the depth they were inverted from."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, UInt8
from scipy.ndimage import binary_erosion

from pigan.errors import PiganError
from pigan.evaluation.geometry import SURFACE_PIXELS, unproject
from pigan.evaluation.intervals import Estimate, mean_of

PEAK = 255.0
RATIO = 1.25
DISPERSION_FLOOR = 1e-8
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], bool)


class DepthErrors(NamedTuple):
    """Errors of depth inside the objects, means over views; 0 is perfect (delta: 1)."""

    rmse: Estimate
    """Root mean square after alignment, world units; a flat card's is the spread of the true depth."""
    abs_rel: Estimate
    """Mean of |error| / true depth after alignment."""
    delta: Estimate
    """Share of pixels within a factor of 1.25 after alignment. It says little where the depth range is narrow: between
    0.75 and 1.25 from the camera a flat card has it near 1."""
    zscore_mse: Estimate
    """Mean square difference of both depths, each standardised: 1 of a flat card, near 4 of a hollow shape."""
    normal_error: Estimate | None
    """Mean angle between surface normals, degrees; None: no view has a pixel with four neighbours."""


def errors_against_truth(
    depth: Float32[np.ndarray, "view side side"],
    true_depth: Float32[np.ndarray, "view side side"],
    fov: Float32[np.ndarray, "view"],
) -> DepthErrors | None:
    """Errors of z-depth where the true one is finite, each a mean over views with its interval of 95 %.

    `fov` (radians) spans the outer edges of the images. Views with fewer than 16 such pixels are left out; None when
    none is left. Scale and shift of each view are fitted first (`align_scale_shift`), since a generator never saw a
    true length. The interval is Student's, over views.
    """
    rows = []
    for guess, truth, angle in zip(depth, true_depth, fov, strict=True):
        both = np.isfinite(guess) & np.isfinite(truth)
        if both.sum() < SURFACE_PIXELS:
            continue
        aligned = np.where(both, align_scale_shift(guess, truth), np.nan)
        truth = np.where(both, truth.astype(np.float64), np.nan)
        off = aligned[both] - truth[both]
        # a depth behind the camera is never within the factor
        within = (aligned < RATIO * truth) & (truth < RATIO * aligned)
        rows.append(
            (
                np.sqrt(np.mean(off**2)),
                np.mean(np.abs(off) / truth[both]),
                np.mean(within[both]),
                zscore_mse(guess, truth),
                normal_error(aligned, truth, float(angle)),
            )
        )
    columns = np.array(rows, np.float64).reshape(-1, 5).T
    rmse, abs_rel, delta, zscores, normals = (mean_of(column) for column in columns)
    if rmse is None or abs_rel is None or delta is None or zscores is None:
        return None
    return DepthErrors(rmse, abs_rel, delta, zscores, normals)


def align_scale_shift(predicted: Float[np.ndarray, "h w"], truth: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """`predicted` times the scale plus the shift that fit `truth` best (least squares where both are finite).

    The scale is never negative, since that would turn a hollow shape into a good one: where the best one would be, it
    is 0, and every pixel gets the mean of the truth. So a hollow shape is as wrong as a flat one here, and only the
    z-scored error and the hollow-face test tell them apart.

    Raises:
        PiganError: fewer than two pixels have both depths.
    """
    both = np.isfinite(predicted) & np.isfinite(truth)
    if both.sum() < 2:
        raise PiganError("depth: fewer than two pixels have both depths; check that the views show the same object")
    known, true = predicted[both].astype(np.float64), truth[both].astype(np.float64)
    centred = known - known.mean()
    power = np.mean(centred**2)
    flat = power <= (DISPERSION_FLOOR * np.abs(known).max()) ** 2
    scale = 0.0 if flat else max(float(np.mean(centred * true) / power), 0.0)
    aligned: np.ndarray = (predicted.astype(np.float64) - known.mean()) * scale + true.mean()
    return aligned


def zscore_mse(predicted: Float[np.ndarray, "h w"], truth: Float[np.ndarray, "h w"]) -> float:
    """Mean square difference where both are finite, each depth less its mean and divided by its deviation (+ 1e-8).

    2 - 2 x correlation: 0 for the truth under any scale and shift, 4 for its mirror image, and 1 for a flat card,
    whose standardised depth is 0. NaN when no pixel has both. EG3D's measure (arXiv 2112.07945) in the form that
    GMPI (apple/ml-gmpi, gmpi/eval) and Carver (qiuyu96/Carver, metrics/depth_eg3d.py) give it.
    """
    both = np.isfinite(predicted) & np.isfinite(truth)
    if not both.any():
        return float("nan")
    return float(np.mean((_standardised(predicted[both]) - _standardised(truth[both])) ** 2))


def normal_error(predicted: Float[np.ndarray, "h w"], truth: Float[np.ndarray, "h w"], fov: float) -> float:
    """Mean angle, degrees, between the normals of two surfaces given by z-depth in the same view.

    `fov` (radians) spans the outer edges of the image. Normals come from differences between the neighbours of a
    pixel, where it and its four neighbours have both depths; NaN when no pixel does. At steps of the true depth they
    are no one's surface, but the same for a perfect guess; blur and noise of a pixel's depth weigh heavily here.
    """
    both = np.isfinite(predicted) & np.isfinite(truth)
    inner: Bool[np.ndarray, "h w"] = binary_erosion(both, CROSS)
    if not inner.any():
        return float("nan")
    cosine = (_normals(predicted, fov)[inner] * _normals(truth, fov)[inner]).sum(-1)
    return float(np.degrees(np.arccos(cosine.clip(-1, 1))).mean())


def psnr(
    images: UInt8[np.ndarray, "view side side 3"], target: UInt8[np.ndarray, "view side side 3"]
) -> Estimate | None:
    """Peak signal-to-noise ratio in decibels (peak 255) over all pixels of a view, a mean over views; None without any.

    Where images are equal it is infinite; it is limited to what one value that is off by one level would give.
    """
    off = images.astype(np.float64) - target
    power = np.maximum((off**2).mean((1, 2, 3)), 1 / max(off[:1].size, 1))
    return mean_of(10 * np.log10(PEAK**2 / power))


def _standardised(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    values = values.astype(np.float64)
    return (values - values.mean()) / (values.std() + DISPERSION_FLOOR)


def _normals(depth: Float[np.ndarray, "side side"], fov: float) -> Float[np.ndarray, "side side 3"]:
    """Unit normals from central differences of the pixels' places in camera space; NaN at the border and beside NaN."""
    side = len(depth)
    eye = torch.eye(4, dtype=torch.float64)
    points = unproject(torch.from_numpy(depth.astype(np.float64)), eye, fov, align_corners=False)
    places = points.reshape(side, side, 3).numpy()
    normals = np.full_like(places, np.nan)
    down, right = places[2:, 1:-1] - places[:-2, 1:-1], places[1:-1, 2:] - places[1:-1, :-2]
    across = np.cross(down, right)
    normals[1:-1, 1:-1] = across / np.linalg.norm(across, axis=-1, keepdims=True)
    return normals
