"""The embedded dataset: views of procedural cars, written as posed RGB-D images."""

import json
import math
from pathlib import Path

from pigan.data.cars.view import CarJob, render_car
from pigan.data.parallel import ordered_map
from pigan.data.posed.frames import TRANSFORMS
from pigan.dataset_sections import Cars
from pigan.progress import track
from pigan.rendering.cameras import sample_cameras
from pigan.sections import Camera


def render_cars(cars: Cars, camera: Camera, out: Path, workers: int = 2) -> None:
    """Render every view into the directory `out`: images/*.png, depth/*.npy and transforms.json.

    Car k depends on (cars.seed, k) alone and poses on cars.seed alone, so bytes do not depend on `workers`. The cars
    fill the sphere around the origin that every camera sees whole; fov spans the outer edges of the image.
    """
    for folder in ("images", "depth"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    poses = sample_cameras(camera, cars.views, cars.seed).numpy()
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
