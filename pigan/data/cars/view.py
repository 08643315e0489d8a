"""The work of one renderer process: all views of one car (this module loads fast, without torch)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from pigan.data.cars.raytrace import render
from pigan.data.cars.shape import sample_car


@dataclass(frozen=True, eq=False)
class CarJob:
    """All views of one car."""

    seed: int
    car: int
    first_view: int
    cam2world: Float[np.ndarray, "views 4 4"]
    fov: float
    reach: float
    size: int
    supersampling: int
    out: Path


def render_car(job: CarJob) -> int:
    """Render and write the views of one car; the number of the first."""
    scene = sample_car(np.random.default_rng([job.seed, job.car]), job.reach)
    for view, matrix in enumerate(job.cam2world, job.first_view):
        image, depth = render(scene, matrix, job.fov, job.size, job.supersampling)
        Image.fromarray(image).save(job.out / "images" / f"{view:05d}.png")
        np.save(job.out / "depth" / f"{view:05d}.npy", depth)
    return job.first_view
