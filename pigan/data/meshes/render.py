"""A folder of 3-D models, written as posed RGB-D images."""

import json
import math
import sys
from pathlib import Path, PurePosixPath

from pigan.data.folders import files_below
from pigan.data.meshes.load import SUFFIXES
from pigan.data.meshes.view import ModelFile, ViewJob, check_model, render_views
from pigan.data.parallel import ordered_map
from pigan.data.posed.frames import REJECTED, TRANSFORMS
from pigan.dataset_sections import Meshes
from pigan.errors import PiganError
from pigan.files import write_json
from pigan.progress import Progress, track
from pigan.rendering.cameras import sample_cameras
from pigan.sections import Camera

# views of one model that a process renders at a time: loading the model counts little, and all processes have work
CHUNK = 64


def render_meshes(meshes: Meshes, camera: Camera, source: Path, out: Path, workers: int = 2) -> None:
    """Render every view into the directory `out`: images/*.png, depth/*.npy and transforms.json.

    View i shows model i % models, in the order of their names; its hue and light depend on (meshes.seed, i) alone, and
    poses on meshes.seed and views alone, so bytes do not depend on `workers`. Models fill the sphere around the origin
    that every camera sees whole; fov spans the outer edges of the image. Models that cannot be rendered are told by
    name, on stderr and in rejected.json: [{file, reason}].

    Raises:
        PiganError: `source` holds no models, or none that can be rendered.
    """
    files = find_models(source)
    reach = camera.radius * math.sin(camera.fov / 2)
    models = [ModelFile(name, source, meshes.up, meshes.max_faces, reach) for name in files]
    verdicts = track(ordered_map(check_model, models, workers, batch=1), len(models), "models", "model")
    reasons = dict(zip(files, verdicts, strict=True))
    rejected = [{"file": name, "reason": reason} for name, reason in reasons.items() if reason]
    for entry in rejected:
        print(f"rejected {entry['file']}: {entry['reason']}", file=sys.stderr)
    good = [model for model in models if not reasons[model.name]]
    if not good:
        raise PiganError(
            f"{source}: none of the {len(files)} models can be rendered (first: {rejected[0]['file']} "
            f"{rejected[0]['reason']}); mend them or point dataset.source elsewhere"
        )
    for folder in ("images", "depth"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    if rejected:
        write_json(out / REJECTED, rejected)
    poses = sample_cameras(camera, meshes.views, meshes.seed).numpy()
    jobs = [
        ViewJob(
            model=model,
            views=list(views),
            cam2world=poses[views.start : views.stop : views.step],
            fov=camera.fov,
            size=meshes.size,
            supersampling=meshes.supersampling,
            hue=meshes.hue,
            light=meshes.light,
            seed=meshes.seed,
            out=out,
        )
        for number, model in enumerate(good)
        for views in _chunks(range(number, meshes.views, len(good)))
    ]
    with Progress(meshes.views, "views", "view") as progress:
        for done in ordered_map(render_views, jobs, workers, batch=1):
            progress.advance(done)
    frames = [
        {
            "file_path": f"images/{view:05d}.png",
            "depth_file_path": f"depth/{view:05d}.npy",
            "transform_matrix": matrix.tolist(),
            "object": good[view % len(good)].name,
        }
        for view, matrix in enumerate(poses)
    ]
    transforms = {"camera_angle_x": camera.fov, "w": meshes.size, "h": meshes.size, "frames": frames}
    (out / TRANSFORMS).write_text(json.dumps(transforms, indent=1) + "\n", encoding="utf-8")


def find_models(source: Path) -> list[str]:
    """Names of the model files below `source`, relative to it, sorted; hidden files and folders are left out.

    Raises:
        PiganError: no such folder, or no model in it.
    """
    if not source.is_dir():
        raise PiganError(f"{source}: no such folder; point dataset.source at your 3-D models ({', '.join(SUFFIXES)})")
    shown = [name for name in files_below(source) if PurePosixPath(name).suffix.lower() in SUFFIXES]
    if not shown:
        raise PiganError(f"{source}: holds no 3-D models; put {', '.join(SUFFIXES)} files into it")
    return shown


def _chunks(views: range) -> list[range]:
    return [views[start : start + CHUNK] for start in range(0, len(views), CHUNK)]
