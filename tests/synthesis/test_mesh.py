import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from pigan import config
from pigan.errors import PiganError
from pigan.models.generator import Generator
from pigan.rendering.cameras import look_at_origin, position_on_sphere
from pigan.synthesis.choices import SurfaceKind
from pigan.synthesis.mesh import Look, MeshSettings, NoSurface, mesh_of, mesh_of_field
from pigan.synthesis.meshing.grid import box_side
from pigan.synthesis.meshing.picture import mesh_images
from pigan.synthesis.views import draw_codes, render_views, usual_pitch

CPU = torch.device("cpu")
CENTRE, RADIUS = (0.05, 0.02, -0.03), 0.12


@pytest.fixture
def look(tiny_params: config.Params) -> Look:
    return Look(tiny_params.camera, 0.05, "relu")


def balls(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """A ball and a small one beside it; the colour tells the way that one looks."""
    one = RADIUS - (points - torch.tensor(CENTRE)).norm(dim=-1)
    other = 0.03 - (points - torch.tensor([-0.2, 0.0, 0.0])).norm(dim=-1)
    return 0.5 + directions / 2, 1e7 * torch.maximum(one, other)


def settings(**changes: Any) -> MeshSettings:
    return MeshSettings(**{"resolution": 40, "surface": "density", "level": 1.0, "side": 0.5} | changes)


def test_facts_are_those_of_the_mesh(look: Look) -> None:
    mesh, facts = mesh_of_field(balls, look, settings(), CPU)
    assert (facts.vertices, facts.faces) == (len(mesh.vertices), len(mesh.faces))
    assert facts.watertight and mesh.is_watertight and not facts.cut and facts.pieces == 2
    assert facts.volume == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.01)
    assert facts.area == pytest.approx(4 * math.pi * RADIUS**2, rel=0.01)
    assert np.mean(facts.bounds, axis=0) == pytest.approx(CENTRE, abs=1e-4)
    assert mesh.bounds.tolist() == facts.bounds
    assert (facts.level, facts.side, facts.resolution) == (1.0, 0.5, 40) and facts.lowest < 0 < facts.highest


def test_pieces_faces_and_walls_are_as_asked(look: Look) -> None:
    both, facts = mesh_of_field(balls, look, settings(largest=False), CPU)
    assert facts.pieces == 2 and facts.watertight and both.body_count == 2
    few, told = mesh_of_field(balls, look, settings(faces=500), CPU)
    assert len(few.faces) == told.faces <= 500 and told.watertight
    cut, told = mesh_of_field(balls, look, settings(side=0.16, closed=False), CPU)
    assert told.cut and not told.watertight and not cut.is_watertight
    shut, told = mesh_of_field(balls, look, settings(side=0.16), CPU)
    assert told.cut and told.watertight and shut.is_watertight


def test_slabs_make_no_difference(look: Look) -> None:
    one = mesh_of_field(balls, look, settings(), CPU)
    other = mesh_of_field(balls, look, settings(), CPU, values_a_slab=40 * 40 * 3)
    assert one[1] == other[1] and np.array_equal(one[0].faces, other[0].faces)
    assert np.array_equal(one[0].visual.vertex_colors, other[0].visual.vertex_colors)


def test_colours_are_those_of_the_view(look: Look) -> None:
    yaw, pitch = 0.7, 1.1
    mesh, _ = mesh_of_field(balls, look, settings(colours="view", yaw=yaw, pitch=pitch), CPU)
    camera = position_on_sphere(torch.tensor(yaw), torch.tensor(pitch), look.camera.radius).numpy()
    along = mesh.vertices - camera
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    seen = mesh.visual.vertex_colors[:, :3] / 255
    assert np.abs(seen - (0.5 + along / 2)).max() < 0.004
    usual, _ = mesh_of_field(balls, look, settings(colours="view"), CPU)
    assert np.abs(usual.visual.vertex_colors.astype(int) - mesh.visual.vertex_colors).max() > 20
    bare, _ = mesh_of_field(balls, look, settings(colours="none"), CPU)
    assert bare.visual.kind is None and np.array_equal(bare.vertices, mesh.vertices)
    # from all round the ways cancel
    mean, _ = mesh_of_field(balls, look, settings(colours="average"), CPU)
    assert mean.visual.vertex_colors[:, [0, 2]].mean() == pytest.approx(127.5, abs=3)


