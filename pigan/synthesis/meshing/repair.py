"""What is done to a surface before it is written: its largest piece, fewer faces."""

import numpy as np
from fast_simplification import simplify
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pigan.synthesis.meshing.measure import is_closed
from pigan.synthesis.meshing.surface import Surface

# tries to part sheets that meet in edges
PAIRINGS = 20


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
    """At most so many faces, as far as edges can be collapsed (Garland and Heckbert's quadrics).

    A closed surface stays closed: where a thin handle collapsed to an edge of four faces, these are parted.
    """
    if len(surface.faces) <= faces:
        return surface
    # in units of its own size: the quadrics of tiny lengths would vanish
    middle, scale = surface.vertices.mean(0), np.ptp(surface.vertices, axis=0).max()
    places, corners = simplify((surface.vertices - middle) / scale, surface.faces, target_count=faces)
    corners = corners[(corners != np.roll(corners, 1, axis=1)).all(1)]
    fewer = part(Surface(places * scale + middle, corners.astype(np.int32)), np.ones(len(corners), bool))
    return parted(fewer) if is_closed(surface) and not is_closed(fewer) else fewer


def parted(surface: Surface) -> Surface:
    """The same faces, with a vertex of its own for each sheet where several meet, so that no edge has more than two.

    Every edge must have as many faces on one side as on the other. Which of four faces belong together is tried.
    """
    size, count = len(surface.vertices), len(surface.faces)
    start, end = surface.faces.T.ravel().astype(np.int64), np.roll(surface.faces, -1, axis=1).T.ravel()
    number, edge = np.arange(3 * count), np.minimum(start, end) * size + np.maximum(start, end)
    turned = np.zeros(3 * count, bool)
    # an edge's end is the corner after its start
    after = (number + count) % (3 * count)
    for _ in range(PAIRINGS):
        # each edge forth with one back
        forth = np.lexsort((number, start * size + end))
        back = np.lexsort((np.where(turned, -number, number), end * size + start))
        one, other = np.concatenate((forth, after[forth])), np.concatenate((after[back], back))
        graph = csr_array((np.ones(len(one), np.int8), (one, other)), shape=(3 * count, 3 * count))
        corners = connected_components(graph, directed=False)[1].astype(np.int64)
        _, first, times = np.unique(corners * (3 * count) + corners[after], return_index=True, return_counts=True)
        if (times == 1).all():
            _, first = np.unique(corners, return_index=True)
            return Surface(surface.vertices[start[first]], corners.reshape(3, count).T.astype(np.int32))
        turned ^= edge == edge[first[times > 1][0]]
    return surface
