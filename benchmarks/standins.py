"""Stand-ins for a generator, to test metrics with: the exact ray tracer of the cars and spoiled copies of it."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from pigan.data.cars.raytrace import render, render_depth
from pigan.data.cars.shape import sample_car
from pigan.evaluation.consistency import depth_consistency, reprojection_error, weighted_depth_variance
from pigan.evaluation.depth import errors_against_truth, psnr
from pigan.evaluation.exact import turned_cars
from pigan.evaluation.hollow import hollow_share
from pigan.rendering.cameras import sample_cameras
from pigan.rendering.rays import pixel_directions
from pigan.sections import Camera


class Standin(NamedTuple):
    """What consistency.npz holds of a generator, and the blur of its surfaces."""

    images: UInt8[np.ndarray, "object view side side 3"]
    depth: Float32[np.ndarray, "object view side side"]
    """z-depth, world units; NaN: nothing there."""
    cam2world: Float32[np.ndarray, "view 4 4"]
    fov: float
    """Radians, between the outer edges of the image (align_corners false)."""
    variance: Float32[np.ndarray, "object"]
    """Variance of distance along the rays, world units squared."""


class Scores(NamedTuple):
    """Means of every 3-D metric, in the units of their own modules."""

    photometric: float
    reprojected_depth: float
    visible: float
    chamfer: float
    variance: float
    hollow: float
    relief: float
    rmse: float
    abs_rel: float
    delta: float
    zscore_mse: float
    normal_error: float
    psnr: float


def true_cars(objects: int, side: int, camera: Camera, seed: int, supersampling: int = 4) -> Standin:
    """Cars from five neighbouring yaws around the usual pose, as a perfect generator would show them."""
    seeds = [[seed, car] for car in range(objects)]
    views = turned_cars(
        seeds, camera, camera.fov, lambda scene, pose: render(scene, pose, camera.fov, side, supersampling)
    )
    return Standin(*views, np.zeros(objects, np.float32))


def posed_depth(objects: int, side: int, camera: Camera, seed: int) -> Float32[np.ndarray, "object side side"]:
    """True z-depth of cars, each from a pose of its own, drawn from the law in the params."""
    reach = camera.radius * math.sin(camera.fov / 2)
    poses = sample_cameras(camera, objects, seed).numpy()
    scenes = (sample_car(np.random.default_rng([seed, car]), reach) for car in range(objects))
    return np.stack([render_depth(scene, pose, camera.fov, side) for scene, pose in zip(scenes, poses, strict=True)])


def billboard(true: Standin) -> Standin:
    """The true images on flat cards: each view's depth is that of the plane through the object's centre."""
    return scaled_relief(true, 0.0)


def hollow(true: Standin) -> Standin:
    """The true images on masks seen from inside: relief mirrored at the plane through the object's centre."""
    return scaled_relief(true, -1.0)


def scaled_relief(true: Standin, factor: float) -> Standin:
    """The true images on reliefs: depth is scaled by `factor` about the plane through the object's centre."""
    middle = np.linalg.norm(true.cam2world[:, :3, 3], axis=-1)[None, :, None, None]
    return true._replace(depth=(middle + factor * (true.depth - middle)).astype(np.float32))


def colour_noise(true: Standin, levels: float, seed: int) -> Standin:
    """Another draw of normal noise in every view's colours, standard deviation `levels` of 255."""
    noise = np.random.default_rng(seed).normal(0, levels, true.images.shape)
    return true._replace(images=(true.images + noise).round().clip(0, 255).astype(np.uint8))


def depth_noise(true: Standin, spread: float, seed: int) -> Standin:
    """Another draw of normal noise in every view's depth, standard deviation `spread` (world units)."""
    noise = np.random.default_rng(seed).normal(0, spread, true.depth.shape)
    return true._replace(depth=(true.depth + noise).astype(np.float32))


def ray_distance(true: Standin) -> Standin:
    """Distance along the ray where z-depth is due."""
    return true._replace(depth=(true.depth / _ahead(true)).astype(np.float32))


def fog(true: Standin, reach: float) -> Standin:
    """Surfaces that light enters: distances behind the true one are exponential with mean `reach` (world units)."""
    depth = (true.depth + reach * _ahead(true)).astype(np.float32)
    return true._replace(depth=depth, variance=np.full_like(true.variance, reach**2))


def scores(standin: Standin, true: Standin, camera: Camera, tolerance: float) -> Scores:
    """Every 3-D metric of a stand-in; those with ground truth and the hollow-face test look at the middle views.

    Raises:
        ValueError: there is nothing to see.
    """
    middle = standin.depth.shape[1] // 2
    scale = camera.far - camera.near
    shots = standin.depth, standin.cam2world, standin.fov, False, scale
    reprojection = reprojection_error(standin.images, *shots, tolerance)
    chamfer, blur = depth_consistency(*shots), weighted_depth_variance(standin.variance)
    inside_out = hollow_share(standin.depth[:, middle])
    fov = np.full(len(standin.depth), standin.fov, np.float32)
    errors = errors_against_truth(standin.depth[:, middle], true.depth[:, middle], fov)
    likeness = psnr(standin.images[:, middle], true.images[:, middle])
    if not (reprojection and chamfer and blur and inside_out and errors and errors.normal_error and likeness):
        raise ValueError("a stand-in without surfaces")
    return Scores(
        photometric=reprojection.photometric.value,
        reprojected_depth=reprojection.depth.value,
        visible=reprojection.visible,
        chamfer=chamfer.value,
        variance=blur.value,
        hollow=inside_out.share.value,
        relief=inside_out.relief,
        rmse=errors.rmse.value,
        abs_rel=errors.abs_rel.value,
        delta=errors.delta.value,
        zscore_mse=errors.zscore_mse.value,
        normal_error=errors.normal_error.value,
        psnr=likeness.value,
    )


def _ahead(true: Standin) -> Float32[np.ndarray, "side side"]:
    """z-depth of one unit of distance along each pixel's ray."""
    side = true.depth.shape[-1]
    return -pixel_directions(side, true.fov, align_corners=False)[:, 2].numpy().reshape(side, side)
