import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pigan import config, sections
from pigan.rendering.render import Field
from pigan.synthesis.meshing.level import half_alpha_level, outline_level, outline_of

CPU = torch.device("cpu")
RADIUS = 0.2


def model(params: config.Params, **changes: object) -> sections.Model:
    return params.model.model_copy(update=changes)


def level_of(field: Field, model: sections.Model, camera: sections.Camera, samples: int) -> float:
    return outline_level(outline_of(field, model, camera, samples, CPU), half_alpha_level(model, camera))


def cloud(peak: float, grey: float = 0.3) -> Field:
    """Density falls in a straight line from `peak` at the origin to 0 at RADIUS, and on."""

    def field(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        return torch.full_like(points, grey), peak * (1 - points.norm(dim=-1) / RADIUS)

    return field


@pytest.mark.parametrize("samples", [4, 12, 48])
def test_half_alpha_is_half_of_alpha(tiny_params: config.Params, samples: int) -> None:
    camera = tiny_params.camera
    delta = (camera.far - camera.near) / samples
    relu = half_alpha_level(model(tiny_params, samples=samples), camera)
    assert 1 - math.exp(-delta * relu) == pytest.approx(0.5)
    soft = half_alpha_level(model(tiny_params, samples=samples, density_activation="softplus"), camera)
    assert 1 - math.exp(-delta * math.log1p(math.exp(soft))) == pytest.approx(0.5)
    opacity = half_alpha_level(model(tiny_params, samples=samples, field="sincos-concat"), camera)
    assert 1 / (1 + math.exp(-opacity)) == 0.5


@pytest.mark.parametrize("peak", [8.0, 15.0, 60.0])
def test_fog_is_as_large_as_its_opaque_part(tiny_params: config.Params, peak: float) -> None:
    """Where a chord through the cloud stops half of the light, its densest point has the level."""
    level = level_of(cloud(peak), model(tiny_params, samples=64), tiny_params.camera, 64)
    along = np.linspace(-RADIUS, RADIUS, 4001)
    offsets = np.linspace(0, RADIUS, 801)
    density = peak * (1 - np.hypot(offsets[:, None], along) / RADIUS).clip(0)
    opaque = 1 - np.exp(-np.trapezoid(density, along, axis=1)) >= 0.5
    edge = offsets[opaque].max()
    assert RADIUS * (1 - level / peak) == pytest.approx(edge, abs=0.006)


def test_of_all_levels_with_the_same_outline_it_is_that_of_half_an_alpha(
    tiny_params: config.Params, solid: Callable[..., Field], shapes: dict
) -> None:
    hard = solid(lambda points: torch.where(shapes["ball"](points) > 0, 1.0, -1.0), slope=500.0)
    for changes in ({"samples": 24}, {"samples": 8, "hierarchical": True}, {"density_activation": "softplus"}):
        chosen = model(tiny_params, **changes)
        level = level_of(hard, chosen, tiny_params.camera, chosen.samples)
        assert level == pytest.approx(half_alpha_level(chosen, tiny_params.camera), abs=1e-6)


@pytest.mark.parametrize(("background", "grey"), [("white", 1.0), ("none", 0.0)])
def test_fog_that_nobody_sees_does_not_count(tiny_params: config.Params, background: str, grey: float) -> None:
    chosen, camera = model(tiny_params, eval_background=background, samples=64), tiny_params.camera
    alone = level_of(cloud(60.0, 0.5), chosen, camera, 64)

    def in_mist(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        colour, density = cloud(60.0, 0.5)(points, directions)
        mist = torch.full_like(density, 3.0)
        return torch.where((density > mist)[..., None], colour, torch.full_like(colour, grey)), density.maximum(mist)

    # it would be that of the mist, 3, or less
    assert 4.5 < level_of(in_mist, chosen, camera, 64) <= alone
    assert level_of(cloud(60.0, grey), chosen, camera, 64) == half_alpha_level(chosen, camera)
    # where the background is the last sample itself, all of it is seen
    last = model(tiny_params, eval_background="last", samples=64)
    assert level_of(cloud(60.0, grey), last, camera, 64) == pytest.approx(alone, rel=0.1)


def test_where_nothing_stops_a_ray_it_is_the_usual_one(tiny_params: config.Params) -> None:
    thin = level_of(cloud(0.1), tiny_params.model, tiny_params.camera, 16)
    assert thin == half_alpha_level(tiny_params.model, tiny_params.camera)


def test_where_every_ray_is_stopped_there_is_a_level_below_all(tiny_params: config.Params) -> None:
    def wall(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(points), torch.full(points.shape[:-1], 3.0)

    assert level_of(wall, tiny_params.model, tiny_params.camera, 16) <= 3.0


def test_a_background_of_white_surfaces_is_painted_and_a_white_object_is_not(tiny_params: config.Params) -> None:
    chosen, camera = model(tiny_params, eval_background="white", samples=16), tiny_params.camera

    def behind_white(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        colour, density = cloud(60.0)(points, directions)
        white = (points.norm(dim=-1) > 0.2)[..., None]
        return torch.where(white, torch.ones_like(colour), colour), density.clamp_min(0) + 30 * white[..., 0]

    assert outline_of(behind_white, chosen, camera, 16, CPU).painted
    for grey in (0.3, 1.0):
        alone = outline_of(cloud(60.0, grey), chosen, camera, 16, CPU)
        assert not alone.painted and 0 < 2 * alone.stopped < len(alone.densest)
        assert alone.shown == (alone.stopped if grey < 1 else 0)
