"""A mesh as a picture: its colours as they are, and its shape under a light at the camera (rays cast by Embree)."""

import numpy as np
import trimesh
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from pigan.rendering.rays import pixel_directions, world_rays
from pigan.sections import Camera
from pigan.synthesis.meshing.formats import colours_of

# rays a pixel side
SUPERSAMPLING = 2
CLAY = np.array([0.80, 0.78, 0.75], np.float32)
# of the light, the share that does not depend on where a surface turns
AMBIENT = 0.3


def mesh_images(
    mesh: trimesh.Trimesh, cam2world: Float[Tensor, "1 4 4"], camera: Camera, side: int
) -> tuple[UInt8[np.ndarray, "side side 3"], UInt8[np.ndarray, "side side 3"]]:
    """The mesh on white, in its vertices' colours without any light, and as if it were of clay.

    Rays are those of generated images of `side` pixels, several a pixel, and end nowhere.

    Raises:
        ImportError: the package embreex is not installed.
    """
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    fine = side * SUPERSAMPLING
    origins, directions = world_rays(cam2world, pixel_directions(fine, camera.fov, camera.align_corners))
    ways = np.ascontiguousarray(directions[0].float().numpy())
    scene = EmbreeScene(robust=True)
    faces = np.asarray(mesh.faces, np.int32)
    TriangleMesh(scene, np.asarray(mesh.vertices, np.float32), faces)
    found = scene.run(np.tile(origins.float().numpy(), (len(ways), 1)), ways, output=1)
    ray = np.flatnonzero(found["primID"] >= 0)
    corners, u, v = faces[found["primID"][ray]], found["u"][ray], found["v"][ray]
    weights = np.stack([1 - u - v, u, v], 1)[..., None]
    normals = (weights * np.asarray(mesh.vertex_normals, np.float32)[corners]).sum(1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    light = np.abs((normals * ways[ray]).sum(1, keepdims=True))
    clay = CLAY * (AMBIENT + (1 - AMBIENT) * light)
    colours = colours_of(mesh)
    paint = clay if colours is None else (weights * (colours / np.float32(255))[corners]).sum(1)
    return _on_white(paint, ray, side), _on_white(clay, ray, side)


def _on_white(colours: NDArray[np.float32], ray: NDArray[np.integer], side: int) -> UInt8[np.ndarray, "side side 3"]:
    """The mean of each pixel's rays, white where they meet nothing."""
    fine = np.ones((side * SUPERSAMPLING, side * SUPERSAMPLING, 3), np.float32)
    fine.reshape(-1, 3)[ray] = colours
    mean = fine.reshape(side, SUPERSAMPLING, side, SUPERSAMPLING, 3).mean((1, 3))
    return (mean * 255).round().clip(0, 255).astype(np.uint8)
