import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pigan import config
from pigan.rendering.cameras import look_at_origin
from pigan.rendering.rays import pixel_directions, world_rays
from pigan.synthesis.meshing import grid
from pigan.synthesis.meshing.grid import box_side, density_slabs

CPU = torch.device("cpu")


def place(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """A density that tells where it was asked for."""
    return points, points @ torch.tensor([1.0, 10.0, 100.0])


@pytest.mark.parametrize(("values", "pass_"), [(1 << 22, 1 << 18), (1, 7), (7 * 7 * 3, 50)])
def test_every_point_is_asked_for_once_in_its_place(monkeypatch: pytest.MonkeyPatch, values: int, pass_: int) -> None:
    monkeypatch.setattr(grid, "POINTS_A_PASS", pass_)
    slabs = list(density_slabs(place, 0.6, 7, CPU, values))
    ticks = np.linspace(-0.3, 0.3, 7)
    expected = ticks[:, None, None] + 10 * ticks[:, None] + 100 * ticks
    np.testing.assert_allclose(np.concatenate(slabs), expected, atol=1e-5)
    assert [len(slab) for slab in slabs] == {1 << 22: [7], 1: [1] * 7, 147: [3, 3, 1]}[values]


def test_the_cube_holds_what_images_show_at_the_object(tiny_params: config.Params) -> None:
    camera = tiny_params.camera
    half = box_side(camera) / 2
    assert half >= camera.radius - camera.near and half >= camera.far - camera.radius
    level = torch.tensor([math.pi / 2])
    origins, directions = world_rays(
        look_at_origin(level, level, camera.radius), pixel_directions(8, camera.fov, False)
    )
    points = origins[:, None] + directions * (camera.radius / -directions[..., 2:])
    assert float(points.abs().max()) <= half
    # the authors' box on CelebA is as large
    faces = camera.model_copy(update={"fov_degrees": 12.0, "near": 0.88, "far": 1.12})
    assert box_side(faces) == pytest.approx(0.24)
