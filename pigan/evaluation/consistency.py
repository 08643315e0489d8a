"""3-D consistency of an object's views, from images and z-depth alone: no network, no ground truth."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from scipy.spatial import KDTree
from torch import Tensor

from pigan.evaluation.geometry import project, unproject
from pigan.evaluation.intervals import Estimate, mean_of

CAP = 0.25


class Reprojection(NamedTuple):
    """How badly views predict each other through their depth; means over objects, 0 is perfect."""

    photometric: Estimate
    """Mean squared difference of colours in -1..1."""
    depth: Estimate
    """Mean difference of depth as a share of the camera's depth range, each pixel's at most CAP."""
    visible: float
    """Share of the pixels with a surface that could be compared: neither hidden from the other view nor outside it."""


class _View(NamedTuple):
    """One view of an object."""

    colours: Float[Tensor, "pixel 3"]
    """In -1..1."""
    depth: Float[Tensor, "side side"]
    pose: Float[Tensor, "4 4"]


class _Found(NamedTuple):
    """What a view shows at places between its pixels."""

    colours: Float[Tensor, "point 3"]
    z: Float[Tensor, "point"]
    missing: Bool[Tensor, "point"]
    """No surface there nor in the pixels around; z is NaN."""


def reprojection_error(
    images: UInt8[np.ndarray, "object view side side 3"],
    depth: Float32[np.ndarray, "object view side side"],
    cam2world: Float32[np.ndarray, "view 4 4"],
    fov: float,
    align_corners: bool,
    scale: float,
    tolerance: float,
) -> Reprojection | None:
    """How badly adjacent views predict each other, both ways; None when no pixel can be compared.

    Each pixel with a surface is moved to the other view (backward warp) and compared with what that shows there:
    interpolated between four pixels that all have a surface, else of the nearest of them that has one, since at a
    silhouette a true surface falls beside its pixel by rounding. What lies behind the other view's surface by more
    than `tolerance` (share of `scale`, the depth range in world units) is hidden and left out. What lies before it
    is an error, and where none of the four pixels has a surface the error of depth is CAP and the colour is compared
    with the background. Averaged over the pixels of a pair, over pairs, then over objects.

    A surface that jitters is half hidden from itself, so `visible` falls as well: read all three together. The colour
    part is never quite 0: interpolation blurs fine paint, and what shines looks different from elsewhere. It says
    little about paint without detail, and the depth part little about mistakes that are small beside a pixel.
    After the reprojection error of Carver (github.com/qiuyu96/Carver, metrics/reprojection_error.py), which moves
    pixels forward without a z-test and has no part for depth; its numbers are not comparable.
    """
    poses = torch.from_numpy(cam2world).double()
    rows = []
    for shots, depths in zip(images, depth, strict=True):
        views = [
            _View(torch.from_numpy(shot).double().reshape(-1, 3) / 127.5 - 1, torch.from_numpy(surface).double(), pose)
            for shot, surface, pose in zip(shots, depths, poses, strict=True)
        ]
        pairs = [
            _compare(views[target], views[source], fov, align_corners, scale, tolerance)
            for target, source in _adjacent(len(views))
        ]
        rows.append([_mean(values) for values in zip(*pairs, strict=True)])
    photometric, gap, visible = (mean_of(column) for column in np.array(rows, np.float64).reshape(-1, 3).T)
    if photometric is None or gap is None or visible is None:
        return None
    return Reprojection(photometric, gap, visible.value)


def depth_consistency(
    depth: Float32[np.ndarray, "object view side side"],
    cam2world: Float32[np.ndarray, "view 4 4"],
    fov: float,
    align_corners: bool,
    scale: float,
) -> Estimate | None:
    """How far apart the surfaces of adjacent views lie, as a share of `scale` (world units); None without depth.

    A modified Chamfer distance: for each pair of adjacent views, the median over one view's points of the distance
    to the nearest point of the other, averaged over the two directions, divided by `scale` (the depth range of the
    camera), then averaged over pairs and objects. The median ignores what only one view sees. Even perfect depth
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
        distances = (
            _median_nearest(clouds[source], clouds[target]) / scale
            for source, target in _adjacent(len(clouds))
            if len(clouds[source]) and len(clouds[target])
        )
        means.append(_mean(distances))
    return mean_of(np.array(means))


