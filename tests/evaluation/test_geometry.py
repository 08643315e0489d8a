import math

import pytest
import torch

from pigan.evaluation.geometry import project, unproject
from pigan.rendering.cameras import look_at_origin

FOV = math.radians(30)
LEVEL = torch.tensor(math.pi / 2)


@pytest.mark.parametrize("align_corners", [True, False])
def test_projecting_what_was_unprojected_finds_the_same_places(align_corners: bool) -> None:
    camera = look_at_origin(LEVEL + 0.3, torch.tensor(1.3), 1.0).double()
    depth = torch.linspace(0.8, 1.2, 64, dtype=torch.float64).reshape(8, 8)
    depth[2, 5] = torch.nan
    places, z = project(unproject(depth, camera, FOV, align_corners), camera, FOV, 8, align_corners)
    expected = torch.cartesian_prod(torch.arange(8.0), torch.arange(8.0)).double()
    expected[2 * 8 + 5] = torch.nan
    # cameras are made in float32
    torch.testing.assert_close(places, expected, equal_nan=True, atol=1e-4, rtol=0)
    torch.testing.assert_close(z, depth.flatten(), equal_nan=True, atol=1e-6, rtol=0)


def test_corner_pixels_span_the_field_of_view_as_the_flag_says() -> None:
    camera = look_at_origin(LEVEL, LEVEL, 1.0).double()
    depth = torch.ones(4, 4, dtype=torch.float64)
    edge = math.tan(FOV / 2)
    corner = unproject(depth, camera, FOV, True)[0]
    torch.testing.assert_close(corner, torch.tensor([-edge, edge, 0], dtype=torch.float64), atol=1e-6, rtol=0)
    centre = unproject(depth, camera, FOV, False)[0]
    expected = torch.tensor([-0.75 * edge, 0.75 * edge, 0], dtype=torch.float64)
    torch.testing.assert_close(centre, expected, atol=1e-6, rtol=0)


def test_points_behind_the_camera_have_no_place() -> None:
    points = torch.tensor([[0, 0, -1], [0, 0, 1], [math.nan, 0, -1]], dtype=torch.float64)
    places, z = project(points, torch.eye(4, dtype=torch.float64), FOV, 3, False)
    torch.testing.assert_close(places[0], torch.ones(2, dtype=torch.float64))
    assert places[1].isnan().all() and places[2].isnan().any()
    assert z[:2].tolist() == [1, -1]
