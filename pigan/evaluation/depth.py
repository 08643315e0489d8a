"""3-D consistency of rendered views, from images and z-depth alone (no network), and errors against true depth."""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from scipy.spatial import KDTree
from torch import Tensor

from pigan.errors import PiganError
from pigan.rendering.rays import pixel_directions


class DepthErrors(NamedTuple):
    """Errors of aligned depth: root mean square (world units), mean relative, share within a factor of 1.25."""

    rmse: float
    abs_rel: float
    delta: float


def unproject(
    depth: Float[Tensor, "side side"], cam2world: Float[Tensor, "4 4"], fov: float, align_corners: bool
) -> Float[Tensor, "point 3"]:
    """World positions of a view's pixels, row by row, from z-depth (NaN stays NaN); `fov` in radians."""
    directions = pixel_directions(len(depth), fov, align_corners).to(depth)
    camera = directions / -directions[:, 2:] * depth.reshape(-1, 1)
    return camera @ cam2world[:3, :3].T + cam2world[:3, 3]


def project(
    points: Float[Tensor, "point 3"], cam2world: Float[Tensor, "4 4"], fov: float, side: int, align_corners: bool
) -> tuple[Int[Tensor, "point"], Float[Tensor, "point"]]:
    """Index of the pixel nearest to each world point in a square view, -1 outside of it, and the z-depths."""
    camera = (points - cam2world[:3, 3]) @ cam2world[:3, :3]
    z = -camera[:, 2]
    edge = math.tan(fov / 2) * (1.0 if align_corners else 1.0 - 1.0 / side)
    # image rows run downwards, camera y upwards
    across = torch.stack((-camera[:, 1], camera[:, 0]), dim=-1) / (z[:, None] * edge)
    row, column = torch.round((across + 1) / 2 * (side - 1)).unbind(-1)
    inside = (z > 0) & (row >= 0) & (row < side) & (column >= 0) & (column < side)
    return torch.where(inside, row * side + column, -1).long(), z


def splat(
    values: Float[Tensor, "point channel"], pixels: Int[Tensor, "point"], z: Float[Tensor, "point"], count: int
) -> tuple[Float[Tensor, "count channel"], Bool[Tensor, "count"]]:
    """For each of `count` pixels the value of the nearest point (smallest z) that falls on it, and whether one does.

    Points with pixel -1 are left out; of equally near points the first wins.
    """
    kept = torch.nonzero(pixels >= 0).squeeze(-1)
    pixels, z = pixels[kept], z[kept]
    nearest = torch.full((count,), torch.inf, dtype=z.dtype).scatter_reduce(0, pixels, z, "amin")
    front = z == nearest[pixels]
    winner = torch.full((count,), len(values)).scatter_reduce(0, pixels[front], kept[front], "amin")
    hit = winner < len(values)
    image = torch.zeros(count, values.shape[1], dtype=values.dtype)
    image[hit] = values[winner[hit]]
    return image, hit


def reprojection_error(
    images: UInt8[np.ndarray, "identity view side side 3"],
    depth: Float32[np.ndarray, "identity view side side"],
    cam2world: Float32[np.ndarray, "view 4 4"],
    fov: float,
    align_corners: bool,
) -> float | None:
    """How badly one view predicts the next through its depth; 0 is perfect; None when no pixel has depth.

    For every pair of adjacent views, in both directions: each pixel with depth moves to its nearest pixel of the
    other view (the nearest surface wins), and colours in -1..1 are compared by mean squared error over the pixels
    that were hit. Averaged over pairs, then over identities. The reprojection error of Carver
    (github.com/qiuyu96/Carver, metrics/reprojection_error.py), plus the z-buffer and without the background.
    """
    poses = torch.from_numpy(cam2world).double()
    means = []
    for views, depths in zip(images, depth, strict=True):
        colours = torch.from_numpy(views).double().reshape(len(views), -1, 3) / 127.5 - 1
        surfaces = torch.from_numpy(depths).double()
        errors = []
        for source, target in _adjacent(len(views)):
            points = unproject(surfaces[source], poses[source], fov, align_corners)
            pixels, z = project(points, poses[target], fov, len(surfaces[source]), align_corners)
            moved, hit = splat(colours[source], pixels, z, colours.shape[1])
            if hit.any():
                errors.append(float((moved[hit] - colours[target][hit]).square().mean()))
        means.append(_mean(errors))
    return _mean([mean for mean in means if mean is not None])


