from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pigan.rendering.render import Field
from pigan.synthesis.meshing import colours
from pigan.synthesis.meshing.colours import vertex_colours

RADIUS, SPACING = 0.2, 0.02
CAMERAS = torch.tensor([[1.0, 0, 0], [0, 0, 1.0], [0.6, 0.8, 0]])


@pytest.fixture
def sphere() -> tuple[np.ndarray, np.ndarray]:
    """Vertices and normals."""
    normals = np.random.default_rng(0).normal(size=(500, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return RADIUS * normals, normals.astype(np.float32)


def by_direction(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """An opaque ball whose colour is 0.5 + direction / 2."""
    return 0.5 + directions / 2, 1e7 * (RADIUS + 1e-4 - points.norm(dim=-1))


def ways(vertices: np.ndarray) -> np.ndarray:
    along = vertices[None] - CAMERAS.numpy().astype(np.float64)[:, None]
    return along / np.linalg.norm(along, axis=-1, keepdims=True)


def test_hard_surfaces_have_the_radiance_there(solid: Callable[..., Field], sphere: tuple) -> None:
    field = solid(lambda points: RADIUS + 1e-4 - points.norm(dim=-1), slope=1e9)
    seen = vertex_colours(field, *sphere, CAMERAS, SPACING, "relu")
    np.testing.assert_allclose(seen, 0.5 + sphere[0], atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "softplus", "sigmoid"])
def test_one_camera_sees_along_its_own_rays(sphere: tuple, activation: str) -> None:
    seen = vertex_colours(by_direction, *sphere, CAMERAS[:1], SPACING, activation)
    np.testing.assert_allclose(seen, 0.5 + ways(sphere[0])[0] / 2, atol=1e-5)


def test_several_cameras_count_as_the_surface_turns_to_them(sphere: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colours, "POINTS_A_PASS", 100 * colours.SAMPLES)
    seen = vertex_colours(by_direction, *sphere, CAMERAS, SPACING, "relu")
    along = ways(sphere[0])
    facing = -(along * sphere[1]).sum(-1)
    share = np.where(facing > 0, np.maximum(facing, colours.FROM_BEHIND), 0)
    share[:, (facing <= 0).all(0)] = 1
    expected = (share[..., None] * (0.5 + along / 2)).sum(0) / share.sum(0)[:, None]
    np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_fog_shows_what_lies_behind_its_skin() -> None:
    """Red down to a depth d, then blue, of one density: red is 1 - exp(-density d) of what the ray gathers."""
    density, depth, step = 40.0, 5 * SPACING * colours.SHARE, SPACING * colours.SHARE

    def layers(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        red = (points[..., :1] > -depth + step / 2).float()
        return torch.cat((red, torch.zeros_like(red), 1 - red), -1), torch.full(points.shape[:-1], density)

    seen = vertex_colours(layers, np.zeros((1, 3)), np.array([[1.0, 0, 0]], np.float32), CAMERAS[:1], SPACING, "relu")
    assert seen[0] == pytest.approx([1 - np.exp(-density * depth), 0, np.exp(-density * depth)], abs=1e-4)


def test_where_there_is_nothing_it_is_the_colour_of_the_place() -> None:
    def nothing(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        return (0.5 + points).clamp(0, 1), torch.full(points.shape[:-1], -1.0)

    place = np.array([[0.1, -0.2, 0.3]])
    seen = vertex_colours(nothing, place, np.array([[1.0, 0, 0]], np.float32), CAMERAS, SPACING, "relu")
    np.testing.assert_allclose(seen, 0.5 + place, atol=1e-6)
