from collections.abc import Callable

import numpy as np
import pytest
import torch
import trimesh

from pigan.rendering.render import Field
from pigan.synthesis.meshing.grid import density_slabs
from pigan.synthesis.meshing.measure import is_closed
from pigan.synthesis.meshing.repair import decimated, largest_piece, parted
from pigan.synthesis.meshing.surface import Surface, isosurface

SIDE, CPU = 0.5, torch.device("cpu")


def surface_of(field: Field, resolution: int = 48) -> Surface:
    return isosurface(density_slabs(field, SIDE, resolution, CPU), 0.0, resolution, SIDE).surface


def test_the_largest_piece_stays(solid: Callable[..., Field]) -> None:
    centres, radii = ((-0.1, 0.0, 0.0), (0.12, 0.1, 0.0), (0.15, -0.1, 0.1)), (0.1, 0.05, 0.02)

    def three(points: torch.Tensor) -> torch.Tensor:
        each = [r - (points - torch.tensor(c)).norm(dim=-1) for c, r in zip(centres, radii, strict=True)]
        return torch.stack(each).amax(0)

    whole = surface_of(solid(three))
    largest, count = largest_piece(whole)
    assert count == 3 and is_closed(largest) and len(largest.faces) < len(whole.faces)
    assert np.linalg.norm(largest.vertices - centres[0], axis=1) == pytest.approx(0.1, abs=3e-4)
    assert set(largest.faces.ravel()) == set(range(len(largest.vertices)))


@pytest.mark.parametrize(("faces", "far", "lost"), [(4000, 0.0015, 0.001), (1000, 0.004, 0.01), (300, 0.01, 0.03)])
def test_fewer_faces_stay_near_the_surface(
    solid: Callable[..., Field], shapes: dict, faces: int, far: float, lost: float
) -> None:
    whole = surface_of(solid(shapes["torus"]))
    fewer = decimated(whole, faces)
    assert 0.95 * faces <= len(fewer.faces) <= faces and is_closed(fewer)
    mesh = trimesh.Trimesh(*fewer, process=False)
    points = np.concatenate((fewer.vertices, mesh.triangles_center, mesh.vertices[mesh.edges_unique].mean(1)))
    # the tube is 0.06 thick
    assert float(shapes["torus"](torch.tensor(points, dtype=torch.float32)).abs().max()) < far
    assert mesh.volume == pytest.approx(trimesh.Trimesh(*whole, process=False).volume, rel=lost)
    assert mesh.euler_number == 0


def test_small_meshes_and_small_lengths_are_no_exception(solid: Callable[..., Field], shapes: dict) -> None:
    whole = surface_of(solid(shapes["ball"]), 24)
    assert decimated(whole, len(whole.faces)) is whole
    tiny = decimated(Surface(whole.vertices * 1e-4, whole.faces), 400)
    usual = decimated(whole, 400)
    assert len(tiny.faces) == len(usual.faces)
    np.testing.assert_allclose(tiny.vertices * 1e4, usual.vertices, atol=1e-6)
    again = decimated(whole, 400)
    assert np.array_equal(again.vertices, usual.vertices) and np.array_equal(again.faces, usual.faces)


def test_sheets_that_meet_in_an_edge_are_parted() -> None:
    """Two tetrahedra with an edge in common, and three in a row."""

    def tetrahedra(*corners: tuple[int, int, int, int]) -> Surface:
        vertices = np.random.default_rng(0).normal(size=(12, 3))
        faces = [face for a, b, c, d in corners for face in ((a, b, c), (a, d, b), (b, d, c), (c, d, a))]
        return Surface(vertices, np.array(faces, np.int32))

    for touching in (tetrahedra((0, 1, 2, 3), (0, 1, 4, 5)), tetrahedra((0, 1, 2, 3), (0, 1, 4, 5), (4, 5, 6, 7))):
        assert not is_closed(touching)
        apart = parted(touching)
        assert is_closed(apart) and len(apart.vertices) == len(touching.faces)
        assert np.array_equal(apart.vertices[apart.faces], touching.vertices[touching.faces])


@pytest.mark.parametrize("faces", [60, 100, 200, 400])
def test_thin_handles_leave_no_edge_of_four_faces(solid: Callable[..., Field], faces: int) -> None:
    """A plate full of holes, with far fewer faces than they need."""

    def plate(points: torch.Tensor) -> torch.Tensor:
        x, y, z = points.unbind(-1)
        holes = torch.hypot((x * 24).sin() / 24, (z * 24).sin() / 24) - 0.03
        inside = torch.minimum(0.02 - y.abs(), 0.2 - torch.maximum(x.abs(), z.abs()))
        return torch.minimum(inside, holes)

    whole = surface_of(solid(plate))
    assert is_closed(whole) and trimesh.Trimesh(*whole, process=False).euler_number < 0
    fewer = decimated(whole, faces)
    assert is_closed(fewer)
