"""Views of cars by their exact renderer: what the metrics across views give a perfect generator, their floor."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8
from PIL import Image

from pigan.config import Params
from pigan.data.cars.raytrace import Scene, render_depth, render_image
from pigan.data.cars.shape import sample_car
from pigan.data.crop import crop_settings
from pigan.data.posed.frames import Intrinsics
from pigan.data.square import find_view, resize_view
from pigan.rendering.cameras import look_at_origin
from pigan.sections import Camera
from pigan.synthesis.evaluation_set import CONSISTENCY_YAWS
from pigan.synthesis.views import usual_pitch

# tells the cars from those of the data, which are drawn from (seed, car)
OTHER_CARS = 1
# so many give the floor to a few per cent, and more would take minutes at 128 px
MOST = 24

Pose = Float64[np.ndarray, "4 4"]
# an image and its z-depth
Shot = tuple[UInt8[np.ndarray, "side side 3"], Float32[np.ndarray, "side side"]]


class TurnedViews(NamedTuple):
    """What consistency.npz holds, of an exact renderer."""

    images: UInt8[np.ndarray, "object view side side 3"]
    depth: Float32[np.ndarray, "object view side side"]
    """z-depth at the pixel centres, world units; NaN: nothing there."""
    cam2world: Float32[np.ndarray, "view 4 4"]
    fov: float
    """Radians, between the outer edges of the image (align_corners false)."""


def exact_views(params: Params) -> TurnedViews | None:
    """As many cars as `generate.consistency_latents`, MOST at most, seen as consistency.npz sees generated objects.

    The cars are drawn from evaluate.seed, and are not those of the data.
    Images go the way of the prepared data: rendered at dataset.cars.size, cropped, and resized to
    generate.resolution. Depth is exact at the centres of the pixels that come out. None for other kinds of data,
    whose renderer is not here.
    """
    cars, camera, side = params.dataset.cars, params.camera, params.generate.resolution
    if params.dataset.kind != "cars" or cars is None:
        return None
    settings = crop_settings(params.dataset, [side])
    focal = 0.5 / math.tan(camera.fov / 2)
    view = find_view((cars.size, cars.size), Intrinsics(focal, focal, 0.5, 0.5), settings)
    fov = camera.fov if view.fov is None else view.fov

    def shot(scene: Scene, pose: Pose) -> Shot:
        fine = render_image(scene, pose, camera.fov, cars.size, cars.supersampling)
        image = resize_view(Image.fromarray(fine), view, settings)[side]
        return image, render_depth(scene, pose, fov, side)

    objects = min(params.generate.consistency_latents, MOST)
    seeds = [[params.evaluate.seed, car, OTHER_CARS] for car in range(objects)]
    return turned_cars(seeds, camera, fov, shot)


def turned_cars(
    seeds: Sequence[Sequence[int]], camera: Camera, fov: float, shot: Callable[[Scene, Pose], Shot]
) -> TurnedViews:
    """A car a seed, each from five neighbouring yaws around the usual pose, as `shot` takes its pictures."""
    yaw = camera.yaw_mean + torch.tensor(CONSISTENCY_YAWS, dtype=torch.float64)
    poses = look_at_origin(yaw, torch.full_like(yaw, usual_pitch(camera)), camera.radius).numpy()
    reach = camera.radius * math.sin(camera.fov / 2)
    scenes = [sample_car(np.random.default_rng(seed), reach) for seed in seeds]
    shots = [[shot(scene, pose) for pose in poses] for scene in scenes]
    images, depth = (np.array([[one[part] for one in views] for views in shots]) for part in (0, 1))
    return TurnedViews(images, depth, poses.astype(np.float32), fov)
