"""The work of one renderer process: some views of one model, or the verdict on it (loads fast, without torch)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from pigan.data.meshes.caster import Caster, dot
from pigan.data.meshes.load import load_model
from pigan.data.meshes.model import Model, RejectedError
from pigan.data.meshes.raycast import render, sample_look

# a model is inside out if more than this share of the rays from outside meet the back of a face
INSIDE_OUT = 0.9
PROBES = 4096


@dataclass(frozen=True)
class ModelFile:
    """One model and how it is placed."""

    name: str
    """Relative to `root`."""
    root: Path
    up: str
    max_faces: int
    reach: float

    def load(self) -> Model:
        """The model; raises RejectedError."""
        return load_model(self.root / self.name, self.root, self.up, self.max_faces, self.reach)


@dataclass(frozen=True, eq=False)
class ViewJob:
    """Some views of one model."""

    model: ModelFile
    views: list[int]
    cam2world: Float[np.ndarray, "n 4 4"]
    fov: float
    size: int
    supersampling: int
    hue: float
    light: float
    seed: int
    out: Path


def check_model(file: ModelFile) -> str | None:
    """Why the model cannot be rendered, or None."""
    try:
        model = file.load()
        share = backward_share(model)
        if share > INSIDE_OUT:
            raise RejectedError(f"is inside out: {share:.0%} of what one sees of it from outside are backs of faces")
    except RejectedError as error:
        return str(error)
    return None


def backward_share(model: Model) -> float:
    """Share of rays from outside, of those that meet single-sided faces first, which meet the back of one.

    Faces are shaded alike on both sides, so a model whose faces turn either way is welcome; one whose faces nearly all
    turn away was mirrored or is a room, and its normals and colours are not meant to be seen from there.
    """
    rng = np.random.default_rng(0)
    target = model.vertices[model.faces[rng.integers(len(model.faces), size=PROBES)]].mean(1)
    start = rng.normal(size=(PROBES, 3))
    radius = 2 * np.linalg.norm(model.vertices[model.faces], axis=2).max()
    start = (start / np.linalg.norm(start, axis=1, keepdims=True) * radius).astype(np.float32)
    hits = Caster(model).cast(start, target - start)
    counted = model.single_sided[hits.face]
    away = dot(hits.normal, (target - start)[hits.ray]) > 0
    return float(away[counted].mean()) if counted.any() else 0.0


def render_views(job: ViewJob) -> int:
    """Render and write some views of one model; how many."""
    caster = Caster(job.model.load())
    for view, matrix in zip(job.views, job.cam2world, strict=True):
        look = sample_look(np.random.default_rng([job.seed, view]), job.light, job.hue)
        image, depth = render(caster, matrix, job.fov, job.size, job.supersampling, look)
        Image.fromarray(image).save(job.out / "images" / f"{view:05d}.png")
        np.save(job.out / "depth" / f"{view:05d}.npy", depth)
    return len(job.views)