def test_an_opaque_surface_has_no_hollow_and_no_hole(look: Look) -> None:
    """A shell whose wall has a thin place: one density leaves a hole there and the inside, no ray goes through."""

    def shell(points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        away = points.norm(dim=-1)
        thin = (points[..., 0] > 0.1) & (points[..., 1:].norm(dim=-1) < 0.08)
        density = torch.where((away < 0.15) & (away > 0.1), torch.where(thin, 60.0, 400.0), 0.0)
        return torch.full_like(points, 0.5), density

    dense, facts = mesh_of_field(shell, look, settings(level=100.0), CPU)
    assert dense.euler_number < 4 and facts.volume < 0.8 * 4 / 3 * math.pi * 0.15**3
    opaque, facts = mesh_of_field(shell, look, settings(surface="opaque", level=0.4), CPU)
    assert facts.watertight and facts.pieces == 1 and opaque.euler_number == 2
    assert facts.volume == pytest.approx(4 / 3 * math.pi * 0.15**3, rel=0.06)
    assert (facts.surface, facts.level) == ("opaque", 0.4) and 0 <= facts.lowest < 0.01 and facts.highest > 0.99


def test_what_cannot_be_opaque_is_said(look: Look) -> None:
    with pytest.raises(PiganError, match=r"a grid of 513 points a side is too large .* \(at most 512\); ask for"):
        mesh_of_field(balls, look, settings(surface="opaque", level=0.4, resolution=513), CPU)
    with pytest.raises(NoSurface, match=r"shares of light that is lost .* are 0 to "):
        mesh_of_field(lambda p, d: (p, -p[..., 0].abs()), look, settings(surface="opaque", level=0.4), CPU)


@pytest.mark.parametrize("level", [-1e9, 1e9])
def test_no_surface_is_one_line_with_the_range_of_densities(look: Look, level: float) -> None:
    with pytest.raises(
        NoSurface, match=r"no surface at level -?1e\+09: densities .* are -.*e\+06 to .*e\+0[56]"
    ) as error:
        mesh_of_field(balls, look, settings(level=level, closed=False), CPU)
    assert "\n" not in str(error.value) and str(error.value).endswith("choose a level between them")


def test_a_model_gives_the_same_mesh_as_large_as_its_images(generator: Generator, tiny_params: config.Params) -> None:
    code = draw_codes(generator, 1, 0.7, tiny_params, "strip")
    mesh, facts = mesh_of(generator, code, tiny_params, MeshSettings(32, largest=False))
    again, told = mesh_of(generator, code, tiny_params, MeshSettings(32, largest=False))
    assert facts == told and np.array_equal(mesh.vertices, again.vertices)
    assert np.array_equal(mesh.visual.vertex_colors, again.visual.vertex_colors)
    assert facts.side == box_side(tiny_params.camera) and facts.lowest < facts.level < facts.highest
    assert np.abs(facts.bounds).max() <= facts.side / 2 + 1e-9
    given, told = mesh_of(
        generator,
        code,
        tiny_params,
        MeshSettings(32, surface=facts.surface, level=facts.level, side=facts.side, largest=False),
    )
    assert told == facts and np.array_equal(given.vertices, mesh.vertices)


@pytest.mark.parametrize(("surface", "level"), [("opaque", 0.2), ("density", None)])
def test_the_mesh_stands_where_images_show_the_object(
    balls: Generator, ball_params: config.Params, surface: SurfaceKind, level: float | None
) -> None:
    """A fitted model of solid balls: the mesh covers the pixels whose depth is known, and is as far away."""
    camera, side = ball_params.camera, 32
    code = draw_codes(balls, 1, 1.0, ball_params, "strip")
    yaw, pitch = torch.tensor([0.9]), torch.tensor([usual_pitch(camera)])
    views = render_views(balls, code, yaw, pitch, side, ball_params)
    mesh, facts = mesh_of(balls, code, ball_params, MeshSettings(40, surface=surface, level=level))
    assert facts.watertight and facts.surface == surface
    paint = mesh_images(mesh, look_at_origin(yaw, pitch, camera.radius), camera, side)[0]
    there, solid = (paint < 255).any(-1), np.isfinite(views.depth[0])
    assert (there & solid).sum() / (there | solid).sum() > 0.85
    # white shines through its foggy edge
    shown = ndimage.binary_erosion(there & solid)
    assert np.corrcoef(paint[shown].ravel(), views.images[0][shown].ravel())[0, 1] > 0.9
