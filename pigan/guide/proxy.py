"""Objects that stand in for the ones of a data set: embedded cars, and plain heads, ray traced by the same code."""

from typing import Literal

import numpy as np
from jaxtyping import UInt8

from pigan.data.cars.paint import plain
from pigan.data.cars.raytrace import Scene, render
from pigan.data.cars.shape import sample_car
from pigan.data.cars.solids import Solid, ellipsoid
from pigan.rendering.cameras import edge_fov, sample_cameras
from pigan.sections import Camera

# heads hang so high above the floor that its shadow is out of sight
ALOFT = 20.0
SKINS = ((0.62, 0.40, 0.29), (0.42, 0.25, 0.16), (0.75, 0.52, 0.40), (0.22, 0.12, 0.08))
HAIRS = ((0.05, 0.03, 0.02), (0.22, 0.12, 0.05), (0.50, 0.36, 0.16), (0.10, 0.10, 0.11))


def render_proxies(
    kind: Literal["car", "head"], camera: Camera, reach: float, count: int, side: int, seed: int
) -> UInt8[np.ndarray, "count side side 3"]:
    """Stand-ins that fill the ball of radius `reach` (world units), seen from cameras drawn from the pose law."""
    cam2world, fov = sample_cameras(camera, count, seed).numpy(), edge_fov(camera, side)
    images = []
    for index, matrix in enumerate(cam2world):
        rng = np.random.default_rng([seed, index])
        scene = sample_car(rng, reach) if kind == "car" else sample_head(rng, reach)
        images.append(render(scene, matrix, fov, side, 2)[0])
    return np.stack(images)


def sample_head(rng: np.random.Generator, reach: float) -> Scene:
    """A head of ellipsoids that looks towards +z, all of it within `reach` (world units) of the origin."""
    skin = plain(SKINS[rng.integers(len(SKINS))], 0.02)
    hair = plain(HAIRS[rng.integers(len(HAIRS))], 0.02)
    white, dark, lip = plain((0.85, 0.85, 0.83), 0.05), plain((0.02, 0.02, 0.03), 0.05), plain((0.45, 0.12, 0.10), 0.02)
    wide, nose = rng.uniform(0.60, 0.70), rng.uniform(0.10, 0.16)
    parts: list[Solid] = [
        ellipsoid((0.0, ALOFT - 0.05, 0.0), (wide, 0.90, 0.75), skin),
        ellipsoid((0.0, ALOFT + 0.22, -0.17), (wide + 0.06, 0.76, 0.72), hair),
        ellipsoid((0.0, ALOFT - 0.12, 0.72), (0.09, 0.20, nose), skin),
        ellipsoid((0.0, ALOFT - 0.47, 0.60), (0.20, 0.05, 0.08), lip),
    ]
    for sign in (-1, 1):
        parts += [
            ellipsoid((sign * 0.26, ALOFT + 0.12, 0.62), (0.13, 0.08, 0.08), white),
            ellipsoid((sign * 0.26, ALOFT + 0.12, 0.68), (0.055, 0.06, 0.04), dark),
            ellipsoid((sign * 0.26, ALOFT + 0.28, 0.63), (0.16, 0.03, 0.06), hair),
            ellipsoid((sign * (wide + 0.02), ALOFT, -0.02), (0.07, 0.18, 0.11), skin),
        ]
    return Scene(tuple(parts), (0.35, 0.35), np.array([0.0, ALOFT, 0.0]), reach)
