"""The embedded dataset: views of procedural cars, written as posed RGB-D images."""

import json
import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from pigan.data.cars.view import CarJob, render_car
from pigan.data.parallel import ordered_map
from pigan.data.posed.frames import TRANSFORMS
from pigan.progress import track
from pigan.rendering.cameras import look_at_origin, poses_of
from pigan.sections import Camera, Cars


def render_cars(cars: Cars, camera: Camera, out: Path, workers: int = 2) -> None:
    """Render every view into the directory `out`: images/*.png, depth/*.npy and transforms.json.

    Car k depends on (cars.seed, k) alone and poses on cars.seed alone, so bytes do not depend on `workers`. The cars
    fill the sphere around the origin that every camera sees whole; fov spans the outer edges of the image.
    """
    for folder in ("images", "depth"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    poses = camera_poses(cars, camera)
    jobs = [
        CarJob(
            seed=cars.seed,
            car=car,
            first_view=first,
            cam2world=poses[first : first + cars.views_per_car],
            fov=camera.fov,
            reach=camera.radius * math.sin(camera.fov / 2),
            size=cars.size,
            supersampling=cars.supersampling,
            out=out,
        )
        for car, first in enumerate(range(0, cars.views, cars.views_per_car))
    ]
    frames = []
    for job, done in zip(jobs, track(ordered_map(render_car, jobs, workers), len(jobs), "cars", "car"), strict=True):
        frames += [
            {
                "file_path": f"images/{done + offset:05d}.png",
                "depth_file_path": f"depth/{done + offset:05d}.npy",
                "transform_matrix": matrix.tolist(),
                "object": job.car,
            }
            for offset, matrix in enumerate(job.cam2world)
        ]
    transforms = {"camera_angle_x": camera.fov, "w": cars.size, "h": cars.size, "frames": frames}
    (out / TRANSFORMS).write_text(json.dumps(transforms, indent=1) + "\n", encoding="utf-8")


def camera_poses(cars: Cars, camera: Camera) -> Float[np.ndarray, "views 4 4"]:
    """cam2world of every view, drawn from the camera's pose law."""
    generator = torch.Generator().manual_seed(cars.seed)
    yaw, pitch = poses_of(camera, cars.views, generator)
    return look_at_origin(yaw.double(), pitch.double(), camera.radius).numpy()
