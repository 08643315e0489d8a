import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest
import torch
import trimesh
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from pigan.errors import PiganError
from pigan.rendering.render import Field
from pigan.synthesis.meshing import surface as module
from pigan.synthesis.meshing.grid import density_slabs
from pigan.synthesis.meshing.measure import is_closed
from pigan.synthesis.meshing.surface import Isosurface, Surface, isosurface

SIDE, RESOLUTION = 0.5, 56
STEP = SIDE / (RESOLUTION - 1)
CPU = torch.device("cpu")

Solid = Callable[..., Field]


def found(field: Field, level: float = 0.0, resolution: int = RESOLUTION, closed: bool = True) -> Isosurface:
    return isosurface(density_slabs(field, SIDE, resolution, CPU), level, resolution, SIDE, closed)


def plain(surface: Surface) -> trimesh.Trimesh:
    return trimesh.Trimesh(surface.vertices, surface.faces, process=False)


def slabs_of(values: np.ndarray, ends: list[int]) -> Iterator[np.ndarray]:
    """Copies, since walls are made in place."""
    return (values[start:stop].copy() for start, stop in pairwise([0, *ends, len(values)]))


# volume, area, centroid, and how far the mesh lies from the surface in grid steps (edges of the box are bevelled)
BALL, BOX, TORUS = 0.15, (0.34, 0.22, 0.12), (0.15, 0.06)
CLOSED_FORMS = {
    "ball": (4 / 3 * math.pi * BALL**3, 4 * math.pi * BALL**2, (0.03, -0.02, 0.01), 0.025),
    "box": (math.prod(BOX), 2 * (BOX[0] * BOX[1] + BOX[1] * BOX[2] + BOX[2] * BOX[0]), (0.02, -0.03, 0.01), 0.62),
    "torus": (2 * math.pi**2 * TORUS[0] * TORUS[1] ** 2, 4 * math.pi**2 * TORUS[0] * TORUS[1], (0, 0, 0), 0.05),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_analytic_shapes_have_their_volume_area_and_place(shapes: dict, solid: Solid, name: str) -> None:
    volume, area, centroid, off = CLOSED_FORMS[name]
    surface, lowest, highest, cut = found(solid(shapes[name]))
    mesh = plain(surface)
    assert mesh.volume == pytest.approx(volume, rel=0.006) and mesh.area == pytest.approx(
        area, rel=0.035 if name == "box" else 0.003
    )
    assert mesh.center_mass == pytest.approx(centroid, abs=0.03 * STEP)
    assert is_closed(surface) and mesh.is_watertight and mesh.is_winding_consistent and not cut
    assert mesh.euler_number == (0 if name == "torus" else 2)
    assert lowest < 0 < highest
    # every vertex, and every middle of a face, lies on the surface: Hausdorff distance from the mesh
    places = np.concatenate((surface.vertices, mesh.triangles_center))
    distance = shapes[name](torch.tensor(places, dtype=torch.float32)).abs()
    assert float(distance.max()) < off * STEP + 2e-6
    # and back: what lies on the surface, a step from the next point or less, has a bit of the mesh beside it
    ticks = torch.linspace(-SIDE / 2, SIDE / 2, RESOLUTION)
    points = torch.cartesian_prod(ticks, ticks, ticks)
    points = points[shapes[name](points).abs() < 0.2 * STEP].numpy()
    assert len(points) > 1000 and cKDTree(places).query(points)[0].max() < 1.3 * STEP


def test_axes_keep_their_names(shapes: dict, solid: Solid) -> None:
    surface = found(solid(shapes["box"])).surface
    low, high = surface.vertices.min(0), surface.vertices.max(0)
    # distances are linear next to the walls, so that they stand exactly
    assert low == pytest.approx([-0.15, -0.14, -0.05], abs=1e-5)
    assert high == pytest.approx([0.19, 0.08, 0.07], abs=1e-5)


def test_faces_are_wound_outwards(shapes: dict, solid: Solid) -> None:
    mesh = plain(found(solid(shapes["ball"])).surface)
    outward = mesh.triangles_center - CLOSED_FORMS["ball"][2]
    assert ((mesh.face_normals * outward).sum(1) > 0).all()


def test_slabs_of_any_thickness_weld_to_the_same_mesh() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(20, 20, 20)).astype(np.float32)
    values[5:8, 4, 4] = 0.25
    whole = isosurface(slabs_of(values, []), 0.25, 20, SIDE)
    for ends in ([1], [10], list(range(1, 20)), [3, 4, 9, 17]):
        parts = isosurface(slabs_of(values, ends), 0.25, 20, SIDE)
        assert np.array_equal(parts.surface.vertices, whole.surface.vertices)
        assert np.array_equal(parts.surface.faces, whole.surface.faces)
        assert (parts.lowest, parts.highest, parts.cut) == (whole.lowest, whole.highest, whole.cut)
    assert (whole.lowest, whole.highest) == (float(values.min()), float(values.max()))


