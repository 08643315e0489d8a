"""Inversion: the code whose rendering looks like an image that is seen from a known camera.

The average code is moved, layer by layer, until rays of the whole volume rendering have the colours of the pixels
(as in the authors' code; camera and field stay as they are). Then the object's depth from that camera can be compared
with the true one.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor

from pigan.config import Params
from pigan.data.store import Prepared, spread
from pigan.kernels.choose import EXACT, Numerics, field_of, rendering_numerics
from pigan.models.generator import Generator, rendered_rays
from pigan.progress import Progress
from pigan.rendering.rays import pixel_directions
from pigan.rendering.render import (
    RayRandomness,
    RaySettings,
    as_images,
    draw_randomness,
    no_randomness,
    render_rays,
)
from pigan.rendering.volume import Rendering
from pigan.runtime import generator_for
from pigan.synthesis.ray_gradients import Cast, ray_gradients
from pigan.synthesis.views import SAMPLES_A_PASS, average_code, to_uint8

# the authors' schedule: 700 steps, of which every hundredth takes a quarter off the learning rate
FALLS, FALL = 7, 0.75
BETAS, EPSILON = (0.9, 0.999), 1e-8
# opacity of a ray that shows nothing
NOTHING = 0.01
# points at a time: asked without gradients, some 100 bytes each; and with them, all layers each
POINTS_A_PASS = 1 << 22
CPU_TILE, GPU_TILE = 1 << 12, 1 << 18


class PosedImages(NamedTuple):
    """Images and the cameras that saw them."""

    images: Float[Tensor, "view 3 side side"]
    """-1..1"""
    cam2world: Float[Tensor, "view 4 4"]
    fov: Float[Tensor, "view"]
    """Opening angle between the outer edges, radians; read by the processor, so best kept there."""


class Rays(NamedTuple):
    """All pixels' rays, row by row, of views with cameras of their own."""

    origins: Float[Tensor, "view 3"]
    directions: Float[Tensor, "view ray 3"]
    """Unit directions in world space."""
    ahead: Float[Tensor, "view ray"]
    """z-depth of a unit of distance along the ray."""


class Draw(NamedTuple):
    """Every random number of one step; each view's come from a stream of its own."""

    rays: Int64[Tensor, "view ray"]
    randomness: RayRandomness
    noise: Float[Tensor, "view code"]


class Inverted(NamedTuple):
    """Inverted objects, seen from the cameras of their images."""

    images: UInt8[np.ndarray, "view side side 3"]
    depth: Float32[np.ndarray, "view side side"]
    """Expected z-depth, world units; what is left of the transmittance lies at `far`, so every pixel has a value."""


class Search:
    """Adam (arXiv 1412.6980) on the offsets of some views' codes; each has an age of its own, so it can begin again."""

    def __init__(self, views: int, code: int, device: torch.device) -> None:
        self.offset, self.first, self.second = (torch.zeros((views, code), device=device) for _ in range(3))
        self.age = torch.zeros((views, 1), device=device)

    def step(self, gradient: Float[Tensor, "view code"], lr: float) -> None:
        """One step against `gradient`."""
        self.age += 1
        self.first.lerp_(gradient, 1 - BETAS[0])
        self.second.lerp_(gradient.square(), 1 - BETAS[1])
        first, second = self.first / (1 - BETAS[0] ** self.age), self.second / (1 - BETAS[1] ** self.age)
        self.offset -= lr * first / (second.sqrt() + EPSILON)

    def begin_again(self, which: Bool[Tensor, "view"]) -> None:
        """Takes these views back to where they began."""
        for values in (self.offset, self.first, self.second, self.age):
            values[which] = 0


