"""Scenes become pictures, and pictures become what a browser shows."""

import functools
import io
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from pigan.progress import heard_by
from pigan.rendering.rays import pixel_directions
from pigan.synthesis.choices import backdrop_of
from pigan.synthesis.mesh import MeshSettings, mesh_of
from pigan.synthesis.meshing.formats import encoded
from pigan.synthesis.pictures import depth_colours, normal_colours
from pigan.synthesis.sweeps import between
from pigan.synthesis.trained import TrainedModel
from pigan.synthesis.viewing import Cameras, Seen, as_levels, look
from pigan.view.scene import Scene, object_name

# codes that are kept; one has a few thousand numbers at most
CODES = 256
PNG_LEVEL = 1
# densities of a mesh between two steps of its progress
VALUES_A_STEP = 1 << 17


class Renderer:
    """One model for all tabs and threads; the same scene always gives the same pixels."""

    def __init__(self, model: TrainedModel) -> None:
        self.model = model
        self._code = functools.lru_cache(CODES)(self._fresh_code)

    def code(self, scene: Scene) -> Float[Tensor, "1 code"]:
        """What the field is conditioned on; between two seeds on the straight line between their codes."""
        mixed = scene.seed != scene.second and scene.mix > 0
        return self._code(scene.seed, scene.second if mixed else None, scene.mix if mixed else 0.0, scene.psi)

    def seen(self, scene: Scene) -> tuple[Seen, Cameras]:
        """What the scene's camera sees, as `pigan.synthesis.viewing.look` says it, and that camera."""
        cameras = self.model.cameras(
            math.radians(scene.yaw), math.radians(scene.pitch), math.radians(scene.fov), scene.radius
        )
        model, code, backdrop = self.model, self.code(scene), backdrop_of(scene.background)
        seen = look(model.generator, code, cameras, scene.resolution, model.params, scene.samples, backdrop)
        return seen, cameras

    def pixels(self, scene: Scene) -> UInt8[np.ndarray, "side side channel"]:
        """The picture of what is to be shown; of a transparent background its colour has a fourth channel."""
        seen, cameras = self.seen(scene)
        if scene.shown == "colour":
            return as_levels(seen.colour[0])
        if scene.shown == "opacity":
            return as_levels(seen.opacity[0, ..., None].expand(-1, -1, 3))
        depth = seen.depth.cpu().numpy()
        if scene.shown == "depth":
            return depth_colours(depth)[0]
        rays = pixel_directions(scene.resolution, float(cameras.fov[0]), self.model.params.camera.align_corners)
        return normal_colours(depth, rays.numpy())[0]

    def mesh(self, scene: Scene, resolution: int, told: Callable[[int, int | None], None]) -> bytes:
        """The object's mesh as binary glTF, from a grid of `resolution` points a side; `told` hears of its progress.

        Raises:
            NoSurface: the object has none.
        """
        with heard_by(told):
            made, _ = mesh_of(
                self.model.generator,
                self.code(scene),
                self.model.params,
                MeshSettings(resolution),
                object_name(scene),
                VALUES_A_STEP,
            )
        return encoded(made, ".glb")

    def _fresh_code(self, seed: int, second: int | None, mix: float, psi: float) -> Float[Tensor, "1 code"]:
        if second is None:
            return self.model.codes(self.model.latents(seed), psi)
        return between(self.model.codes(self.model.latents([seed, second]), psi), [mix])


def png(pixels: UInt8[np.ndarray, "side side channel"]) -> bytes:
    """The exact picture as a file; quickly, since a hundredth of the time that rendering takes is little."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=PNG_LEVEL)
    return file.getvalue()
