import math

import numpy as np
import pytest
import torch
import trimesh

from pigan import config
from pigan.rendering.cameras import look_at_origin
from pigan.synthesis.meshing.formats import as_trimesh
from pigan.synthesis.meshing.measure import vertex_normals
from pigan.synthesis.meshing.picture import mesh_images
from pigan.synthesis.meshing.surface import Surface

SIDE = 64


def ball(centre: tuple[float, float, float], radius: float, colour: tuple[float, float, float]) -> trimesh.Trimesh:
    shape = trimesh.creation.icosphere(5, radius)
    faces = np.asarray(shape.faces, np.int32)
    surface = Surface(np.asarray(shape.vertices, np.float64) + centre, faces)
    return as_trimesh(surface, vertex_normals(surface), np.tile(np.float32(colour), (len(surface.vertices), 1)))


def front() -> torch.Tensor:
    level = torch.tensor([math.pi / 2])
    return look_at_origin(level, level, 1.0)


def test_a_ball_is_a_disc_of_its_size_in_its_colour(tiny_params: config.Params) -> None:
    camera = tiny_params.camera.model_copy(update={"radius": 1.0, "fov_degrees": 30.0, "align_corners": False})
    paint, clay = mesh_images(ball((0, 0, 0), 0.15, (1.0, 0.0, 0.2)), front(), camera, SIDE)
    inside = (paint == (255, 0, 51)).all(-1)
    # its edge is seen at asin(radius / distance)
    radius = math.tan(math.asin(0.15)) / math.tan(camera.fov / 2) * SIDE / 2
    assert inside.sum() == pytest.approx(math.pi * radius**2, rel=0.06)
    assert (paint[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
    # the light stands at the camera: clay is brightest in the middle and dark at the edge
    middle, edge = clay[SIDE // 2, SIDE // 2], clay[SIDE // 2, SIDE // 2 - int(radius) + 1]
    assert middle.mean() > 190 > 150 > edge.mean()
    assert ((clay == 255).all(-1) == (paint == 255).all(-1)).all()


def test_up_is_up_and_right_is_right(tiny_params: config.Params) -> None:
    camera = tiny_params.camera.model_copy(update={"radius": 1.0})
    for centre, rows, columns in (((0, 0.12, 0), -1, 0), ((0.12, 0, 0), 0, 1), ((0, -0.1, 0.02), 1, 0)):
        seen = (mesh_images(ball(centre, 0.05, (0, 0, 0)), front(), camera, SIDE)[0] < 128).all(-1)
        row, column = (axis.mean() - (SIDE - 1) / 2 for axis in np.nonzero(seen))
        assert np.sign(row) * (abs(row) > 2) == rows and np.sign(column) * (abs(column) > 2) == columns


def test_without_colours_both_are_clay(tiny_params: config.Params) -> None:
    shape = trimesh.creation.icosphere(2, 0.1)
    surface = Surface(np.asarray(shape.vertices), np.asarray(shape.faces, np.int32))
    bare = as_trimesh(surface, vertex_normals(surface))
    paint, clay = mesh_images(bare, front(), tiny_params.camera, 16)
    assert np.array_equal(paint, clay) and (clay < 255).any()
