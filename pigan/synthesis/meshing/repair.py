"""What is done to a surface before it is written: its largest piece, fewer faces."""

import numpy as np
from fast_simplification import simplify
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pigan.synthesis.meshing.surface import Surface


def largest_piece(surface: Surface) -> tuple[Surface, int]:
    """The connected piece with the most faces, and how many pieces there are."""
    one, other = surface.faces[:, :2].T.ravel(), surface.faces[:, 1:].T.ravel()
    size = len(surface.vertices)
    graph = csr_array((np.ones(len(one), np.int8), (one, other)), shape=(size, size))
    of_face = connected_components(graph, directed=False)[1][surface.faces[:, 0]]
    sizes = np.bincount(of_face)
    if len(sizes) == 1:
        return surface, 1
    return part(surface, of_face == sizes.argmax()), int((sizes > 0).sum())


def part(surface: Surface, chosen: np.ndarray) -> Surface:
    """Some of the faces (a mask), and the vertices that they use."""
    used, faces = np.unique(surface.faces[chosen], return_inverse=True)
    return Surface(surface.vertices[used], faces.reshape(-1, 3).astype(np.int32))


def decimated(surface: Surface, faces: int) -> Surface:
    """At most so many faces, as far as edges can be collapsed (Garland and Heckbert's quadrics)."""
    if len(surface.faces) <= faces:
        return surface
    # in units of its own size: the quadrics of tiny lengths would vanish
    middle, scale = surface.vertices.mean(0), np.ptp(surface.vertices, axis=0).max()
    places, corners = simplify((surface.vertices - middle) / scale, surface.faces, target_count=faces)
    corners = corners[(corners != np.roll(corners, 1, axis=1)).all(1)]
    return part(Surface(places * scale + middle, corners.astype(np.int32)), np.ones(len(corners), bool))
