"""What one tab of the viewer shows: object, camera and picture, as its controls say them."""

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pigan.synthesis.choices import Map, Shade
from pigan.synthesis.pictures import front_yaw
from pigan.synthesis.trained import TrainedModel
from pigan.synthesis.views import usual_pitch

RESOLUTIONS = (32, 64, 128, 256, 512)
START_RESOLUTION = 64
MOST_SAMPLES = 256
LARGEST_SEED = 10**9
PITCHES = (1.0, 179.0)
WIDEST_FOV = 100.0


@dataclass(frozen=True)
class Scene:
    """Angles in degrees and lengths in world units, as on the command line."""

    seed: int
    second: int
    """Another seed."""
    mix: float
    """0 shows the object of `seed`, 1 that of `second`."""
    psi: float
    yaw: float
    pitch: float
    fov: float
    radius: float
    resolution: int
    samples: int
    shown: Map
    background: Shade


def first_scene(model: TrainedModel) -> Scene:
    """The usual view of seed 0."""
    camera = model.params.camera
    return Scene(
        seed=0,
        second=1,
        mix=0.0,
        psi=model.params.generate.sheet_truncation,
        yaw=float(round(np.degrees(front_yaw(camera)))) % 360,
        pitch=float(np.clip(round(np.degrees(usual_pitch(camera))), *PITCHES)),
        fov=camera.fov_degrees,
        radius=camera.radius,
        resolution=START_RESOLUTION,
        samples=model.params.rendered_samples,
        shown="colour",
        background="own",
    )


def object_name(scene: Scene) -> str:
    """The object in the name of a file: seed3_psi0.7, or seed3-8_mix0.25_psi0.7 between two."""
    if scene.mix == 0 or scene.seed == scene.second:
        return f"seed{scene.seed}_psi{scene.psi:g}"
    if scene.mix == 1:
        return f"seed{scene.second}_psi{scene.psi:g}"
    return f"seed{scene.seed}-{scene.second}_mix{scene.mix:g}_psi{scene.psi:g}"


def picture_name(scene: Scene) -> str:
    """Name of a saved picture: object, pose and what is shown."""
    pose = f"yaw{scene.yaw:g}_pitch{scene.pitch:g}_fov{scene.fov:g}_radius{scene.radius:g}"
    return f"{object_name(scene)}_{pose}_{scene.shown}.png"


def render_command(scene: Scene, model: TrainedModel, name: str) -> str | None:
    """The `pigan render` that writes the same picture of the model called `name`; None: of a mixture there is none."""
    if 0 < scene.mix < 1 and scene.seed != scene.second:
        return None
    options = {
        "model": name,
        "out": "pictures",
        "seeds": scene.second if scene.mix == 1 else scene.seed,
        "layout": "single",
        "what": scene.shown,
        "truncation": f"{scene.psi:g}",
        "yaw": f"{scene.yaw:g}",
        "pitch": f"{scene.pitch:g}",
        "fov": f"{scene.fov:g}",
        "radius": f"{scene.radius:g}",
        "resolution": scene.resolution,
        "background": scene.background,
    }
    if scene.samples != model.params.rendered_samples:
        options["samples"] = scene.samples
    return shlex.join(
        ["pigan", "render", *(word for key, value in options.items() for word in (f"--{key}", f"{value}"))]
    )


def model_title(name: str) -> str:
    """The model as a heading: a run as it was named, a file by its last folders."""
    parts = [part for part in Path(name).with_suffix("").parts if part not in ("/", "checkpoint", "runs")]
    return "/".join(parts[-3:]) or name
