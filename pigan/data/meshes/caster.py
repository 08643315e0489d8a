"""A model in an Embree scene: which of its surfaces a ray meets first, and what that surface looks like."""

import itertools
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from pigan.data.meshes.model import Model
from pigan.data.meshes.texture import LEVELS

# no face of a real model is at right angles to this
HALVING = np.array([0.8017, 0.5203, 0.2942], np.float32)
# surfaces nearer to each other than this share of the model's size are at one place
TIE = 2e-5


@dataclass(frozen=True, eq=False)
class Hits:
    """Where rays first meet the model."""

    ray: Int[np.ndarray, " n"]
    """Which of the rays met something; the rest have no entry."""
    face: Int[np.ndarray, " n"]
    depth: Float[np.ndarray, " n"]
    """In lengths of the ray's direction."""
    weights: Float[np.ndarray, "n 3"]
    """Of the face's corners."""
    normal: Float[np.ndarray, "n 3"]
    """Of the face, unit length, as its corners turn."""

    def rows(self, some: NDArray[np.integer] | NDArray[np.bool_]) -> "Hits":
        """Some of the hits."""
        return Hits(**{field.name: getattr(self, field.name)[some] for field in fields(self)})

    def replace(self, some: NDArray[np.integer], new: "Hits") -> None:
        """Puts other hits in the place of some, whose rays stay the same."""
        for field in fields(self):
            getattr(self, field.name)[some] = getattr(new, field.name)


class Caster:
    """A model, ready to be met by rays."""

    def __init__(self, model: Model) -> None:
        self.model = model
        ends = model.vertices[model.faces]
        self.size = float(np.linalg.norm(ends, axis=2).max())
        sides = np.stack([ends.min((0, 1)), ends.max((0, 1))], 1).astype(np.float64)
        self.box = np.array(list(itertools.product(*sides)))
        self._scene = _scene(model.vertices, model.faces)
        # a wall's two sides, at one place, are never in the same half, so that the one that faces a ray can be found
        self._half = np.cross(ends[:, 1] - ends[:, 0], ends[:, 2] - ends[:, 0]) @ HALVING > 0
        halves = [np.flatnonzero(self._half == half) for half in (False, True)]
        self._halves = [(_scene(model.vertices, model.faces[faces]), faces) for faces in halves]
        # glass casts no shadow here
        opaque = model.faces[~model.transparent]
        self._opaque = _scene(model.vertices, opaque) if len(opaque) else None

    def cast(self, origins: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "n 3"]) -> Hits:
        """The first surface that each ray meets; of two at one place, the one that turns its front to the ray."""
        found = self._scene.run(origins, directions, output=1)
        ray = np.flatnonzero(found["primID"] >= 0)
        hits = _hits(found, ray, ray, np.arange(len(self.model.faces)))
        backs = dot(hits.normal, directions[ray]) > 0
        for (scene, faces), half in zip(self._halves, (False, True), strict=True):
            # behind a front there is nothing to look for, and the other side of a back is in the other half
            asked = np.flatnonzero(backs & (self._half[hits.face] != half))
            if not asked.size or not faces.size:
                continue
            onward = directions[ray[asked]]
            found = scene.run(origins[ray[asked]], onward, output=1)
            beside = np.abs(found["tfar"] - hits.depth[asked]) < TIE * self.size
            some = np.flatnonzero(beside & (dot(found["Ng"], onward) < 0))
            hits.replace(asked[some], _hits(found, some, ray[asked[some]], faces))
        return hits

    def shaded(self, origins: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "n 3"]) -> Bool[np.ndarray, " n"]:
        """Whether something opaque is in the way."""
        if self._opaque is None:
            return np.zeros(len(origins), bool)
        blocked: NDArray[np.bool_] = self._opaque.run(origins, directions, query="OCCLUDED") >= 0
        return blocked

    def surface(
        self, hits: Hits, spacing: Float[np.ndarray, " n"], facing: Float[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 4"]]:
        """Shading normals (not of unit length), and linear colours times alpha, with alpha.

        `spacing` is the distance of neighbouring rays there, `facing` the cosine between ray and face.
        """
        model = self.model
        blend = np.einsum("nk,nkc->nc", hits.weights, model.corners[hits.face])
        # texels a ray, the same area whatever the slant; finer ones are averaged already
        texels = model.detail[hits.face] * spacing / np.sqrt(np.maximum(facing, 0.02))
        level = np.log2(np.maximum(texels, 1)) + 0.5
        colour = model.textures.sample(
            model.texture[hits.face], level.astype(np.int64).clip(0, LEVELS - 1), blend[:, 3:5]
        )
        colour[:, :3] *= blend[:, 5:8] * blend[:, 8:]
        colour[:, 3] *= blend[:, 8]
        return blend[:, :3], colour


def dot(one: Float[np.ndarray, "n 3"], other: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """Inner products of rows (numpy sums short rows slowly)."""
    product: NDArray[np.float32] = np.einsum("nk,nk->n", one, other)
    return product


def _hits(
    found: dict[str, NDArray[Any]], rows: NDArray[np.integer], ray: NDArray[np.integer], faces: NDArray[np.integer]
) -> Hits:
    """Some rows of what Embree found, which it counted among `faces`."""
    u, v, normal = found["u"][rows], found["v"][rows], found["Ng"][rows]
    return Hits(
        ray=ray,
        face=faces[found["primID"][rows]],
        depth=found["tfar"][rows],
        weights=np.stack([1 - u - v, u, v], 1),
        normal=normal / np.sqrt(dot(normal, normal))[:, None],
    )


def _scene(vertices: NDArray[np.float32], faces: NDArray[np.int32]) -> EmbreeScene:
    scene = EmbreeScene(robust=True)
    TriangleMesh(scene, vertices, faces)
    return scene