def depth_consistency(
    depth: Float32[np.ndarray, "identity view side side"],
    cam2world: Float32[np.ndarray, "view 4 4"],
    fov: float,
    align_corners: bool,
    scale: float,
) -> float | None:
    """How far apart the surfaces of adjacent views lie, as a share of `scale` (world units); None without depth.

    A modified Chamfer distance: for each pair of adjacent views, the median over one view's points of the distance
    to the nearest point of the other, averaged over the two directions, divided by `scale` (the depth range of the
    camera), then averaged over pairs and identities. The median ignores what only one view sees. Even perfect depth
    scores about half the spacing of pixels on the surface, so compare equal resolutions only. After StyleSDF
    (arXiv 2112.11427); its numbers are normalised otherwise and not comparable.
    """
    poses = torch.from_numpy(cam2world).double()
    means = []
    for depths in depth:
        clouds = [
            unproject(surface, pose, fov, align_corners)
            for surface, pose in zip(torch.from_numpy(depths).double(), poses, strict=True)
        ]
        clouds = [cloud[cloud.isfinite().all(-1)] for cloud in clouds]
        distances = [
            _median_nearest(clouds[source], clouds[target]) / scale
            for source, target in _adjacent(len(clouds))
            if len(clouds[source]) and len(clouds[target])
        ]
        means.append(_mean(distances))
    return _mean([mean for mean in means if mean is not None])


def weighted_depth_variance(variance: Float32[np.ndarray, "n"]) -> float | None:
    """Mean of the images' ray-depth variances (world units squared) x 10^4: how blurred surfaces are.

    None when no image has one. As in GOF (arXiv 2111.00969).
    """
    finite = variance[np.isfinite(variance)].astype(np.float64)
    return float(finite.mean() * 1e4) if len(finite) else None


def align_scale_shift(predicted: Float[np.ndarray, "h w"], truth: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """`predicted` times the scale plus the shift that fit `truth` best (least squares where both are finite).

    Raises:
        PiganError: fewer than two pixels have both depths.
    """
    both = np.isfinite(predicted) & np.isfinite(truth)
    if both.sum() < 2:
        raise PiganError("depth: fewer than two pixels have both depths; check that the views show the same object")
    known = predicted[both].astype(np.float64)
    design = np.stack((known, np.ones_like(known)), axis=-1)
    scale, shift = np.linalg.lstsq(design, truth[both].astype(np.float64), rcond=None)[0]
    aligned: np.ndarray = predicted.astype(np.float64) * scale + shift
    return aligned


def depth_errors(predicted: Float[np.ndarray, "h w"], truth: Float[np.ndarray, "h w"]) -> DepthErrors:
    """Errors of `predicted` against positive `truth` where both are finite, as they are: align first if need be.

    Raises:
        PiganError: no pixel has both depths.
    """
    both = np.isfinite(predicted) & np.isfinite(truth)
    if not both.any():
        raise PiganError("depth: no pixel has both depths; check that the views show the same object")
    guess, true = predicted[both].astype(np.float64), truth[both].astype(np.float64)
    rmse = math.sqrt(np.mean((guess - true) ** 2))
    # a depth behind the camera is never within the factor
    within = (guess < 1.25 * true) & (true < 1.25 * guess)
    return DepthErrors(rmse, float(np.mean(np.abs(guess - true) / true)), float(within.mean()))


def _adjacent(views: int) -> list[tuple[int, int]]:
    """(source, target) of neighbouring views, both ways."""
    return [pair for view in range(views - 1) for pair in ((view, view + 1), (view + 1, view))]


def _median_nearest(queries: Float[Tensor, "query 3"], points: Float[Tensor, "point 3"]) -> float:
    """Median distance from queries to their nearest points."""
    distances, _ = KDTree(points.numpy()).query(queries.numpy())
    return float(np.median(distances))


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
