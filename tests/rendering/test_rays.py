import math

import pytest
import torch

from pigan.rendering.cameras import look_at_origin
from pigan.rendering.rays import distance_to_z, pixel_directions, world_rays


@pytest.mark.parametrize("resolution", [2, 5, 64])
def test_angle_spans_the_centres_of_the_outer_pixels_like_the_authors(resolution):
    rays = pixel_directions(resolution, 0.5, align_corners=True).reshape(resolution, resolution, 3)
    middle_row = rays[[0, -1]].mean(0) if resolution % 2 == 0 else rays[resolution // 2]
    left, right = middle_row[0], middle_row[-1]
    assert math.isclose(math.atan2(float(right[0] - left[0]) / 2, -float(right[2])), 0.25, abs_tol=1e-5)


def test_angle_spans_the_outer_edges_like_nerf_files():
    fov, resolution = 0.7, 8
    rays = pixel_directions(resolution, fov, align_corners=False).reshape(resolution, resolution, 3)
    slopes = rays[0, :, 0] / -rays[0, :, 2]
    half_pixel = (slopes[1] - slopes[0]) / 2
    assert math.isclose(float(slopes[-1] + half_pixel), math.tan(fov / 2), abs_tol=1e-6)


def test_first_pixel_is_top_left():
    rays = pixel_directions(4, 0.5, align_corners=True)
    assert rays[0, 0] < 0 < rays[0, 1] and rays[-1, 0] > 0 > rays[-1, 1]
    assert torch.allclose(rays.norm(dim=-1), torch.ones(16))


def test_middle_ray_passes_through_the_origin_from_anywhere():
    pose = look_at_origin(torch.tensor([0.3, 2.0]), torch.tensor([1.0, 0.4]), 2.0)
    origins, directions = world_rays(pose, pixel_directions(3, 0.5, align_corners=True))
    assert torch.allclose(origins + 2.0 * directions[:, 4], torch.zeros(2, 3), atol=1e-6)


def test_z_depth_of_a_plane_facing_the_camera_is_constant():
    rays = pixel_directions(6, 0.9, align_corners=False)
    distance_to_plane = 1.5 / -rays[:, 2]
    assert torch.allclose(distance_to_z(distance_to_plane[None], rays), torch.full((1, 36), 1.5))
