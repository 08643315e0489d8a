"""Fields whose surfaces are known in closed form: densities that fall by one a thousandth of a world unit."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pigan.rendering.render import Field

SLOPE = 1000.0
CPU = torch.device("cpu")

Distance = Callable[[Tensor], Tensor]
"""Signed distance of points to a surface, positive inside."""


def field_with(distance: Distance, slope: float = SLOPE) -> Field:
    """Colour tells the place: 0.5 + point."""

    def field(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        return (0.5 + points).clamp(0, 1), slope * distance(points)

    return field


def ball(centre: tuple[float, float, float], radius: float) -> Distance:
    return lambda points: radius - (points - torch.tensor(centre)).norm(dim=-1)


def box(centre: tuple[float, float, float], half: tuple[float, float, float]) -> Distance:
    def distance(points: Tensor) -> Tensor:
        beyond = (points - torch.tensor(centre)).abs() - torch.tensor(half)
        return -(beyond.clamp_min(0).norm(dim=-1) + beyond.amax(-1).clamp_max(0))

    return distance


def torus(ring: float, tube: float) -> Distance:
    """Around the y axis."""

    def distance(points: Tensor) -> Tensor:
        away = points[..., [0, 2]].norm(dim=-1) - ring
        return tube - torch.hypot(away, points[..., 1])

    return distance


@pytest.fixture
def shapes() -> dict[str, Distance]:
    """A ball, a box and a torus, off the centre and unlike along each axis."""
    return {
        "ball": ball((0.03, -0.02, 0.01), 0.15),
        "box": box((0.02, -0.03, 0.01), (0.17, 0.11, 0.06)),
        "torus": torus(0.15, 0.06),
    }


@pytest.fixture
def solid() -> Callable[..., Field]:
    """Makes a field of a signed distance."""
    return field_with
