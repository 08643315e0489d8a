"""Views of 3-D models a second, on one core, beside trimesh's own ray query on the same rays.

    python benchmarks/meshes.py FOLDER --views 64

Ours loads a model twice (once to check it), renders shaded, textured, antialiased views with depth, and writes them;
the reference only asks trimesh for the nearest hit of the same camera rays, without textures, light or files.
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import trimesh

from pigan import config, presets
from pigan.data.cars.raytrace import pixel_directions
from pigan.data.meshes.render import find_models
from pigan.data.meshes.view import ModelFile, ViewJob, check_model, render_views
from pigan.rendering.cameras import sample_cameras

PRESET = "meshes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of models")
    parser.add_argument("--views", type=int, default=64, help="of each model")
    parser.add_argument("--repeats", type=int, default=2, help="the best of so many counts")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "params.yaml").write_text(presets.text(PRESET), encoding="utf-8")
        params = config.load(folder / "params.yaml")
        for part in ("images", "depth"):
            (folder / part).mkdir()
        meshes, camera = params.dataset.meshes, params.camera
        assert meshes is not None
        poses = sample_cameras(camera, chosen.views, meshes.seed).numpy()
        reach = camera.radius * math.sin(camera.fov / 2)
        seconds = {"ours": 0.0, "reference": 0.0}
        names = find_models(chosen.source)
        for file in names:
            model = ModelFile(file, chosen.source, meshes.up, meshes.max_faces, reach)
            job = ViewJob(
                *(model, list(range(chosen.views)), poses, camera.fov, meshes.size, meshes.supersampling),
                *(meshes.hue, meshes.light, meshes.seed, folder),
            )
            fine = meshes.size * meshes.supersampling
            ours = theirs = math.inf
            for _ in range(chosen.repeats):
                began = time.perf_counter()
                check_model(model)
                render_views(job)
                ours = min(ours, time.perf_counter() - began)
                began = time.perf_counter()
                plain_hits(model, poses, camera.fov, fine)
                theirs = min(theirs, time.perf_counter() - began)
            seconds = {"ours": seconds["ours"] + ours, "reference": seconds["reference"] + theirs}
            print(f"{file:32} {chosen.views / ours:6.1f} views/s, reference {chosen.views / theirs:6.1f}", flush=True)
        total = chosen.views * len(names)
        ours, theirs = total / seconds["ours"], total / seconds["reference"]
        side = f"{meshes.size} px, {meshes.supersampling} x {meshes.supersampling} rays a pixel"
        print(f"all, {side}: {ours:.1f} views/s a core (≥ 15), {ours / theirs:.2f} x the reference's {theirs:.1f}")


def plain_hits(file: ModelFile, poses: np.ndarray, fov: float, size: int) -> None:
    """The nearest hit of every camera ray, by trimesh."""
    model = file.load()
    mesh = trimesh.Trimesh(model.vertices, model.faces, process=False)
    for pose in poses:
        rays = pixel_directions(pose, fov, size).reshape(3, -1).T
        mesh.ray.intersects_first(np.broadcast_to(pose[:3, 3], rays.shape), rays)


if __name__ == "__main__":
    main()