def invert(
    generator: Generator,
    posed: PosedImages,
    params: Params,
    random: Sequence[torch.Generator],
    label: str | None = None,
) -> Float[Tensor, "view code"]:
    """Codes whose renderings look like `posed`, found by Adam in code space with `generate.inversion` of the params.

    A view whose object has vanished altogether has no gradient and would stay empty: when the learning rate falls it
    begins again, at the lower rate. Each view has its own stream in `random`, and its result does not depend on the
    other views (but for the last bits). The field is evaluated in float32. `label` shows progress under that name.
    """
    settings = params.generate.inversion
    device, side = posed.images.device, posed.images.shape[-1]
    centre, sampling = average_code(generator, params), rendered_rays(params)
    count = min(settings.rays, side**2)
    batch = max(1, POINTS_A_PASS // (count * sampling.samples_a_ray))
    starts, codes = range(0, len(random), batch), []
    with Progress(len(starts) * settings.steps if label else 0, label or "", "step") as progress:
        for start in starts:
            some = slice(start, start + batch)
            rays, pixels = rays_of(posed.cam2world[some], posed.fov[some], side), posed.images[some].flatten(2).mT
            search, falls = Search(len(pixels), len(centre), device), 0
            for step in range(settings.steps):
                if FALLS * step // settings.steps > falls:
                    falls = FALLS * step // settings.steps
                    search.begin_again(_vanished(generator, centre + search.offset, rays, sampling))
                draw = _draw(random[some], side**2, count, sampling, len(centre))
                noise = settings.noise * (1 - step / settings.steps) * draw.noise
                code = centre + search.offset + noise
                gradient, error = _towards_code(generator, code, rays, pixels, sampling, draw)
                # of regularisation * offset ** 2, summed
                search.step(gradient + 2 * settings.regularisation * search.offset, settings.lr * FALL**falls)
                if label:
                    progress.advance(psnr=partial(_psnr, error))
            codes.append(centre + search.offset)
    return torch.cat(codes)


def rays_of(cam2world: Float[Tensor, "view 4 4"], fov: Float[Tensor, "view"], side: int) -> Rays:
    """Rays of cameras whose `fov` (radians) lies between the outer edges of `side` x `side` pixels."""
    inside = torch.stack([pixel_directions(side, angle, False, cam2world.device) for angle in fov.tolist()])
    directions = torch.einsum("vij,vrj->vri", cam2world[:, :3, :3], inside)
    return Rays(cam2world[:, :3, 3], directions, -inside[..., 2])


def render_inverted(generator: Generator, code: Float[Tensor, "view code"], rays: Rays, params: Params) -> Inverted:
    """Image and depth of the objects that `code` describes along all pixels' rays, without randomness."""
    sampling = rendered_rays(params)
    numerics = rendering_numerics(params, code.device, few=True)
    images, depths = [], []
    for some, seen in _seen(generator, code, rays, sampling, numerics):
        picture = as_images(seen.colour)
        left = (1 - seen.weights.sum(-1)).clamp_min(0)
        z = (seen.distance + left * params.camera.far) * rays.ahead[some]
        images.append(to_uint8(picture))
        depths.append(z.unflatten(-1, picture.shape[-2:]).float().cpu().numpy())
    return Inverted(np.concatenate(images), np.concatenate(depths))


def write_inversions(generator: Generator, params: Params, prepared: Prepared, out: Path) -> str | None:
    """inversion.npz in `out`: held-out views inverted, their targets and true depth; or the reason why there is none.

    The views are spread evenly over the held-out ones; `true_depth` is NaN where nothing is, or where the data has
    no depth.
    """
    wanted, held_out, side = params.generate.inversion.views, prepared.held_out, params.generate.resolution
    if wanted == 0:
        return "generate.inversion.views is 0"
    if not len(held_out):
        return "no held-out views"
    cameras = prepared.cameras
    if cameras is None:
        return "held-out views have no cameras"
    rows = spread(held_out, wanted)
    device = generator.device
    target, depth = prepared.images(side)[rows], prepared.depth(side)
    posed = PosedImages(
        torch.from_numpy(target).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1,
        torch.from_numpy(cameras.cam2world[rows].astype(np.float32)).to(device),
        torch.from_numpy(cameras.fov[rows].astype(np.float32)),
    )
    # named by the row, so that a view's result does not depend on how many there are
    random = [generator_for(device, params.generate.seed, "inversion", row) for row in rows.tolist()]
    code = invert(generator, posed, params, random, "inversion")
    seen = render_inverted(generator, code, rays_of(posed.cam2world, posed.fov, side), params)
    np.savez(
        out / "inversion.npz",
        rows=rows,
        target=target,
        images=seen.images,
        depth=seen.depth,
        true_depth=np.full(seen.depth.shape, np.nan, np.float32) if depth is None else depth[rows],
        cam2world=posed.cam2world.cpu().numpy(),
        fov=posed.fov.numpy(),
    )
    return None


def _psnr(error: Float[Tensor, "view"]) -> str:
    """Of colours, which span 2."""
    return f"{10 * np.log10(4 / max(float(error.mean()), 1e-12)):.1f} dB"


def _towards_code(
    generator: Generator,
    code: Float[Tensor, "view code"],
    rays: Rays,
    pixels: Float[Tensor, "view pixel 3"],
    sampling: RaySettings,
    draw: Draw,
) -> tuple[Float[Tensor, "view code"], Float[Tensor, "view"]]:
    """Gradient of each view's squared error (mean over chosen rays and channels) for its code, and that error."""
    triples = draw.rays[..., None].expand(-1, -1, 3)
    target = pixels.gather(1, triples)

    def squared(colour: Float[Tensor, "view ray 3"]) -> Float[Tensor, "view"]:
        return (2 * colour - 1 - target).square().mean((1, 2))

    chosen = Cast(rays.origins, rays.directions.gather(1, triples))
    tile = points_a_tile(code.device)
    found = ray_gradients(generator, code, chosen, sampling, draw.randomness, squared, tile)
    return found.code, found.loss


def points_a_tile(device: torch.device) -> int:
    """Points to differentiate at a time."""
    return CPU_TILE * torch.get_num_threads() if device.type == "cpu" else GPU_TILE


def _vanished(
    generator: Generator, code: Float[Tensor, "view code"], rays: Rays, sampling: RaySettings
) -> Bool[Tensor, "view"]:
    """Which views show nothing at all."""
    return torch.cat([seen.opacity.amax(1) < NOTHING for _, seen in _seen(generator, code, rays, sampling, EXACT)])


def _seen(
    generator: Generator, code: Float[Tensor, "view code"], rays: Rays, sampling: RaySettings, numerics: Numerics
) -> Iterator[tuple[slice, Rendering]]:
    """All rays of some views at a time, rendered without randomness and gradients."""
    count = rays.directions.shape[1]
    batch = max(1, SAMPLES_A_PASS // (count * sampling.samples))
    for start in range(0, len(code), batch):
        some = slice(start, start + batch)
        still = no_randomness(len(code[some]), count, sampling, code.device)
        with torch.no_grad():
            field = field_of(generator, code[some], numerics)
            seen = render_rays(field, rays.origins[some], rays.directions[some], sampling, still)
        yield some, seen


def _draw(random: Sequence[torch.Generator], pixels: int, rays: int, sampling: RaySettings, code: int) -> Draw:
    chosen, noise, drawn = [], [], []
    for stream in random:
        chosen.append(torch.randperm(pixels, generator=stream, device=stream.device)[:rays])
        noise.append(torch.randn(code, generator=stream, device=stream.device))
        drawn.append(draw_randomness(1, rays, sampling, 0.0, stream))
    uniform = [one.uniform for one in drawn if one.uniform is not None]
    jitter = torch.cat([one.jitter for one in drawn])
    randomness = RayRandomness(jitter, None, torch.cat(uniform) if uniform else None, None)
    return Draw(torch.stack(chosen), randomness, torch.stack(noise))