def test_it_is_the_mesh_of_all_cells_at_once(shapes: dict, solid: Solid) -> None:
    values = np.concatenate(list(density_slabs(solid(shapes["torus"]), SIDE, RESOLUTION, CPU)))
    places, corners, _, _ = marching_cubes(values, 0.0, gradient_direction="ascent")
    reference = trimesh.Trimesh(places.astype(np.float64) * STEP - SIDE / 2, corners, process=False)
    ours = plain(found(solid(shapes["torus"])).surface)
    assert len(ours.faces) == len(reference.faces) and len(ours.vertices) == len(reference.vertices)
    # places are rounded to 2^-21 of the cube
    order, other = (np.lexsort(mesh.vertices.round(5).T) for mesh in (ours, reference))
    assert np.abs(ours.vertices[order] - reference.vertices[other]).max() < 2e-5
    assert ours.volume == pytest.approx(reference.volume, rel=1e-5)


def test_what_the_cube_cuts_gets_walls_or_holes(solid: Solid) -> None:
    everywhere = found(solid(lambda points: 1 - points.norm(dim=-1)))
    assert everywhere.cut and is_closed(everywhere.surface)
    # its edges are bevelled by a cell
    assert plain(everywhere.surface).volume == pytest.approx(SIDE**3, rel=0.003)
    # one face of the cube is met
    half = solid(lambda points: 0.12 - (points - torch.tensor([0.25, 0.0, 0.0])).norm(dim=-1))
    shut, ajar = found(half), found(half, closed=False)
    assert shut.cut and ajar.cut and is_closed(shut.surface) and not is_closed(ajar.surface)
    assert plain(shut.surface).volume == pytest.approx(2 / 3 * math.pi * 0.12**3, rel=0.01)
    assert shut.surface.vertices[:, 0].max() == pytest.approx(0.25, abs=1e-6)


def test_values_that_are_the_level_leave_no_cracks() -> None:
    """A ball of whole numbers, whose level lies on grid points."""
    ticks = np.arange(-8, 9)
    values = 36.0 - (ticks[:, None, None] ** 2 + ticks[:, None] ** 2 + ticks**2)
    mesh = isosurface(iter([values.astype(np.float32)]), 0.0, 17, 16.0).surface
    assert is_closed(mesh) and plain(mesh).volume == pytest.approx(4 / 3 * math.pi * 6**3, rel=0.03)


@pytest.mark.parametrize("level", [-900.0, 900.0])
def test_a_level_that_nothing_reaches_gives_an_empty_mesh(shapes: dict, solid: Solid, level: float) -> None:
    empty = found(solid(shapes["ball"]), level, closed=False)
    assert len(empty.surface.faces) == len(empty.surface.vertices) == 0


def test_too_many_faces_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FACES", 1000)
    values = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
    with pytest.raises(PiganError, match="more than 1,000 faces; choose a smaller resolution"):
        isosurface(iter([values]), 0.0, 20, SIDE)
