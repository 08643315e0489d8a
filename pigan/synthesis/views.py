"""Views of generated objects as arrays: 8-bit images, z-depth, opacity, blur of the surface."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from pigan.config import Params
from pigan.kernels.choose import field_of, rendering_numerics
from pigan.models.generator import Generator, rendered_rays
from pigan.models.mapping import draw_latents, truncate
from pigan.progress import Progress
from pigan.rendering.rays import distance_to_z, pixel_directions
from pigan.rendering.render import as_images, no_randomness, render_images
from pigan.rendering.volume import SOLID, distance_variance
from pigan.runtime import generator_for
from pigan.sections import Camera
from pigan.synthesis.devices import replicas, share_out

SAMPLES_A_PASS = 1 << 19
FULL_CIRCLE = 0.9 * math.pi


class Views(NamedTuple):
    """Rendered views; depth is NaN where the ray's opacity is below one half."""

    images: UInt8[np.ndarray, "view side side 3"]
    depth: Float32[np.ndarray, "view side side"]
    opacity: Float32[np.ndarray, "view"]
    """Mean opacity of a view's rays."""
    empty: Float32[np.ndarray, "view"]
    """Share of a view's rays whose opacity, the background's share left out, is below one half."""
    variance: Float32[np.ndarray, "view"]
    """Mean variance of distance along the rays that are not empty, world units squared; NaN if all are."""


def to_uint8(images: Float[Tensor, "view 3 side side"]) -> UInt8[np.ndarray, "view side side 3"]:
    """8-bit images from -1..1, rounded to the nearest level."""
    levels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).cpu().numpy()


def render_views(
    generator: Generator,
    code: Float[Tensor, "view code"],
    yaw: Float[Tensor, "view"],
    pitch: Float[Tensor, "view"],
    resolution: int,
    params: Params,
    label: str | None = None,
    devices: Sequence[torch.device] = (),
    few: bool = False,
) -> Views:
    """Views of the objects that `code` describes, without randomness; `label` shows progress under that name.

    `few`: of some pictures to look at, for which nothing is compiled.

    Batches of views go round `devices`, by default the one that `code` is on; alike devices make the same bits.
    """
    places = devices or [code.device]
    generators = replicas(generator, places)
    batch = max(1, SAMPLES_A_PASS // (resolution**2 * params.rendered_samples))

    def render(place: int, some: slice) -> Views:
        angles = yaw[some].to(places[place]), pitch[some].to(places[place])
        return _render_batch(generators[place], code[some].to(places[place]), *angles, resolution, params, few)

    parts: list[Views] = []
    with Progress(len(code) if label else 0, label or "", "img") as progress:
        for part in share_out(render, [slice(start, start + batch) for start in range(0, len(code), batch)], places):
            parts.append(part)
            if label:
                progress.advance(len(part.images))
    return Views(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


@torch.no_grad()
def _render_batch(
    generator: Generator,
    code: Float[Tensor, "view code"],
    yaw: Float[Tensor, "view"],
    pitch: Float[Tensor, "view"],
    resolution: int,
    params: Params,
    few: bool,
) -> Views:
    camera, device, settings = params.camera, code.device, rendered_rays(params)
    numerics = rendering_numerics(params, device, few)
    still = no_randomness(len(code), resolution**2, settings, device)
    seen = render_images(field_of(generator, code, numerics), yaw, pitch, resolution, camera, settings, still)
    # the background's share counts as opaque with `last`
    total = seen.weights.sum(-1)
    solid = total >= SOLID
    directions = pixel_directions(resolution, camera.fov, camera.align_corners, device)
    z = distance_to_z(seen.distance / total.clamp_min(1e-8), directions)
    depth = torch.where(solid, z, torch.nan).unflatten(-1, (resolution, resolution))
    # before the background takes its share
    met = seen.opacity >= SOLID
    blur = torch.where(met, distance_variance(seen), torch.nan).nanmean(-1)
    return Views(
        to_uint8(as_images(seen.colour)),
        depth.float().cpu().numpy(),
        seen.opacity.mean(-1).cpu().numpy(),
        (~met).float().mean(-1).cpu().numpy(),
        blur.cpu().numpy(),
    )


def average_code(generator: Generator, params: Params) -> Float[Tensor, "code"]:
    """The centre of truncation."""
    random = generator_for(generator.device, params.generate.seed, "truncation")
    return generator.average_code(params.generate.truncation_latents, random)


def draw_codes(generator: Generator, count: int, psi: float, params: Params, use: str) -> Float[Tensor, "count code"]:
    """Codes of `count` latents that `use` and the seed name, truncated by `psi` towards the average code."""
    model, random = params.model, generator_for(generator.device, params.generate.seed, use)
    with torch.no_grad():
        code: Tensor = generator.mapping(draw_latents(count, model.z_dim, model.z_distribution, random))
        return code if psi == 1 else truncate(code, average_code(generator, params), psi)


def usual_pitch(camera: Camera) -> float:
    """The pitch (radians) in the middle of what the pose law draws."""
    if camera.pose_law == "spherical_uniform":
        return math.acos(1 - 2 * min(max(camera.pitch_mean / math.pi, 0.0), 1.0))
    return camera.pitch_mean


def yaw_sweep(camera: Camera, count: int) -> list[float]:
    """`count` yaws (radians) across what the pose law shows: a full circle if it does, else mean +- spread."""
    if camera.yaw_spread >= FULL_CIRCLE:
        return [camera.yaw_mean + 2 * math.pi * i / count for i in range(count)]
    if camera.pose_law == "fixed" or count == 1:
        return [camera.yaw_mean] * count
    return [camera.yaw_mean + camera.yaw_spread * (2 * i / (count - 1) - 1) for i in range(count)]


def pitch_sweep(camera: Camera, count: int) -> list[float]:
    """`count` pitches (radians) inside what the pose law shows, kept off the poles."""
    spread = camera.pitch_spread if camera.pose_law != "fixed" else 0.0
    places = [camera.pitch_mean + 0.8 * spread * (2 * i / max(count - 1, 1) - 1) for i in range(count)]
    if camera.pose_law == "spherical_uniform":
        places = [math.acos(1 - 2 * min(max(place / math.pi, 0.0), 1.0)) for place in places]
    return [min(max(place, 0.05), math.pi - 0.05) for place in places]
