"""Compares meshes of objects with the model's own images: python -m benchmarks.surfaces cars-32 --seeds 2,3,5.

Prints, for the opaque surface and that of one density, errors of depth along the rays that meet both (world units), and
the share of the rays that show the object or meet the mesh which do both. White parts of an object do not show.
"""

import argparse
from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from pigan.rendering.cameras import look_at_origin
from pigan.rendering.rays import distance_to_z, pixel_directions, world_rays
from pigan.sections import Camera
from pigan.synthesis.choices import SurfaceKind
from pigan.synthesis.mesh import MeshSettings, mesh_of
from pigan.synthesis.trained import load_model
from pigan.synthesis.views import Views, render_views, usual_pitch, yaw_sweep

VIEWS, PIXELS = 8, 64
# radians above the usual pitch, so that these views are none of those that the surface is made by
HIGHER = 0.1
# level of the brightest channel's darkest pixel that is still white
WHITE = 230
KINDS: tuple[SurfaceKind, ...] = ("opaque", "density")


@dataclass
class Score:
    """A mesh beside images."""

    rms: float
    median: float
    outline: float


def score(mesh: trimesh.Trimesh, views: Views, yaw: torch.Tensor, pitch: torch.Tensor, camera: Camera) -> Score:
    """Errors of depth where both are, and how far the outlines agree."""
    scene = EmbreeScene(robust=True)
    TriangleMesh(scene, np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32))
    rays = pixel_directions(PIXELS, camera.fov, camera.align_corners)
    origins, directions = world_rays(look_at_origin(yaw, pitch, camera.radius), rays)
    errors, both, either = [], 0, 0
    for view in range(len(yaw)):
        ways = np.ascontiguousarray(directions[view].numpy())
        found = scene.run(np.tile(origins[view].numpy(), (len(ways), 1)), ways, output=1)
        depth = distance_to_z(torch.from_numpy(found["tfar"])[None], rays)[0].numpy()
        there, own = found["primID"] >= 0, views.depth[view].ravel()
        shown = np.isfinite(own) & (views.images[view].reshape(-1, 3) < WHITE).any(-1)
        errors.append(np.abs(depth - own)[there & shown])
        both, either = both + int((there & shown).sum()), either + int((there | shown).sum())
    error = np.concatenate(errors)
    return Score(float(np.sqrt((error**2).mean())), float(np.median(error)), both / either)


def main() -> None:
    """Prints a row for each object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="cars-32, cars-64-small, or the folder of a trained stage")
    parser.add_argument("--seeds", default="0", help="2,3,5")
    parser.add_argument("--resolution", type=int, default=96, help="points a side of the grid (%(default)s)")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    trained = load_model(asked.model, torch.device("cpu"))
    params, generator = trained.params, trained.generator
    camera = params.camera
    yaw = torch.tensor(yaw_sweep(camera, VIEWS))
    pitch = torch.full_like(yaw, usual_pitch(camera) - HIGHER)
    print("| seed | depth error, root mean square: opaque, density | median | outline |\n|---|---|---|---|")
    for seed in map(int, asked.seeds.split(",")):
        code = trained.codes(trained.latents(seed), params.generate.sheet_truncation)
        views = render_views(generator, code.expand(VIEWS, -1), yaw, pitch, PIXELS, params, few=True)
        meshes = [
            mesh_of(generator, code, params, MeshSettings(asked.resolution, kind, colours="none"))[0] for kind in KINDS
        ]
        one, other = (score(mesh, views, yaw, pitch, camera) for mesh in meshes)
        print(
            f"| {seed} | {one.rms:.3f}, {other.rms:.3f} | {one.median:.3f}, {other.median:.3f} "
            f"| {one.outline:.2f}, {other.outline:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
