"""The surface on which a density has one value: marching cubes over slabs, welded into one mesh."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int32
from numpy.typing import NDArray
from skimage.measure import marching_cubes

from pigan.errors import PiganError
from pigan.synthesis.meshing.grid import Slab

# so that a mesh stays below 4 GB
MOST_FACES = 6_000_000
# bits of a coordinate: three fit into one number
BITS = 21


class Surface(NamedTuple):
    """A triangle mesh; seen from outside the corners of a face run counter-clockwise."""

    vertices: Float64[np.ndarray, "vertex 3"]
    """World units."""
    faces: Int32[np.ndarray, "face 3"]


class Isosurface(NamedTuple):
    """The surface at one level, and what was seen on the way."""

    surface: Surface
    lowest: float
    highest: float
    """Least and greatest density of the grid."""
    cut: bool
    """Whether what is denser than the level goes on outside the cube."""


def isosurface(slabs: Iterable[Slab], level: float, resolution: int, side: float, closed: bool = True) -> Isosurface:
    """The surface that parts densities above `level` (inside) from the others, in a cube of `side` around the origin.

    Cells are looked at a layer at a time, so that the mesh does not depend on where one slab ends (`density_slabs`).
    Places are rounded to 2^-21 of the cube; vertices and faces are put in order. `closed` makes walls where the cube
    cuts the object; else there are holes.

    Raises:
        PiganError: more than 6 million faces.
    """
    height = np.float32(level)
    # the wall stands as good as on the cube's face
    outside = np.nextafter(height, np.float32(-np.inf))
    found, lowest, highest, cut, before = _Found(_lattice(resolution)), np.inf, -np.inf, False, None
    for number, layer in enumerate(layer for slab in slabs for layer in slab):
        lowest, highest = min(lowest, float(layer.min())), max(highest, float(layer.max()))
        rims = [layer] if number in (0, resolution - 1) else [layer[0], layer[-1], layer[:, 0], layer[:, -1]]
        cut = cut or any(bool((rim > height).any()) for rim in rims)
        for rim in rims if closed else []:
            np.minimum(rim, outside, out=rim)
        if before is not None:
            cells = np.stack((before, layer))
            if cells.min() <= height < cells.max():
                found.add(cells, float(height), number - 1)
        if found.count > MOST_FACES:
            raise PiganError(
                f"the surface at level {level:.4g} has more than {MOST_FACES:,} faces; choose a smaller resolution, "
                "or another level"
            )
        before = layer
    return Isosurface(found.welded(resolution - 1, side), lowest, highest, cut)


def _lattice(resolution: int) -> int:
    """Places a cell, so that those of the whole cube fit into BITS bits."""
    return 1 << (BITS - (resolution - 1).bit_length())


class _Found:
    """Triangles of all layers so far; a vertex is one number, its place on a lattice of so many steps a cell."""

    def __init__(self, step: int) -> None:
        self.step, self.count, self.vertices = step, 0, 0
        self.keys: list[NDArray[np.int64]] = []
        self.faces: list[NDArray[np.int64]] = []

    def add(self, cells: NDArray[np.float32], level: float, x: int) -> None:
        """The surface within the layer of cells that begins at grid line `x`."""
        # wound outwards
        places, corners, _, _ = marching_cubes(cells, level, gradient_direction="ascent")
        lattice = np.rint(places.astype(np.float64) * self.step).astype(np.int64)
        lattice[:, 0] += x * self.step
        self.keys.append((lattice[:, 0] << 2 * BITS) | (lattice[:, 1] << BITS) | lattice[:, 2])
        self.faces.append(corners.astype(np.int64) + self.vertices)
        self.vertices, self.count = self.vertices + len(places), self.count + len(corners)

    def welded(self, cells: int, side: float) -> Surface:
        """One vertex a place, in the order of places, and faces in the order of their vertices."""
        if not self.keys:
            return Surface(np.empty((0, 3)), np.empty((0, 3), np.int32))
        unique, number = np.unique(np.concatenate(self.keys), return_inverse=True)
        corners = number.astype(np.int32)[np.concatenate(self.faces)]
        # without faces between vertices that fell together
        corners = corners[(corners != np.roll(corners, 1, axis=1)).all(1)]
        turn = (corners.argmin(1)[:, None] + np.arange(3)) % 3
        corners = np.take_along_axis(corners, turn, axis=1)
        corners = corners[np.lexsort(corners.T[::-1])]
        used, numbers = np.unique(corners, return_inverse=True)
        mask = (1 << BITS) - 1
        lattice = np.stack([unique[used] >> shift & mask for shift in (2 * BITS, BITS, 0)], 1)
        vertices = (lattice / (cells * self.step) - 0.5) * side
        return Surface(vertices, numbers.reshape(-1, 3).astype(np.int32))
