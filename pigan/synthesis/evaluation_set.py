"""The images that are evaluated, with depth and cameras, in the format of the prepared data."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pigan.config import Params
from pigan.models.generator import Generator
from pigan.rendering.cameras import edge_fov, look_at_origin, poses_of
from pigan.runtime import generator_for
from pigan.synthesis.views import draw_codes, render_views, usual_pitch

# five views a latent, as in the published reprojection error
CONSISTENCY_YAWS = (-0.4, -0.2, 0.0, 0.2, 0.4)


def write_evaluation_set(generator: Generator, params: Params, out: Path, devices: Sequence[torch.device] = ()) -> int:
    """images_<res>.npy, depth_<res>.npy, cameras.npz and geometry.npz in `out`; returns the number of images.

    `devices` share the rendering, by default the one that the generator is on.
    """
    settings, camera = params.generate, params.camera
    code = draw_codes(generator, settings.images, settings.truncation, params, "evaluation")
    random = generator_for(generator.device, settings.seed, "evaluation poses")
    yaw, pitch = poses_of(camera, len(code), random)
    views = render_views(generator, code, yaw, pitch, settings.resolution, params, "evaluation images", devices)
    np.save(out / f"images_{settings.resolution}.npy", views.images)
    np.save(out / f"depth_{settings.resolution}.npy", views.depth)
    np.savez(out / "geometry.npz", depth_variance=views.variance, opacity=views.opacity, empty=views.empty)
    np.savez(
        out / "cameras.npz",
        cam2world=look_at_origin(yaw, pitch, camera.radius).cpu().numpy(),
        fov=np.full(len(code), edge_fov(camera, settings.resolution), np.float32),
        pitch=pitch.cpu().numpy(),
        yaw=yaw.cpu().numpy(),
    )
    return len(code)


def write_consistency_views(generator: Generator, params: Params, out: Path) -> None:
    """consistency.npz: the same objects from five neighbouring yaws (radians) around the usual pose."""
    settings, camera = params.generate, params.camera
    objects, angles = settings.consistency_latents, torch.tensor(CONSISTENCY_YAWS, device=generator.device)
    code = draw_codes(generator, objects, settings.truncation, params, "consistency")
    yaw = camera.yaw_mean + angles
    pitch = torch.full_like(yaw, usual_pitch(camera))
    turned = code.repeat_interleave(len(angles), 0)
    views = render_views(generator, turned, yaw.repeat(objects), pitch.repeat(objects), settings.resolution, params)
    shape = (objects, len(angles))
    np.savez(
        out / "consistency.npz",
        images=views.images.reshape(*shape, *views.images.shape[1:]),
        depth=views.depth.reshape(*shape, *views.depth.shape[1:]),
        cam2world=look_at_origin(yaw, pitch, camera.radius).cpu().numpy(),
        fov=np.float32(camera.fov),
    )


def write_pairs(generator: Generator, params: Params, out: Path) -> None:
    """pairs.npz: objects, each from two poses (radians) that the training law draws."""
    settings, objects = params.generate, params.generate.consistency_latents
    code = draw_codes(generator, objects, settings.truncation, params, "pairs")
    yaw, pitch = poses_of(params.camera, 2 * objects, generator_for(generator.device, settings.seed, "pair poses"))
    views = render_views(generator, code.repeat_interleave(2, 0), yaw, pitch, settings.resolution, params)
    np.savez(
        out / "pairs.npz",
        images=views.images.reshape(objects, 2, *views.images.shape[1:]),
        yaw=yaw.reshape(objects, 2).cpu().numpy(),
        pitch=pitch.reshape(objects, 2).cpu().numpy(),
    )
