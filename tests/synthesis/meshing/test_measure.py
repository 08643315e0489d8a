import numpy as np
import pytest
import trimesh

from pigan.synthesis.meshing import measure
from pigan.synthesis.meshing.measure import area_and_volume, is_closed, vertex_normals
from pigan.synthesis.meshing.surface import Surface

TETRAHEDRON = Surface(
    np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32),
)


def test_closed_means_that_every_edge_has_two_faces_that_agree() -> None:
    vertices, faces = TETRAHEDRON
    assert is_closed(TETRAHEDRON)
    assert not is_closed(Surface(vertices, faces[1:]))
    assert not is_closed(Surface(vertices, np.concatenate((faces, faces[:1]))))
    assert not is_closed(Surface(vertices, np.concatenate((faces[:1, ::-1], faces[1:]))))
    assert not is_closed(Surface(vertices, faces[:0]))


@pytest.mark.parametrize("at_once", [1 << 18, 7])
def test_area_volume_and_normals_are_those_of_the_shape(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(measure, "FACES_A_PASS", at_once)
    area, volume = area_and_volume(TETRAHEDRON)
    assert area == pytest.approx(1.5 + np.sqrt(3) / 2) and volume == pytest.approx(1 / 6)
    shape = trimesh.creation.icosphere(3, 0.2)
    ball = Surface(np.asarray(shape.vertices) + np.array([5.0, -3.0, 2.0]), np.asarray(shape.faces, np.int32))
    area, volume = area_and_volume(ball)
    assert area == pytest.approx(shape.area) and volume == pytest.approx(shape.volume)
    np.testing.assert_allclose(vertex_normals(ball), shape.vertices / 0.2, atol=0.02)
    turned = Surface(ball.vertices, ball.faces[:, ::-1].copy())
    assert area_and_volume(turned)[1] == pytest.approx(-volume)
    np.testing.assert_allclose(vertex_normals(turned), -vertex_normals(ball), atol=1e-6)


def test_normals_count_faces_by_their_area_and_are_never_nan() -> None:
    flat = Surface(
        np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 3], [9, 9, 9]]), np.array([[0, 1, 2], [0, 3, 1]], np.int32)
    )
    expected = np.array([0, 3.0, 1]) / np.sqrt(10)
    np.testing.assert_allclose(vertex_normals(flat)[0], expected, atol=1e-6)
    assert vertex_normals(flat)[4].tolist() == [0, 0, 0]
