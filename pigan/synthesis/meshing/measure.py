"""What a surface is like: closed or not, area, volume, normals; some faces at a time, as large meshes need it."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from pigan.synthesis.meshing.surface import Surface

FACES_A_PASS = 1 << 18


def is_closed(surface: Surface) -> bool:
    """Whether every edge has one face on each side, both wound alike: the mesh is watertight."""
    size = np.int64(len(surface.vertices))
    forth, back = (_edges(surface, size, ends) for ends in (((0, 1), (1, 2), (2, 0)), ((1, 0), (2, 1), (0, 2))))
    return bool(len(forth) and (forth[1:] != forth[:-1]).all() and np.array_equal(forth, back))


def area_and_volume(surface: Surface) -> tuple[float, float]:
    """Area, and volume inside (of a surface with holes it means nothing), in world units squared and cubed."""
    area = volume = 0.0
    middle = surface.vertices.mean(0)
    for corners, crossed in _pieces(surface):
        area += float(np.linalg.norm(crossed, axis=1).sum()) / 2
        volume += float(np.einsum("nk,nk->", surface.vertices[corners[:, 0]] - middle, crossed)) / 6
    return area, volume


def vertex_normals(surface: Surface) -> Float32[np.ndarray, "vertex 3"]:
    """Unit normals outwards: the mean over the faces around a vertex, each by its area."""
    sums, count = np.zeros((len(surface.vertices), 3)), len(surface.vertices)
    for corners, crossed in _pieces(surface):
        for axis in range(3):
            weights = np.repeat(crossed[:, axis], 3)
            sums[:, axis] += np.bincount(corners.ravel(), weights, count)
    return (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-30)).astype(np.float32)


def _pieces(surface: Surface) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float64]]]:
    """Faces, and the cross products of their edges: outwards, twice the area long."""
    for start in range(0, len(surface.faces), FACES_A_PASS):
        corners = surface.faces[start : start + FACES_A_PASS]
        places = surface.vertices[corners]
        yield corners, np.cross(places[:, 1] - places[:, 0], places[:, 2] - places[:, 0])


def _edges(surface: Surface, size: np.int64, ends: tuple[tuple[int, int], ...]) -> NDArray[np.int64]:
    """All directed edges as numbers, sorted."""
    numbers = np.concatenate([surface.faces[:, one] * size + surface.faces[:, other] for one, other in ends])
    numbers.sort()
    return numbers