def weighted_depth_variance(variance: Float32[np.ndarray, "n"]) -> Estimate | None:
    """Mean of the images' ray-depth variances (world units squared) x 10^4: how blurred surfaces are.

    None when no image has one. It says nothing about where the surfaces are. After GOF (arXiv 2111.00969), which
    takes rays of an opacity above 0.99, 36 samples a ray and psi 0.7; its numbers are not comparable.
    """
    return mean_of(variance.astype(np.float64) * 1e4)


def _compare(
    target: _View, source: _View, fov: float, align_corners: bool, scale: float, tolerance: float
) -> tuple[float, float, float]:
    """Errors of colour and depth of the target's pixels against the source, and the share that was compared.

    NaN is what there is nothing to say about.
    """
    side = len(source.depth)
    points = unproject(target.depth, target.pose, fov, align_corners)
    surface = points.isfinite().all(-1)
    places, z = project(points, source.pose, fov, side, align_corners)
    # NaN, what lies behind the camera, compares as outside
    inside = surface & ((places >= -0.5) & (places <= side - 0.5)).all(-1)
    found = _look_up(source, places[inside])
    behind = (z[inside] - found.z) / scale
    compared = found.missing | (behind <= tolerance)
    depth = torch.where(found.missing, CAP, behind.abs().clamp(max=CAP))[compared]
    colour = (found.colours - target.colours[inside])[compared].square()
    # the mean of nothing is NaN
    return float(colour.mean()), float(depth.mean()), float(compared.sum() / surface.sum())


def _look_up(view: _View, places: Float[Tensor, "point 2"]) -> _Found:
    """Colour and z-depth of `view` at (row, column) places inside it."""
    pixels, weights = _around(places, len(view.depth))
    z, colours = view.depth.reshape(-1)[pixels], view.colours[pixels]
    known = z.isfinite()
    # of the pixels that do not all have a surface, the nearest that has one takes all the weight
    nearest = torch.where(known, weights, -1.0).argmax(-1, keepdim=True)
    alone = torch.zeros_like(weights).scatter_(-1, nearest, 1.0)
    missing = ~known.any(-1)
    mixed = (known.all(-1) | missing)[:, None]
    weights = torch.where(mixed, weights, alone)
    # a weight of 0 does not silence NaN
    depth = torch.where(missing, torch.nan, (weights * z.nan_to_num(0.0)).sum(-1))
    return _Found((weights[..., None] * colours).sum(1), depth, missing)


def _around(places: Float[Tensor, "point 2"], side: int) -> tuple[Int[Tensor, "point 4"], Float[Tensor, "point 4"]]:
    """Indices of the four pixels around each (row, column), and their bilinear weights."""
    places = places.clamp(0, side - 1)
    first = places.floor().clamp(max=side - 2)
    down, right = (places - first).unbind(-1)
    row, column = first.long().unbind(-1)
    corner = row * side + column
    pixels = torch.stack((corner, corner + 1, corner + side, corner + side + 1), dim=-1)
    weights = ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right)
    return pixels, torch.stack(weights, dim=-1)


def _adjacent(views: int) -> list[tuple[int, int]]:
    """Pairs of neighbouring views, both ways."""
    return [pair for view in range(views - 1) for pair in ((view, view + 1), (view + 1, view))]


def _median_nearest(queries: Float[Tensor, "query 3"], points: Float[Tensor, "point 3"]) -> float:
    """Median distance from queries to their nearest points."""
    distances, _ = KDTree(points.numpy()).query(queries.numpy())
    return float(np.median(distances))


def _mean(values: Iterable[float]) -> float:
    """Mean of what is known; NaN when nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
